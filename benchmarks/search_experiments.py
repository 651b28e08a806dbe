"""What ships against what could take its place: `python -m benchmarks.search_experiments --keep FILE`.

The cells, endpoints and intervals of experiments A and C, which were written down before the first of them was run
(`benchmarks/search_experiments.md`). Searches are kept in a file, so that the same command goes on where it ended; with
`--tasks` and `--workers` they are run in pieces. Nothing is trained, except with `--live`.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from benchmarks.replay.contestants import HEADLINE
from benchmarks.replay.live import BUDGETS
from benchmarks.replay.rows import SHARE, SUBSET
from benchmarks.replay.scoring import Array, between_tables, compared, gain
from benchmarks.replay.searches import world
from benchmarks.results import print_table, write_results
from benchmarks.search import Search, Searches
from benchmarks.search_tasks import TASKS

CONTESTANTS = (HEADLINE, "ours", "tpe + halving", "sobol + halving", "random")
RIVAL = "tpe + halving"  # TPE as Optuna has it
TABLES = {"mnist-5k": "all", "mnist-5k-cross-entropy": "all", "cifar10-5k": "all", "digits-schedules": "tuning"}
TRAININGS = 24  # a search does not know its budget: all `BUDGETS` are read off one
WORKERS = (1, 8, 16, 64)
SEARCHES, PARTS, PART_SEARCHES = 60, 12, 6  # for a cell; parts of a table, and searches on each
LIVE_TASK, LIVE_CONTESTANTS, PAIRS = "digits-schedules", CONTESTANTS[:3], 48  # experiment C


class Cell:
    """A table or a part of it, with so many trials at once: searches of every contestant."""

    def __init__(self, task: str, rows: str, workers: int, searches: int) -> None:
        self.task, self.rows, self.workers, self.searches = task, rows, workers, searches
        self.epochs = TASKS[task].study.max_epochs

    def wanted(self, contestant: str) -> list[Search]:
        """Its searches, paired by seed with those of the others."""
        budget = TRAININGS * self.epochs
        return [
            Search(
                task=self.task,
                contestant=contestant,
                seed=seed,
                budget=budget,
                workers=self.workers,
                rows=self.rows,
                longer=SUBSET not in self.rows,
            )
            for seed in range(self.searches)
        ]

    def curves(self, kept: Searches, names: Sequence[str]) -> dict[str, Array]:
        """(S, E) scores by contestant."""
        return {name: kept.by_epochs(self.wanted(name)) for name in names}

    def tables(self, kept: Searches, names: Sequence[str]) -> list[dict[str, Any]]:
        """A line for each budget and contestant."""
        curves, scale = self.curves(kept, names), world(self.task, "pool", self.rows).best_and_median
        named = {"task": self.task, "rows": self.rows, "workers": self.workers}
        return [
            {**named, "trainings": budget, **line}
            for budget in BUDGETS
            for line in compared(curves, scale, budget * self.epochs, HEADLINE)
        ]


def cells(tasks: Sequence[str], workers: Sequence[int], *, living: bool) -> list[Cell]:
    """The cells of experiment A: every number of workers, and with one worker the living rows."""
    found = [Cell(task, TABLES[task], count, SEARCHES) for task in tasks for count in workers]
    return found + [Cell(task, _and(TABLES[task], "living"), 1, SEARCHES) for task in tasks if living]


def parts(task: str) -> list[Cell]:
    """Two thirds of a table, drawn again and again."""
    return [Cell(task, _and(TABLES[task], f"{SUBSET}{part}"), 1, PART_SEARCHES) for part in range(PARTS)]


def _and(rows: str, part: str) -> str:
    return part if rows == "all" else f"{rows}+{part}"


def questions(names: Sequence[str]) -> list[tuple[str, str]]:
    """Who is compared with whom: each with the headline, and ours with its rival."""
    return [(name, HEADLINE) for name in names[1:]] + [("ours", RIVAL)] * ({"ours", RIVAL} <= {*names})


def gains(kept: Searches, task: str, names: Sequence[str], drawn: Sequence[Cell]) -> list[dict[str, Any]]:
    """One search at a time: the gains, a line a budget and question; with parts the interval for other tables too."""
    whole = Cell(task, TABLES[task], 1, SEARCHES).curves(kept, names)
    of_parts, lines = [one.curves(kept, names) for one in drawn], []
    for budget in BUDGETS:
        at = budget * TASKS[task].study.max_epochs - 1
        for name, other in questions(names):
            here, *there = (gain(one[name][:, at], one[other][:, at]) for one in (whole, *of_parts))
            line = {"task": task, "trainings": budget, "contestant": name, "over": other, "mean": round(here.mean, 3)}
            line["between searches"] = str(here)
            if there:
                line["between tables"] = str(between_tables(here.mean, [one.mean for one in there], SHARE))
            lines.append(line)
    return lines


def over_tasks(lines: Sequence[dict[str, Any]], names: Sequence[str]) -> list[dict[str, Any]]:
    """The mean gain with the task as the unit, and a t interval over tasks."""
    found = []
    for budget in BUDGETS:
        for asked in questions(names):
            of = (line for line in lines if line["trainings"] == budget)
            each = np.array([line["mean"] for line in of if (line["contestant"], line["over"]) == asked])
            half = float(stats.t.ppf(0.975, len(each) - 1) * each.std(ddof=1) / len(each) ** 0.5)
            text = f"{each.mean():+.2f} ({each.mean() - half:+.2f} to {each.mean() + half:+.2f})"
            line = {"trainings": budget, "contestant": asked[0], "over": asked[1], "tasks": len(each), "gain": text}
            found.append(line)
    return found


def live(kept: Searches, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Experiment C, a line a budget and contestant: accuracy on fresh seeds, gains over headline and rival."""
    epochs, pairs = TASKS[LIVE_TASK].study.max_epochs, options.live
    wanted = {
        name: [
            Search(task=LIVE_TASK, contestant=name, seed=seed, budget=TRAININGS * epochs, kind="live")
            for seed in range(pairs)
        ]
        for name in LIVE_CONTESTANTS
    }
    kept.add([some[seed] for seed in range(pairs) for some in wanted.values()], options.processes)
    curves, lines = {name: kept.by_epochs(some) for name, some in wanted.items()}, []
    for budget in BUDGETS:
        at = budget * epochs - 1
        for name, curve in curves.items():
            line = {"trainings": budget, "contestant": name, "pairs": pairs, "test": f"{100 * curve[:, at].mean():.2f}"}
            for other in (HEADLINE, RIVAL):
                line[f"over {other}"] = "-" if name == other else str(gain(curve[:, at], curves[other][:, at]))
            lines.append(line)
    return lines


def tabular(kept: Searches, options: argparse.Namespace) -> dict[str, list[dict[str, Any]]]:
    """Experiment A: the lines of its tables."""
    wanted, names = cells(options.tasks, options.workers, living=options.living), [HEADLINE, *options.contestants]
    drawn = {task: parts(task) if options.parts else [] for task in options.tasks}
    for cell in [*wanted, *(one for some in drawn.values() for one in some)]:
        kept.add([one for name in names for one in cell.wanted(name)], options.processes)
    results = {"cells": [line for cell in wanted for line in cell.tables(kept, names)]}
    if 1 in options.workers:
        results["gains"] = [line for task, some in drawn.items() for line in gains(kept, task, names, some)]
        if len(options.tasks) > 1:
            results["over tasks"] = over_tasks(results["gains"], names)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", type=Path, required=True, help="a file of searches; what is in it is not run again")
    parser.add_argument("--tasks", nargs="*", choices=list(TABLES), default=list(TABLES))
    parser.add_argument("--workers", nargs="*", type=int, default=list(WORKERS))
    parser.add_argument("--contestants", nargs="*", choices=CONTESTANTS[1:], default=list(CONTESTANTS[1:]))
    parser.add_argument("--living", action="store_true", help="the searches on living rows too")
    parser.add_argument("--parts", action="store_true", help="the searches between tables too")
    parser.add_argument("--live", type=int, metavar="PAIRS", help=f"experiment C alone, {PAIRS} pairs when it is whole")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    options = parser.parse_args()
    kept = Searches(options.keep)
    name, results = ("live", {"cells": live(kept, options)}) if options.live else ("tables", tabular(kept, options))
    for lines in results.values():
        print_table(lines)
    write_results(f"search-shipped-{name}", results)


if __name__ == "__main__":
    main()
