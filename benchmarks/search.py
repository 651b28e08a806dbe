"""What a search finds for its cost: `uv run python -m benchmarks.search`.

Every search may spend the same number of epochs on mnist-5k; training code, data and space are hw2tune's in all of
them, so that only the deciding differs: `ours` (TPE, asynchronous halving, the published configurations first),
`random` and `tpe` (no pruning, nothing first), `ray` (Tune's OptunaSearch and ASHA with their defaults). The first
three run hw2tune's own parts one trial after another, without Ray; `ray` is Tune itself, one trial at a time. A search
sees validation images only; the test accuracy of what it would choose is read beside it.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from scipy import stats

from benchmarks.results import print_table, write_results

CONTESTANTS = ("ours", "random", "tpe", "ray")
FRACTIONS = (0.25, 0.5, 1.0)


def main() -> None:
    options = _options()
    seeds, budget = (2, 12) if options.quick else (options.rounds, options.budget)
    # Seeds outside, contestants inside: they alternate, two at once.
    runs = [(contestant, seed) for seed in range(seeds) for contestant in CONTESTANTS]
    with ThreadPoolExecutor(2) as pool:
        epochs = dict(zip(runs, pool.map(lambda run: _search(*run, budget), runs), strict=True))
    found = [
        _compare(epochs, seeds, contestant, math.ceil(budget * fraction))
        for fraction in FRACTIONS
        for contestant in CONTESTANTS
    ]
    print_table([{key: _shown(value) for key, value in row.items()} for row in found])
    spent = {f"{contestant} {seed}": epochs[contestant, seed] for contestant, seed in runs}
    name = "search.quick" if options.quick else "search"
    write_results(name, {"seeds": seeds, "budget_epochs": budget, "comparisons": found, "epochs": spent})


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="seeds, at least 2")
    parser.add_argument("--budget", type=int, default=80, help="epochs of a search")
    parser.add_argument("--quick", action="store_true", help="two seeds, few epochs: does it run?")
    return parser.parse_args()


def _search(contestant: str, seed: int, budget: int) -> list[list[float]]:
    """The epochs of one search, in a process of its own: pairs of validation and test accuracy."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as scratch:
        out = Path(scratch) / "epochs.json"
        arguments = [contestant, str(seed), str(budget), scratch, str(out)]
        command = [sys.executable, "-m", "benchmarks.contestants.search", *arguments]
        done = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{contestant}, seed {seed}:\n{done.stdout[-3000:]}")
        print(f"seed {seed}: {contestant}", flush=True)
        return json.loads(out.read_text())


def _compare(epochs: dict[tuple[str, int], list[list[float]]], seeds: int, name: str, spent: int) -> dict[str, Any]:
    """Means and standard deviations over seeds, and ours minus this contestant with a 95 % t interval."""
    validation, test = zip(*(_chosen(epochs[name, seed], spent) for seed in range(seeds)), strict=True)
    row: dict[str, Any] = {
        "epochs": spent,
        "contestant": name,
        "validation": statistics.mean(validation),
        "validation sd": statistics.stdev(validation),
        "test": statistics.mean(test),
        "test sd": statistics.stdev(test),
    }
    ours = [_chosen(epochs["ours", seed], spent)[1] for seed in range(seeds)]
    differences = [mine - theirs for mine, theirs in zip(ours, test, strict=True)]
    half = stats.t.ppf(0.975, seeds - 1) * statistics.stdev(differences) / math.sqrt(seeds)
    mean = statistics.mean(differences)
    return row | {"ours - it (test)": mean, "from": mean - half, "to": mean + half}


def _chosen(epochs: list[list[float]], spent: int) -> tuple[float, float]:
    """Validation and test accuracy of the epoch that validation chooses among those spent, the first of equals."""
    validation, test = max(epochs[:spent], key=lambda pair: pair[0])
    return validation, test


def _shown(value: Any) -> Any:
    return f"{100 * value:+.2f} %" if isinstance(value, float) else value


if __name__ == "__main__":
    main()
