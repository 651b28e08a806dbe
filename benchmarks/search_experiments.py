"""The registered experiments on the search: `python -m benchmarks.search_experiments --keep FILE`; see the page beside.

`benchmarks/search_experiments.md` was written before the first of them was run. Searches are kept in a file, so that
the same command goes on where it ended; with `--tasks` and `--workers` they are run in pieces. Nothing is trained.
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
from benchmarks.replay.rows import SHARE
from benchmarks.replay.scoring import Array, between_tables, compared, gain
from benchmarks.replay.searches import world
from benchmarks.results import print_table, write_results
from benchmarks.search import Search, Searches
from benchmarks.search_tasks import TASKS

CONTESTANTS = (HEADLINE, "ours", "ours - model", "tpe + halving", "sobol + halving", "random")
TABLES = {"mnist-5k": "all", "mnist-5k-cross-entropy": "all", "cifar10-5k": "all", "digits-schedules": "tuning"}
TRAININGS, BUDGETS = 24, (6, 12, 24)  # a search does not know its budget: all are read off one
WORKERS = (1, 8, 16, 64)
SEARCHES, PARTS, PART_SEARCHES = 60, 20, 10  # for a cell; parts of a table, and searches on each


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
                task=self.task, contestant=contestant, seed=seed, budget=budget, workers=self.workers, rows=self.rows
            )
            for seed in range(self.searches)
        ]

    def curves(self, kept: Searches) -> dict[str, Array]:
        """(S, E) scores by contestant."""
        return {name: kept.by_epochs(self.wanted(name)) for name in CONTESTANTS}

    def tables(self, kept: Searches) -> list[dict[str, Any]]:
        """A line for each budget and contestant."""
        curves, scale = self.curves(kept), world(self.task, "pool", self.rows).best_and_median
        named = {"task": self.task, "rows": self.rows, "workers": self.workers}
        return [
            {**named, "trainings": budget, **line}
            for budget in BUDGETS
            for line in compared(curves, scale, budget * self.epochs, HEADLINE)
        ]


def cells(tasks: Sequence[str], workers: Sequence[int]) -> list[Cell]:
    """The cells of experiment A: every number of workers, and with one worker the living rows."""
    found = [Cell(task, TABLES[task], count, SEARCHES) for task in tasks for count in workers]
    if 1 in workers:
        found += [Cell(task, _and(TABLES[task], "living"), 1, SEARCHES) for task in tasks]
    return found


def parts(task: str) -> list[Cell]:
    """Two thirds of a table, drawn again and again."""
    return [Cell(task, _and(TABLES[task], f"subset-{part}"), 1, PART_SEARCHES) for part in range(PARTS)]


def _and(rows: str, part: str) -> str:
    return part if rows == "all" else f"{rows}+{part}"


def between(kept: Searches, task: str) -> list[dict[str, Any]]:
    """The gains over the headline with the interval for other tables, a line a budget and contestant."""
    whole, drawn = Cell(task, TABLES[task], 1, SEARCHES).curves(kept), [one.curves(kept) for one in parts(task)]
    lines = []
    for budget in BUDGETS:
        at = budget * TASKS[task].study.max_epochs - 1
        for name in CONTESTANTS[1:]:
            gains = [gain(one[name][:, at], one[HEADLINE][:, at]).mean for one in drawn]
            mean = gain(whole[name][:, at], whole[HEADLINE][:, at]).mean
            lines.append({"task": task, "trainings": budget, "contestant": name, "mean": mean,
                          "between tables": str(between_tables(mean, gains, SHARE))})  # fmt: skip
    return lines


def over_tasks(lines: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The mean gain with the task as the unit, and a t interval over tasks."""
    found = []
    for budget in BUDGETS:
        for name in CONTESTANTS[1:]:
            each = np.array(
                [line["mean"] for line in lines if (line["trainings"], line["contestant"]) == (budget, name)]
            )
            half = float(stats.t.ppf(0.975, len(each) - 1) * each.std(ddof=1) / len(each) ** 0.5)
            text = f"{each.mean():+.2f} ({each.mean() - half:+.2f} to {each.mean() + half:+.2f})"
            found.append({"trainings": budget, "contestant": name, "tasks": len(each), "gain": text})
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", type=Path, required=True, help="a file of searches; what is in it is not run again")
    parser.add_argument("--tasks", nargs="*", choices=list(TABLES), default=list(TABLES))
    parser.add_argument("--workers", nargs="*", type=int, default=list(WORKERS))
    parser.add_argument("--parts", action="store_true", help="the searches between tables too")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    options = parser.parse_args()
    kept, wanted = Searches(options.keep), cells(options.tasks, options.workers)
    of_parts = [one for task in options.tasks for one in parts(task)] if options.parts else []
    for cell in [*wanted, *of_parts]:
        kept.add([one for name in CONTESTANTS for one in cell.wanted(name)], options.processes)
    lines = [line for cell in wanted for line in cell.tables(kept)]
    print_table(lines)
    results: dict[str, Any] = {"cells": lines}
    if options.parts:
        results["between tables"] = [line for task in options.tasks for line in between(kept, task)]
        results["over tasks"] = over_tasks(results["between tables"])
        print_table(results["between tables"])
        print_table(results["over tasks"])
    write_results("search-experiment-a", results)


if __name__ == "__main__":
    main()
