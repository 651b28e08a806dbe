"""A whole study with its report, by two versions of hw2tune in turns: `uv run python -m benchmarks.whole_study`.

The command is `hw2tune study benchmarks/tasks/cifar10-12500.toml --trials 50 --summarize`, once for each study seed and
version; each version uses the sampler that is its default. `--before FOLDER` is a checkout of the other version with
an environment of its own. A study takes half an hour on two processors, so finished ones are kept in `--keep`, and one
that was interrupted is continued (its seconds then say nothing, and are left out).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.processes import run_measured
from benchmarks.records import read_ours
from benchmarks.results import print_table, write_results

STUDY = Path(__file__).parent / "tasks" / "cifar10-12500.toml"
COMMAND = ("--trials", "50", "--summarize")
HYPERPARAMETERS = ("optimizer", "learning_rate", "batch_size", "momentum", "weight_decay")
CLAIM = ("variant", "against", "verdict", "n", "difference", "low", "high")  # the last three as fractions
SEEDS = (0, 1, 2)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--before", type=Path, required=True, help="a checkout of the earlier version")
    options.add_argument("--keep", type=Path, required=True, help="where the studies are; finished ones stay")
    options.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    arguments = options.parse_args()
    now = Path(__file__).parents[1]
    rows = []
    for seed in arguments.seeds:
        versions = [("now", now, Path(sys.executable)), ("before", arguments.before, _python(arguments.before))]
        for version, checkout, python in versions if seed % 2 == 0 else versions[::-1]:
            rows.append(studied(arguments.keep.resolve(), version, checkout, python, seed))
            print(rows[-1], flush=True)
    print_table([{key: value for key, value in row.items() if key != "pairs"} for row in rows])
    write_results("whole-study", {"study": STUDY.name, "command": " ".join(COMMAND), "rows": rows})


def _python(checkout: Path) -> Path:
    return checkout / ".venv" / "bin" / "python"


def studied(keep: Path, version: str, checkout: Path, python: Path, seed: int) -> dict[str, Any]:
    """Run one study with its report, unless it is finished, and read what came of it."""
    results, done = keep / f"{version}-{seed}", keep / f"{version}-{seed}.json"
    if not done.exists():
        continued = results.exists()
        keep.mkdir(parents=True, exist_ok=True)
        sampler = "guided" if version == "before" else "tpe"
        ran = run_measured(
            [
                str(python), "-m", "hw2tune", "study", str(STUDY), *COMMAND, "--seed", str(seed), "--sampler", sampler,
                "--results-dir", str(results), "--quiet",
            ],
            environment=os.environ, cwd=keep, log=keep / f"{version}-{seed}.log",
        )  # fmt: skip
        commit = subprocess.check_output(["git", "-C", str(checkout), "rev-parse", "--short", "HEAD"], text=True)
        took = {"command_seconds": None if continued else round(ran.seconds), "cpu_seconds": round(ran.cpu_seconds)}
        done.write_text(json.dumps({"commit": commit.strip()} | took))
    kept: dict[str, Any] = json.loads(done.read_text())
    interrupted = {"search_seconds": None} if kept["command_seconds"] is None else {}
    return {"version": version, "seed": seed} | kept | learned(results) | interrupted


def learned(results: Path) -> dict[str, Any]:
    """What the records and the report's tables say."""
    times = read_ours(results)
    (study,) = results.glob("*/report/tables")
    trials, variants, pairs = (pd.read_csv(study / f"{name}.csv") for name in ("trials", "variants", "pairs"))
    states = trials["state"].value_counts()
    variants = variants.set_index("variant")
    tuned = variants.loc["tuned"]
    return {
        "search_seconds": round(max(trial.end for trial in times) - min(trial.start for trial in times)),
        "epochs": sum(trial.epochs for trial in times),
        "complete": int(states.get("complete", 0)),
        "pruned": int(states.get("pruned", 0)),
        "diverged": int(states.get("diverged", 0)),
        "best_validation": float(trials["value"].max()),
        "winner": {name: tuned.to_dict()[name] for name in HYPERPARAMETERS if not pd.isna(tuned[name])},
        "n": variants["n"].to_dict()["tuned"],
        "test": {name: float(row["test_accuracy"]) for name, row in variants.iterrows()},
        "pairs": [{name: row[name] for name in CLAIM if not pd.isna(row[name])} for row in pairs.to_dict("records")],
    }


if __name__ == "__main__":
    main()
