"""Trials that a search spends where training fails: `OMP_NUM_THREADS=1 uv run python -m benchmarks.failing`.

Accuracies are invented and nothing is trained: beyond an edge a trial fails, and the best is close to the edge. Each
search has 60 trials, one at a time unless `--workers` says more, through hw2tune's own driver. Draws of `tpe` that are
likely to fail are repeated; in its rival a failure is the worst value and no more. Minutes on one core.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import optuna
from optuna.samplers import BaseSampler
from scipy import stats

from benchmarks.replay.contestants import shipped
from benchmarks.replay.searches import Contestant, search
from benchmarks.results import print_table, write_results
from benchmarks.search_tasks import Task
from hw2tune.study.hyperparameters import Value
from hw2tune.study.schema import Sampler, Study

TRIALS, LATE = 60, 30  # of a search; those after the first LATE are counted
FIRST = 200  # seed; the spread of the coefficients and CAUTION were chosen on seeds below
Edge = Callable[[Mapping[str, Any]], float]  # how far beyond the edge a configuration is, in powers of ten
TASK = Task(
    name="failing", study_name="benchmarks/tasks/failing.toml", validation_images=500, test_images=500
)  # fmt: skip


def above(rate: float) -> Edge:
    """Fails above a learning rate."""
    return lambda one: math.log10(one["learning_rate"] / rate)


def memory(one: Mapping[str, Any]) -> float:
    """Fails above a learning rate and, of another cause, above a batch size."""
    return max(math.log10(one["learning_rate"] / 1e-2), math.log10(one["batch_size"] / 128.5))


def window(one: Mapping[str, Any]) -> float:
    """Fails above and below a range of weight decays, and above a learning rate."""
    decay = abs(math.log10(one["weight_decay"] / 3e-5)) - 1
    return max(decay, math.log10(one["learning_rate"] / 0.1))


EDGES: dict[str, Edge] = {
    "rate > 1e-2": above(1e-2),
    "rate > 1e-3": above(1e-3),
    "rate > 1e-2 or batch > 128": memory,
    "weight decay outside 3e-6 to 3e-4, or rate > 0.1": window,
}


class Curve:
    """The only epoch of a training; None if it fails."""

    def __init__(self, reached: float | None) -> None:
        self.reached = reached

    def at(self, epoch: int) -> float | None:
        return self.reached


class Edged:
    """A world in which configurations beyond an edge fail, for `search`."""

    task, trials, typical_seconds, best_and_median = TASK, TRIALS, 1.0, (0.9, 0.5)
    scored: frozenset[int] | None = frozenset()  # `reached` says it all

    def __init__(self, edge: Edge) -> None:
        self.edge, self.reached = edge, list[float | None]()  # by trial

    def begin(self, seed: int) -> None:
        self.reached = []

    def sampler(self, study: Study, inner: BaseSampler) -> BaseSampler:
        return inner

    def curve(self, configuration: Mapping[str, Value], rng: np.random.Generator) -> Any:
        self.reached.append(self._reached(configuration))
        return Curve(self.reached[-1])

    def _reached(self, one: Mapping[str, Any]) -> float | None:
        """Best at the edge, a weight decay of 1e-4, a batch of 64 and a momentum of 0.8."""
        beyond = self.edge(one)
        if beyond > 0:
            return None
        decay, batch = math.log10(one["weight_decay"] / 1e-4), math.log2(one["batch_size"] / 64)
        loss: float = 0.01 * decay**2 + 0.01 * batch**2 + 0.05 * (one["momentum"] - 0.8) ** 2
        return 0.9 + 0.04 * beyond - loss

    def score(self, configuration: Mapping[str, Value]) -> float:
        return self._reached(configuration) or 0.0

    def seconds(self, configuration: Mapping[str, Value]) -> float:
        return 1.0


def unaware(study: Study, seed: int) -> Any:
    """TPE of a study that does not name it: a failure is the worst value and no more."""
    return shipped(study.model_copy(update={"sampler": Sampler(name="tpe")}), seed)


UNAWARE = "tpe, worst value only"
CONTESTANTS = {
    "random": Contestant(build=shipped),
    UNAWARE: Contestant(build=unaware),
    "tpe": Contestant(sampler="tpe", build=shipped),
}


def run(edge: str, contestant: str, seed: int, workers: int = 1) -> tuple[float, float]:
    """Return, of one search, the fraction of its later trials that fail, and the best value of all."""
    world = Edged(EDGES[edge])
    search(world, CONTESTANTS[contestant], seed=seed, epochs=TRIALS, workers=workers)
    late = world.reached[LATE:]
    return late.count(None) / len(late), max(one for one in world.reached if one is not None)


def summary(runs: dict[str, list[tuple[float, float]]], contestant: str) -> dict[str, Any]:
    """Return a contestant's line: fraction that fails, best, and its best minus `UNAWARE`'s, paired by seed."""
    failed, best = np.array(runs[contestant]).T
    ahead = best - np.array(runs[UNAWARE])[:, 1]
    half = stats.t.ppf(0.975, len(ahead) - 1) * ahead.std(ddof=1) / len(ahead) ** 0.5
    return {
        "trials 31-60 that fail": f"{failed.mean():.0%}", "worst seed": f"{failed.max():.0%}",
        "best": f"{best.mean():.4f}",
        f"minus {UNAWARE}": f"{ahead.mean():+.4f} ({ahead.mean() - half:+.4f} to {ahead.mean() + half:+.4f})",
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--edges", nargs="*", default=[*EDGES], choices=[*EDGES])
    given = parser.parse_args()
    seeds = range(FIRST, FIRST + given.seeds)
    lines: list[dict[str, Any]] = []
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    for edge in given.edges:
        runs = {one: [run(edge, one, seed, given.workers) for seed in seeds] for one in CONTESTANTS}
        lines += [{"edge": edge, "search": one, **summary(runs, one)} for one in CONTESTANTS]
        print_table(lines[-len(CONTESTANTS) :])
    name = "failing" if given.workers == 1 else f"failing-{given.workers}"
    write_results(name, {"seeds": given.seeds, "workers": given.workers, "lines": lines})


if __name__ == "__main__":
    main()
