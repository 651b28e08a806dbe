"""Searches that know their budget, and ones that are cut where it is spent: `python -m benchmarks.landing --keep FILE`.

The first are landed as a study with `--budget` is. The second are read off a search without a budget, which is what
studies were until November 2026: trials began until the last epoch was spent. Replayed on tables as in
`benchmarks.search`, paired by seed; nothing is trained. Searches are kept in the file: the same command goes on.

`--brackets`: landed searches whose trials wait for each other at their rungs, and ones whose trials never do, whatever
the budget has for each slot.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import optuna

from benchmarks.replay.contestants import CONTESTANTS, HEADLINE
from benchmarks.replay.live import BUDGETS
from benchmarks.replay.rows import CONFIRMING, TUNING
from benchmarks.replay.scoring import gain
from benchmarks.replay.searches import search, world
from benchmarks.replay.table import Found
from benchmarks.results import print_table, write_results
from benchmarks.search_tasks import TASKS

TABLES = {"mnist-5k": "all", "mnist-5k-cross-entropy": "all", "cifar10-5k": "all", "digits-schedules": TUNING}
COMPARED = (HEADLINE, "ours", "random")
WORKERS = (1, 8, 16, 64)

Key = tuple[str, str, str, int, int, int]  # task, rows, contestant, workers, trainings, seed
Ends = dict[str, list[float]]  # way, as landed or cut -> score, complete trials, epochs spent, simulated seconds

LANDED, CUT = "landed", "cut"
BRACKET, EACH = "bracket", "each for itself"
WIDE = {BRACKET: math.inf, EACH: 0.0}  # epochs of the budget for each slot, with fewer of which trials wait


def ends(key: Key, cut_at: Sequence[int]) -> Iterator[tuple[Key, str, list[float]]]:
    """Run a search with the budget of `key`, and with its largest one without knowing it, for all of `cut_at`."""
    task, rows, name, workers, trainings, seed = key
    place, contestant, whole = world(task, "pool", rows), CONTESTANTS[name], TASKS[task].study.max_epochs
    common: dict[str, Any] = {"seed": seed, "workers": workers}
    found = search(place, contestant, epochs=trainings * whole, landed=True, **common)
    yield key, LANDED, _end(found[-1])
    if cut_at:
        found = search(place, contestant, epochs=max(cut_at) * whole, **common)
        for budget in cut_at:
            one = [end for end in found if end.epochs <= budget * whole][-1]
            yield (task, rows, name, workers, budget, seed), CUT, _end(one)


def _end(one: Found) -> list[float]:
    return [one.score, one.complete, one.epochs, one.seconds]


def in_brackets(key: Key) -> Iterator[tuple[Key, str, list[float]]]:
    """Run a search with the budget of `key` in both ways of WIDE."""
    task, rows, name, workers, trainings, seed = key
    place, epochs = world(task, "pool", rows), trainings * TASKS[task].study.max_epochs
    for way, wide in WIDE.items():
        with mock.patch("hw2tune.search.landing.WIDE", wide):
            found = search(place, CONTESTANTS[name], epochs=epochs, seed=seed, workers=workers, landed=True)
        yield key, way, _end(found[-1])


class Kept:
    """The ends of searches, in a file."""

    def __init__(self, path: Path) -> None:
        self.path, self.ends = path, dict[Key, Ends]()
        for line in path.read_text().splitlines() if path.exists() else []:
            key, way, end = json.loads(line)
            self.ends.setdefault(tuple(key), {})[way] = end

    def add(self, keys: Sequence[Key], *, brackets: bool = False) -> None:
        """Run what is not there yet."""
        for key in keys:
            known = self.ends.get(key, {})
            if (set(WIDE) if brackets else {LANDED, CUT}) <= known.keys():
                continue
            for one, way, end in in_brackets(key) if brackets else ends(key, [] if CUT in known else BUDGETS):
                self.ends.setdefault(one, {})[way] = end
                with self.path.open("a") as file:
                    file.write(json.dumps([one, way, end]) + "\n")


def lines(
    kept: Kept, tables: Mapping[str, str], workers: Sequence[int], names: Sequence[str], ways: tuple[str, str]
) -> list[dict[str, Any]]:
    """A line for each table and its rows, number of workers, budget and contestant: the second of two ways' gain."""
    found = []
    for task, rows in tables.items():
        for count, budget, name in ((w, b, n) for w in workers for b in BUDGETS for n in names):
            cell = (task, rows, name, count, budget)
            both = [one for key, one in kept.ends.items() if key[:-1] == cell and {*ways} <= one.keys()]
            if len(both) < 2:
                continue
            first, second = (np.array([one[way][:3] for one in both]) for way in ways)
            timed = [one[ways[1]][3] / one[ways[0]][3] for one in both if min(len(one[way]) for way in ways) > 3]
            found.append({
                "task": task, "rows": rows, "workers": count, "trainings": budget, "contestant": name,
                "searches": len(both), ways[0]: f"{100 * first[:, 0].mean():.2f}",
                ways[1]: f"{100 * second[:, 0].mean():.2f}", "gain": str(gain(second[:, 0], first[:, 0])),
                **{
                    f"complete, {way}": f"{one[:, 1].mean():.1f}"
                    for way, one in zip(ways, (first, second), strict=True)
                },
                "wall time": f"{np.median(timed):.2f}" if timed else "not kept",
                "spent": f"{second[:, 2].mean() / (budget * TASKS[task].study.max_epochs):.2f}",
            })  # fmt: skip
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", type=Path, required=True, help="a file of searches; what is in it is not run again")
    parser.add_argument("--tasks", nargs="*", choices=list(TABLES), default=list(TABLES))
    parser.add_argument("--half", choices=[TUNING, CONFIRMING], default=TUNING, help="of digits-schedules")
    parser.add_argument("--workers", nargs="*", type=int, default=list(WORKERS))
    parser.add_argument("--contestants", nargs="*", choices=COMPARED, default=list(COMPARED))
    parser.add_argument("--brackets", action="store_true", help="landed in brackets, and never in brackets")
    parser.add_argument("--seeds", type=int, nargs=2, default=[0, 60], help="the first, and the one behind the last")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    kept = Kept(options.keep)
    tables = {task: options.half if rows == TUNING else rows for task, rows in TABLES.items() if task in options.tasks}
    for seed in range(*options.seeds):
        kept.add([
            (task, rows, name, count, budget, seed)
            for task, rows in tables.items()
            for count in options.workers for budget in BUDGETS for name in options.contestants
        ], brackets=options.brackets)  # fmt: skip
    ways = (EACH, BRACKET) if options.brackets else (CUT, LANDED)
    table = lines(kept, tables, options.workers, options.contestants, ways)
    print_table(table)
    name = "brackets" if options.brackets else "landing"
    write_results(name if options.half == TUNING else f"{name}-{options.half}", {"cells": table})


if __name__ == "__main__":
    main()
