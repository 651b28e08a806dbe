"""The same 24 trainings end to end, by five ways to run them: `uv run python -m benchmarks.study quickstart`.

Each contestant is a whole process that runs the same list of configurations, every one for all its epochs, on all
cores. `ours` is `hw2tune study` on a study whose storage holds the list; the others stand in `contestants/`.
`ray-floor` trains nothing: it is the start-up that no study on Ray can be quicker than. See README.md here.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.job import prepared
from benchmarks.processes import run_measured
from benchmarks.records import Trial, read_ours, read_records
from benchmarks.results import print_table, write_results

ROOT = Path(__file__).parents[1]
# Beside our pins, in an environment that uv keeps for it: the project does not depend on it.
WITH_SYNE_TUNE = ("uv", "run", "--with", "syne-tune==0.16.0")
CONTESTANTS = ("ours", "ray-tutorial", "optuna-workers", "syne-tune", "ray-floor")


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What is trained: a shipped study, its epochs, and how many images of its data set (None for all)."""

    study: str
    epochs: int
    images: int | None = None
    trials: int = 24


BUDGETS = {
    "quickstart": Budget(study="quickstart", epochs=5),
    "cifar10": Budget(study="cifar10", epochs=2, images=10_000),
}


def main() -> None:
    options = _options()
    budget = BUDGETS[options.budget]
    if options.quick:
        budget = replace(budget, epochs=2, trials=4, images=budget.images and 1_000)
    rounds = 1 if options.quick else options.rounds
    if "syne-tune" in options.only:
        subprocess.run([*WITH_SYNE_TUNE, "python", "-c", "import syne_tune"], check=True)  # fetched before the clock
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in options.only}
    for number in range(rounds):
        turn = number % len(options.only)
        for contestant in [*options.only[turn:], *options.only[:turn]]:
            print(f"round {number + 1}: {contestant}", flush=True)
            runs[contestant].append(_run(contestant, budget))
    rows = _table(runs)
    print_table(rows)
    name = f"study-{options.budget}" + (".quick" if options.quick else "")
    write_results(name, {"budget": asdict(budget), "memory": "PSS of the process tree", "medians": rows, "runs": runs})


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("budget", choices=BUDGETS, nargs="?", default="quickstart")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="one round of 4 trials: does it run?")
    parser.add_argument("--only", nargs="+", choices=CONTESTANTS, default=list(CONTESTANTS))
    return parser.parse_args()


def _run(contestant: str, budget: Budget) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="benchmark-") as scratch:
        job, path = prepared(Path(scratch), budget.study, budget.epochs, budget.trials, budget.images)
        environment = _environment(Path(scratch))
        try:
            measured = run_measured(
                _command(contestant, path, job.study), environment=environment, cwd=ROOT, log=Path(scratch) / "log"
            )
        except subprocess.CalledProcessError as error:
            sys.exit(f"{contestant} failed:\n{error.output}")
        trials = read_ours(Path(scratch) / "results") if contestant == "ours" else read_records(Path(job.records))
        return asdict(measured) | _figures(trials, measured.started, measured.cpu_seconds, job.slots, contestant)


def _command(contestant: str, job: Path, study: str) -> list[str]:
    python = [sys.executable, "-m"]
    match contestant:
        case "ours":
            results = str(job.parent / "results")
            return [*python, "hw2tune", "study", study, "--quiet", "--results-dir", results]
        case "ray-floor" | "ray-tutorial" | "optuna-workers":
            return [*python, f"benchmarks.contestants.{contestant.replace('-', '_')}", str(job)]
        case _:
            return [*WITH_SYNE_TUNE, "python", "-m", "benchmarks.contestants.syne_tune_launch", str(job)]


def _environment(scratch: Path) -> dict[str, str]:
    return os.environ | {
        "PYTHONPATH": str(ROOT),
        "HW2TUNE_CACHE": str(scratch / "cache"),
        "HW2TUNE_DATA": str(scratch / "data"),
        "SYNETUNE_FOLDER": str(scratch / "syne-tune"),
        "RAY_USAGE_STATS_ENABLED": "0",
        # Else Ray starts every worker of a driver under `uv run` through uv again: no tutorial is run that way.
        "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    }


def _figures(
    trials: Sequence[Trial], started: float, cpu_seconds: float, slots: int, contestant: str
) -> dict[str, Any]:
    """Times from the start of the process. A gap lies between the end of a trial and the next in the same slot."""
    first = min(trial.first_epoch_end for trial in trials) - started
    if contestant == "ray-floor":
        return {"first_epoch_seconds": first}
    seconds = max(trial.end for trial in trials) - started
    return {
        "first_epoch_seconds": first,
        "study_seconds": seconds,
        "trials_per_hour": len(trials) / seconds * 3600,
        "gap_seconds": statistics.median(_gaps(trials, slots) or [float("nan")]),
        "cpu_use": cpu_seconds / seconds / slots,
        "trials": len(trials),
        "epochs": sum(trial.epochs for trial in trials),
        "mean_accuracy": statistics.mean(trial.accuracy for trial in trials),
    }


def _gaps(trials: Sequence[Trial], slots: int) -> list[float]:
    """A trial takes the slot that has been free longest, whichever process it runs in."""
    ends: list[float] = []
    gaps = []
    for trial in sorted(trials, key=lambda trial: trial.start):
        if len(ends) == slots:
            gaps.append(trial.start - ends.pop(ends.index(min(ends))))
        ends.append(trial.end)
    return gaps


def _table(runs: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    keys = ("trials_per_hour", "study_seconds", "seconds", "first_epoch_seconds", "gap_seconds", "cpu_use", "peak_mib",
            "mean_accuracy", "trials", "epochs")  # fmt: skip
    medians: dict[str, dict[str, Any]] = {
        name: {key: statistics.median(run[key] for run in measured) if key in measured[0] else "" for key in keys}
        for name, measured in runs.items()
    }
    ours = medians.get("ours", {}).get("study_seconds")
    return [
        {"contestant": name, "study time / ours": row["study_seconds"] / ours if ours and row["study_seconds"] else ""}
        | row
        for name, row in medians.items()
    ]


if __name__ == "__main__":
    main()
