"""What ships against what could take its place: `python -m benchmarks.search_experiments --keep FILE`.

The cells, endpoints and intervals of experiment A and, with `--others`, of the comparison with other libraries, which
were written down before the first of them was run (`benchmarks/search_experiments.md`). Searches are kept in a file, so
that the same command goes on where it ended; with `--tasks` and `--workers` they are run in pieces. Nothing is trained.
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
from benchmarks.replay.rows import CONFIRMING, SHARE, SUBSET, TUNING
from benchmarks.replay.scoring import Array, between_tables, compared, gain
from benchmarks.replay.searches import world
from benchmarks.results import print_table, write_results
from benchmarks.search import Search, Searches
from benchmarks.search_tasks import TASKS

OURS, RIVAL = "ours", "tpe + halving"  # TPE as Optuna has it
CONTESTANTS = (HEADLINE, OURS, RIVAL, "sobol + halving", "random")
OTHERS = ("priorband", "smac3", "syne tune's bohb", "syne tune's asha + cqr", "ax")
TABLES = {"mnist-5k": "all", "mnist-5k-cross-entropy": "all", "cifar10-5k": "all", "digits-schedules": TUNING}
FOR_OTHERS = TABLES | {"digits-schedules": CONFIRMING}
TRAININGS = 24  # a search does not know its budget: all `BUDGETS` are read off one
WORKERS = (1, 8, 16, 64)
SEARCHES, PARTS, PART_SEARCHES = 60, 12, 6  # for a cell; parts of a table, and searches on each
OTHER_SEARCHES = 100


class Cell:
    """A table or a part of it, with so many trials at once: searches of every contestant."""

    def __init__(self, task: str, rows: str, workers: int, searches: int, trainings: int = TRAININGS) -> None:
        self.task, self.rows, self.workers, self.searches, self.trainings = task, rows, workers, searches, trainings
        self.epochs = TASKS[task].study.max_epochs

    def wanted(self, contestant: str) -> list[Search]:
        """Its searches, paired by seed with those of the others."""
        budget = self.trainings * self.epochs
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
    """Who is compared with whom: each with the headline, and ours with its rival; other libraries with ours."""
    if {*names} & {*OTHERS}:
        return [(name, OURS) for name in names if name != OURS]
    return [(name, HEADLINE) for name in names[1:]] + [(OURS, RIVAL)] * ({OURS, RIVAL} <= {*names})


def gains(kept: Searches, cell: Cell, names: Sequence[str], drawn: Sequence[Cell] = ()) -> list[dict[str, Any]]:
    """One search at a time: the gains, a line a budget and question; with parts the interval for other tables too."""
    whole = cell.curves(kept, names)
    of_parts, lines = [one.curves(kept, names) for one in drawn], []
    for budget in (one for one in BUDGETS if one <= cell.trainings):
        at = budget * cell.epochs - 1
        for name, other in questions(names):
            here, *there = (gain(one[name][:, at], one[other][:, at]) for one in (whole, *of_parts))
            line = {"task": cell.task, "trainings": budget, "contestant": name, "over": other}
            line |= {"mean": round(here.mean, 3), "between searches": str(here)}
            if there:
                line["between tables"] = str(between_tables(here.mean, [one.mean for one in there], SHARE))
            lines.append(line)
    return lines


def over_tasks(lines: Sequence[dict[str, Any]], names: Sequence[str]) -> list[dict[str, Any]]:
    """The mean gain with the task as the unit, and a t interval over tasks."""
    found = []
    for budget in sorted({line["trainings"] for line in lines}):
        for asked in questions(names):
            of = (line for line in lines if line["trainings"] == budget)
            each = np.array([line["mean"] for line in of if (line["contestant"], line["over"]) == asked])
            half = float(stats.t.ppf(0.975, len(each) - 1) * each.std(ddof=1) / len(each) ** 0.5)
            text = f"{each.mean():+.2f} ({each.mean() - half:+.2f} to {each.mean() + half:+.2f})"
            line = {"trainings": budget, "contestant": asked[0], "over": asked[1], "tasks": len(each), "gain": text}
            found.append(line)
    return found


def tabular(kept: Searches, options: argparse.Namespace) -> dict[str, list[dict[str, Any]]]:
    """Experiment A: the lines of its tables."""
    wanted, names = cells(options.tasks, options.workers, living=options.living), [HEADLINE, *options.contestants]
    drawn = {task: parts(task) if options.parts else [] for task in options.tasks}
    for cell in [*wanted, *(one for some in drawn.values() for one in some)]:
        kept.add([one for name in names for one in cell.wanted(name)], options.processes)
    results = {"cells": [line for cell in wanted for line in cell.tables(kept, names)]}
    if 1 in options.workers:
        wholes = {task: Cell(task, TABLES[task], 1, SEARCHES) for task in options.tasks}
        results["gains"] = [line for task, some in drawn.items() for line in gains(kept, wholes[task], names, some)]
        if len(options.tasks) > 1:
            results["over tasks"] = over_tasks(results["gains"], names)
    return results


def others(kept: Searches, options: argparse.Namespace) -> dict[str, list[dict[str, Any]]]:
    """Ours, random draws with the same halving, and other libraries: one search at a time."""
    names, lines = [OURS, HEADLINE, *options.contestants], list[dict[str, Any]]()
    for cell in (Cell(task, FOR_OTHERS[task], 1, OTHER_SEARCHES, options.trainings) for task in options.tasks):
        kept.add([one for name in names for one in cell.wanted(name)], options.processes)
        lines += gains(kept, cell, names)
    return {"gains": lines} | ({"over tasks": over_tasks(lines, names)} if len(options.tasks) > 1 else {})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", type=Path, required=True, help="a file of searches; what is in it is not run again")
    parser.add_argument("--tasks", nargs="*", choices=list(TABLES), default=list(TABLES))
    parser.add_argument("--workers", nargs="*", type=int, default=list(WORKERS))
    parser.add_argument("--contestants", nargs="*", choices=CONTESTANTS[1:], default=list(CONTESTANTS[1:]))
    parser.add_argument("--living", action="store_true", help="the searches on living rows too")
    parser.add_argument("--parts", action="store_true", help="the searches between tables too")
    parser.add_argument("--others", nargs="+", choices=OTHERS, help="these libraries instead")
    parser.add_argument("--trainings", type=int, choices=BUDGETS, default=TRAININGS, help="budget of `--others`")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    options = parser.parse_args()
    if options.others:
        options.contestants = options.others
    name, compare = (f"others-{options.trainings}", others) if options.others else ("shipped-tables", tabular)
    results = compare(Searches(options.keep), options)
    for lines in results.values():
        print_table(lines)
    write_results(f"search-{name}", results)


if __name__ == "__main__":
    main()
