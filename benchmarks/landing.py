"""Searches that know their budget, and ones that are cut where it is spent: `python -m benchmarks.landing --keep FILE`.

The first are landed as a study with `--budget` is. The second are read off a search without a budget, which is what
studies were until November 2026: trials began until the last epoch was spent. Replayed on tables as in
`benchmarks.search`, paired by seed; nothing is trained. Searches are kept in the file: the same command goes on.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna

from benchmarks.replay.contestants import CONTESTANTS, HEADLINE
from benchmarks.replay.live import BUDGETS
from benchmarks.replay.rows import CONFIRMING, TUNING
from benchmarks.replay.scoring import gain
from benchmarks.replay.searches import search, world
from benchmarks.results import print_table, write_results
from benchmarks.search_tasks import TASKS

TABLES = {"mnist-5k": "all", "mnist-5k-cross-entropy": "all", "cifar10-5k": "all", "digits-schedules": TUNING}
COMPARED = (HEADLINE, "ours", "random")
WORKERS = (1, 8, 16, 64)

Key = tuple[str, str, str, int, int, int]  # task, rows, contestant, workers, trainings, seed
Ends = dict[str, list[float]]  # landed or cut -> score, complete trials and epochs spent


def ends(key: Key, cut_at: Sequence[int]) -> Iterator[tuple[Key, str, list[float]]]:
    """Run a search with the budget of `key`, and with its largest one without knowing it, for all of `cut_at`."""
    task, rows, name, workers, trainings, seed = key
    place, contestant, whole = world(task, "pool", rows), CONTESTANTS[name], TASKS[task].study.max_epochs
    common: dict[str, Any] = {"seed": seed, "workers": workers}
    found = search(place, contestant, epochs=trainings * whole, landed=True, **common)
    yield key, "landed", [found[-1].score, found[-1].complete, found[-1].epochs]
    if cut_at:
        found = search(place, contestant, epochs=max(cut_at) * whole, **common)
        for budget in cut_at:
            one = [end for end in found if end.epochs <= budget * whole][-1]
            yield (task, rows, name, workers, budget, seed), "cut", [one.score, one.complete, one.epochs]


class Kept:
    """The ends of searches, in a file."""

    def __init__(self, path: Path) -> None:
        self.path, self.ends = path, dict[Key, Ends]()
        for line in path.read_text().splitlines() if path.exists() else []:
            key, way, end = json.loads(line)
            self.ends.setdefault(tuple(key), {})[way] = end

    def add(self, keys: Sequence[Key]) -> None:
        """Run what is not there yet."""
        for key in keys:
            known = self.ends.get(key, {})
            if {"landed", "cut"} <= known.keys():
                continue
            cut_at = [] if "cut" in known else BUDGETS
            for one, way, end in ends(key, cut_at):
                self.ends.setdefault(one, {})[way] = end
                with self.path.open("a") as file:
                    file.write(json.dumps([one, way, end]) + "\n")


def lines(kept: Kept, tables: Mapping[str, str], workers: Sequence[int], names: Sequence[str]) -> list[dict[str, Any]]:
    """A line for each table and its rows, number of workers, budget and contestant: what landing gains."""
    found = []
    for task, rows in tables.items():
        for count, budget, name in ((w, b, n) for w in workers for b in BUDGETS for n in names):
            cell = (task, rows, name, count, budget)
            both = [one for key, one in kept.ends.items() if key[:-1] == cell and len(one) == 2]
            if len(both) < 2:
                continue
            landed, cut = (np.array([one[way] for one in both]) for way in ("landed", "cut"))
            found.append({
                "task": task, "rows": rows, "workers": count, "trainings": budget, "contestant": name,
                "searches": len(both), "cut": f"{100 * cut[:, 0].mean():.2f}",
                "landed": f"{100 * landed[:, 0].mean():.2f}",
                "gain": str(gain(landed[:, 0], cut[:, 0])),
                "complete, cut": f"{cut[:, 1].mean():.1f}", "complete, landed": f"{landed[:, 1].mean():.1f}",
                "spent": f"{landed[:, 2].mean() / (budget * TASKS[task].study.max_epochs):.2f}",
            })  # fmt: skip
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", type=Path, required=True, help="a file of searches; what is in it is not run again")
    parser.add_argument("--tasks", nargs="*", choices=list(TABLES), default=list(TABLES))
    parser.add_argument("--half", choices=[TUNING, CONFIRMING], default=TUNING, help="of digits-schedules")
    parser.add_argument("--workers", nargs="*", type=int, default=list(WORKERS))
    parser.add_argument("--contestants", nargs="*", choices=COMPARED, default=list(COMPARED))
    parser.add_argument("--seeds", type=int, default=60)
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    kept = Kept(options.keep)
    tables = {task: options.half if rows == TUNING else rows for task, rows in TABLES.items() if task in options.tasks}
    for seed in range(options.seeds):
        kept.add([
            (task, rows, name, count, budget, seed)
            for task, rows in tables.items()
            for count in options.workers for budget in BUDGETS for name in options.contestants
        ])  # fmt: skip
    table = lines(kept, tables, options.workers, options.contestants)
    print_table(table)
    write_results("landing" if options.half == TUNING else f"landing-{options.half}", {"cells": table})


if __name__ == "__main__":
    main()
