"""What a search finds for its cost: `uv run --with syne-tune==0.16.0 --with smac==2.4.1 python -m benchmarks.search`.

Replays searches on the tables of `benchmarks.search_tables` (see `benchmarks.replay`), hundreds of seeds each, paired
by seed. Every contestant gets the study's references first, and each sees the validation values of one training seed
alone; it is scored by the test accuracy of the configuration that it would return, as a mean over seeds that it has not
seen. What is compared, and how, was written down before: benchmarks/search_experiments.md.
"""

from __future__ import annotations

import argparse
import json
import math
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import optuna

from benchmarks.replay.contestants import CONTESTANTS, HEADLINE
from benchmarks.replay.forest import Forest
from benchmarks.replay.scoring import Array, anytime, compared
from benchmarks.replay.searches import search, world
from benchmarks.replay.table import Found
from benchmarks.results import print_table, write_results
from benchmarks.search_tasks import TASKS

MOMENTS = 60  # of simulated time at which what would be returned is kept


@dataclass(frozen=True, kw_only=True)
class Search:
    """One search. `budget` is in epochs; a contestant that runs `longer` spends a multiple of it."""

    task: str
    contestant: str
    seed: int
    budget: int
    workers: int = 1
    kind: str = "pool"
    rows: str = "all"
    longer: bool = True  # if its contestant does

    def run(self) -> tuple[list[float], list[float]]:
        """The score of what it would return behind each epoch, and at each moment of simulated time."""
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        contestant, place = CONTESTANTS[self.contestant], world(self.task, self.kind, self.rows)
        epochs = self.budget * contestant.longer if self.longer and self.kind != "live" else self.budget
        found = search(place, contestant, seed=self.seed, epochs=epochs, workers=self.workers)
        end = self.budget * place.typical_seconds / self.workers
        by_epochs = _filled(found, [one.epochs for one in found], np.arange(1, epochs + 1))
        return by_epochs, _filled(found, [one.seconds for one in found], np.linspace(0, end, MOMENTS + 1)[1:])


def _filled(found: list[Found], at: Sequence[float], wanted: Any) -> list[float]:
    """The score at each wanted place, that of the last change before it; NaN before the first."""
    last = np.searchsorted(at, wanted, side="right") - 1
    return [round(found[i].score, 5) if i >= 0 else math.nan for i in last]


class Searches:
    """Searches with their scores by epoch and by moment, in a file where one is named: a second call goes on there."""

    def __init__(self, path: Path | None = None) -> None:
        self.path, self.scores = path, dict[Search, tuple[list[float], list[float]]]()
        if path is not None and path.exists():
            whole = path.read_text()
            whole = whole[: whole.rfind("\n") + 1]  # a kill may tear the last line
            path.write_text(whole)
            for line in map(json.loads, whole.splitlines()):
                self.scores[Search(**line["search"])] = line["epochs"], line["moments"]

    def add(self, searches: Sequence[Search], processes: int) -> None:
        """Run what is not there yet."""
        missing = [one for one in dict.fromkeys(searches) if one not in self.scores]
        with ProcessPoolExecutor(processes) as pool:
            for done, (one, found) in enumerate(zip(missing, pool.map(Search.run, missing), strict=True), start=1):
                self.scores[one] = found
                if self.path is not None:
                    line = {"search": asdict(one), "epochs": found[0], "moments": found[1]}
                    with self.path.open("a") as file:
                        file.write(json.dumps(line) + "\n")
                if done % 100 == 0 or one.kind == "live":
                    print(f"{done} of {len(missing)} searches: {one}", flush=True)

    def by_epochs(self, searches: Sequence[Search]) -> Array:
        """(S, E) scores."""
        return np.array([self.scores[one][0] for one in searches])

    def by_moments(self, searches: Sequence[Search]) -> Array:
        """(S, MOMENTS) scores."""
        return np.array([self.scores[one][1] for one in searches])


def main() -> None:
    options = _options()
    names = options.contestants or [name for name, one in CONTESTANTS.items() if not one.needs or find_spec(one.needs)]
    budget = options.budget * TASKS[options.task].study.max_epochs
    common = {"task": options.task, "kind": options.kind, "rows": options.rows, "workers": options.workers}
    wanted = {
        name: [Search(contestant=name, seed=seed, budget=budget, **common) for seed in range(options.seeds)]
        for name in names
    }
    searches = Searches(options.keep)
    searches.add([wanted[name][seed] for seed in range(options.seeds) for name in names], options.processes)
    curves = {name: searches.by_epochs(some) for name, some in wanted.items()}
    scale = world(options.task, "pool", options.rows).best_and_median
    rows = compared(curves, scale, budget, options.against)
    print_table(rows)
    settings = common | {"seeds": options.seeds, "budget_epochs": budget, "best_and_median": scale}
    place = world(options.task, options.kind, options.rows)
    if isinstance(place, Forest):
        settings |= place.quality()
    print(settings)
    if not options.dry:
        content = {"contestants": rows, "test": {name: anytime(one[:, :budget]) for name, one in curves.items()}}
        content["simulated_seconds"] = round(budget * place.typical_seconds / options.workers, 1)
        content["test_by_time"] = {name: anytime(searches.by_moments(some)) for name, some in wanted.items()}
        parts = (options.task, options.kind, *([options.rows] if options.rows != "all" else []), options.workers)
        write_results("-".join(["search", *map(str, parts)]), settings | content)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", choices=list(TASKS), default="mnist-5k")
    parser.add_argument("--kind", choices=["pool", "forest", "live"], default="pool")
    parser.add_argument("--rows", default="all", help="parts of the table, see benchmarks/replay/rows.py")
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--budget", type=int, default=12, help="as much as so many whole trainings")
    parser.add_argument("--workers", type=int, default=1, help="trials at once, in simulated time")
    parser.add_argument("--contestants", nargs="*", choices=list(CONTESTANTS))
    parser.add_argument("--against", choices=list(CONTESTANTS), default=HEADLINE, help="one of the contestants")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--keep", type=Path, help="a file of searches; what is in it is not run again")
    parser.add_argument("--dry", action="store_true", help="print and write nothing")
    return parser.parse_args()


if __name__ == "__main__":
    main()
