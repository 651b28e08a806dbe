"""What a search finds for its cost: `uv run --with syne-tune==0.16.0 --with smac==2.4.1 python -m benchmarks.search`.

Replays searches on the tables of `benchmarks.search_tables` (see `benchmarks.replay`), hundreds of seeds each, paired
by seed. Every contestant gets the study's references first, and each sees validation values alone; it is scored by the
test accuracy, averaged over the seeds of the table, of the configuration that it would return.

Stated before any run: the endpoint is the area under log10 of the normalised regret, (best - returned) / (best -
median), from 10 % to 100 % of the budget in epochs; contestants are compared with `ours` by Wilcoxon's signed-rank test
with Holm's correction; the speed-up over another is the epochs that it needs for the mean quality that ours has at half
the budget, over that half, with a bootstrap interval over seeds.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna import pruners, samplers
from scipy import stats

from benchmarks.replay.forest import Forest
from benchmarks.replay.pool import Pool
from benchmarks.replay.resuming import Promotion
from benchmarks.replay.searches import Contestant, World, search, world
from benchmarks.replay.table import Found
from benchmarks.results import print_table, write_results
from hw2tune.search.algorithms import HalvingPruner
from hw2tune.search.guided import GuidedSampler
from hw2tune.study.schema import Study

Array = NDArray[np.float64]
FLOOR = 1e-3  # of the normalised regret: a thousandth of the way from the best to the median
BOOTSTRAPS = 1000
MOMENTS = 60  # of simulated time at which what would be returned is kept
RESULTS = Path("benchmarks") / "results"
warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)


def _guided(pruner: Any, **arguments: Any) -> Any:
    def build(study: Study, seed: int) -> Any:
        return GuidedSampler(study, seed=seed, **arguments), (pruner(study) if pruner else pruners.NopPruner())

    return build


def _optuna(kind: Any, pruner: Any = None, **arguments: Any) -> Any:
    def build(study: Study, seed: int) -> Any:
        return kind(seed=seed, **arguments), (pruner(study) if pruner else pruners.NopPruner())

    return build


def _asha(study: Study, factor: int = 3) -> Any:
    return pruners.SuccessiveHalvingPruner(min_resource=study.pruner.min_epochs, reduction_factor=factor)


def _halving(study: Study) -> Any:
    return HalvingPruner(min_epochs=study.pruner.min_epochs, reduction_factor=3)


class TuneAsha(pruners.BasePruner):
    """Ray Tune's own ASHA with its defaults: a bracket of `ASHAScheduler`, asked as Tune asks it."""

    def __init__(self, study: Study) -> None:
        from ray.tune.schedulers.async_hyperband import _Bracket

        self.bracket = _Bracket(1, study.max_epochs, reduction_factor=4, s=0)

    def prune(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> bool:
        """Whether its bracket stops the trial at this epoch."""

        class Named:
            trial_id = str(trial.number)

        epoch = trial.last_step
        return self.bracket.on_result(Named, epoch, trial.intermediate_values[epoch]) == "STOP"


class OneEpoch(pruners.BasePruner):
    """One epoch each, the best sixth to the end (Egele et al., 2024, arXiv 2404.04111), asked as trials come."""

    def __init__(self, study: Study) -> None:
        pass

    def prune(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> bool:
        """Whether the trial stops at its first epoch: never where it is among the best sixth of all first epochs."""
        first = [one.intermediate_values[1] for one in study.get_trials(deepcopy=False) if one.intermediate_values]
        return trial.last_step == 1 and sum(value > trial.intermediate_values[1] for value in first) >= len(first) / 6


def _syne_tune(searcher: str) -> Any:
    def build(study: Study, seed: int) -> Any:
        from benchmarks.contestants.syne_tune_search import SyneTune

        both = SyneTune(study, seed, searcher)
        return both, both

    return build


def _promotion(*, guided: bool) -> Any:
    def build(pool: Pool, seed: int) -> Promotion:
        return Promotion(pool, seed, guided=guided)

    return build


def _smac(pool: Pool, seed: int) -> Any:
    from benchmarks.contestants.smac_search import Smac

    return Smac(pool, seed)


def _before(study: Study, seed: int) -> Any:
    """The default until November 2026, with the reduction factor of its study file."""
    sampler = samplers.TPESampler(seed=seed, multivariate=True, group=True, constant_liar=True)
    return sampler, _asha(study, 2 if study.name == "quickstart" else 3)


CONTESTANTS = {
    "ours": Contestant(build=_guided(_halving)),
    "random": Contestant(build=_optuna(samplers.RandomSampler), longer=2),
    "sobol": Contestant(build=_optuna(samplers.QMCSampler, scramble=True), longer=2),
    "tpe": Contestant(build=_optuna(samplers.TPESampler)),
    "before": Contestant(build=_before, any_state=False),
    "optuna in tune": Contestant(build=_optuna(samplers.TPESampler, TuneAsha)),
    "one epoch, best sixth": Contestant(build=_optuna(samplers.RandomSampler, OneEpoch)),
    "syne tune's asha + cqr": Contestant(build=_syne_tune("cqr"), needs="syne_tune"),
    "syne tune's bohb": Contestant(build=_syne_tune("kde"), needs="syne_tune"),
    "smac3": Contestant(resuming=_smac, needs="smac"),
    "tpe + halving": Contestant(build=_optuna(samplers.TPESampler, _halving)),
    "ours, promoting": Contestant(resuming=_promotion(guided=True)),
    "random, promoting": Contestant(resuming=_promotion(guided=False)),
    "ours - sampler": Contestant(build=_optuna(samplers.RandomSampler, _halving)),
    "ours - pruner": Contestant(build=_guided(None)),
    "ours - best so far": Contestant(build=_guided(_asha)),
    "ours - model": Contestant(build=_guided(_halving, startup=100_000)),
    "ours - references": Contestant(build=_guided(_halving, prior=False)),
    "ours - mixture": Contestant(build=_guided(_halving, random=1.0, mixed_every=100_000)),
}


def main() -> None:
    options = _options()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    names = options.contestants or [name for name, one in CONTESTANTS.items() if not one.needs or find_spec(one.needs)]
    budget = options.budget * world(options.task, "pool").task.study.max_epochs
    found = run(options.task, options.kind, names, range(options.seeds), budget, options.workers, options.processes)
    place = world(options.task, options.kind)
    by_epochs = {name: one.epochs for name, one in found.items()}
    rows = compared(by_epochs, place.best_and_median, budget)
    print_table(rows)
    settings = {"task": options.task, "kind": options.kind, "seeds": options.seeds, "workers": options.workers}
    quality = place.quality() if isinstance(place, Forest) else {}
    print(settings | {"budget_epochs": budget, "best_and_median": place.best_and_median} | quality)
    if not options.dry:
        name = f"search-{options.task}-{options.kind}-{options.workers}"
        curves = {contestant: _anytime(one[:, :budget]) for contestant, one in by_epochs.items()}
        content = {**settings, "budget_epochs": budget, **quality, "contestants": rows, "test": curves}
        if options.kind != "live":
            content["simulated_seconds"] = round(_end(place, budget, options.workers), 1)
            content["test_by_time"] = {contestant: _anytime(one.moments) for contestant, one in found.items()}
        write_results(name, content)


def _anytime(curves: Array) -> dict[str, list[float | None]]:
    """Behind each epoch the interquartile mean over seeds, with a 95 % bootstrap band."""
    rng = np.random.default_rng(0)
    draws = curves[rng.integers(len(curves), size=(BOOTSTRAPS, len(curves)))]
    means = stats.trim_mean(draws, 0.25, axis=1)  # NaN where a search has nothing yet
    lines = {"iqm": stats.trim_mean(curves, 0.25), "low": np.quantile(means, 0.025, 0)}
    return {
        name: [round(float(value), 5) if math.isfinite(value) else None for value in line]
        for name, line in (lines | {"high": np.quantile(means, 0.975, 0)}).items()
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", default="mnist-5k")
    parser.add_argument("--kind", choices=["pool", "forest", "live"], default="pool")
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--budget", type=int, default=12, help="as much as so many whole trainings")
    parser.add_argument("--workers", type=int, default=1, help="trials at once, in simulated time")
    parser.add_argument("--contestants", nargs="*", choices=list(CONTESTANTS))
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--dry", action="store_true", help="print and write nothing")
    return parser.parse_args()


def run(
    task: str, kind: str, names: Sequence[str], seeds: Sequence[int], budget: int, workers: int, processes: int
) -> dict[str, Curves]:
    """By contestant the score of what each search would return, behind each epoch and at each moment."""
    calls = [(name, seed) for seed in seeds for name in names]
    kept = _Kept(RESULTS / f"search-{task}-live-{budget}.jsonl") if kind == "live" else _Kept(None)
    missing = [call for call in calls if call not in kept.curves]
    with ProcessPoolExecutor(processes) as pool:
        for call, curve in zip(missing, pool.map(partial(_one, task, kind, budget, workers), missing), strict=True):
            kept.add(call, curve)
    return {
        name: Curves(*(np.array(some) for some in zip(*(kept.curves[name, seed] for seed in seeds), strict=True)))
        for name in names
    }


class Curves(NamedTuple):
    """Scores of a contestant's searches: (seeds, epochs) and (seeds, MOMENTS), the moments equally far apart."""

    epochs: Array
    moments: Array


class _Kept:
    """Searches by contestant and seed; live ones, which take minutes, in a file, so that a second call goes on."""

    def __init__(self, path: Path | None) -> None:
        self.path, self.curves = path, dict[tuple[str, int], tuple[list[float], list[float]]]()
        if path and path.exists():
            for line in map(json.loads, path.read_text().splitlines()):
                self.curves[line["contestant"], line["seed"]] = line["test"], []

    def add(self, call: tuple[str, int], curves: tuple[list[float], list[float]]) -> None:
        """Keeps one search."""
        self.curves[call] = curves
        if self.path:
            with self.path.open("a") as file:
                file.write(json.dumps({"contestant": call[0], "seed": call[1], "test": curves[0]}) + "\n")
            print(f"{call[0]}, seed {call[1]}: {100 * curves[0][-1]:.2f} %", flush=True)


def _one(task: str, kind: str, budget: int, workers: int, call: tuple[str, int]) -> tuple[list[float], list[float]]:
    name, seed = call
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    contestant, place = CONTESTANTS[name], world(task, kind)
    epochs = budget if kind == "live" else budget * contestant.longer
    found = search(place, contestant, seed=seed, epochs=epochs, workers=workers)
    by_epochs = _filled(found, [one.epochs for one in found], np.arange(1, epochs + 1))
    if kind == "live":
        return by_epochs, []
    moments = np.linspace(0, _end(place, budget, workers), MOMENTS + 1)[1:]
    return by_epochs, _filled(found, [one.seconds for one in found], moments)


def _end(place: World, budget: int, workers: int) -> float:
    """Simulated seconds that the budget takes where each epoch takes what a configuration's does in the middle."""
    return budget * place.typical_seconds / workers


def _filled(found: list[Found], at: Sequence[float], wanted: NDArray[Any]) -> list[float]:
    """The score at each wanted place, that of the last change before it; NaN before the first."""
    last = np.searchsorted(at, wanted, side="right") - 1
    return [round(found[i].score, 5) if i >= 0 else math.nan for i in last]


def compared(longest: dict[str, Array], scale: tuple[float, float], budget: int) -> list[dict[str, Any]]:
    """A line a contestant: mean test accuracy by share of the budget, area, and how ours compares."""
    curves = {name: curve[:, :budget] for name, curve in longest.items()}
    areas = {name: _area(curve, scale) for name, curve in curves.items()}
    others = [name for name in curves if name != "ours"]
    p = {name: _p(areas["ours"], areas[name]) for name in others} if "ours" in curves else {}
    corrected = dict(zip(p, _holm(list(p.values())), strict=True))
    rows = []
    for name, curve in curves.items():
        row: dict[str, Any] = {"contestant": name}
        row |= {
            f"{share:.0%}": f"{100 * curve[:, math.ceil(budget * share) - 1].mean():.2f}" for share in (0.25, 0.5, 1)
        }
        row |= {"IQM": f"{100 * stats.trim_mean(curve[:, -1], 0.25):.2f}", "area": f"{areas[name].mean():.3f}"}
        if "ours" in curves:
            faster, low, high = _speed_up(curves["ours"], longest[name], budget)
            better = float(np.mean(areas["ours"] < areas[name]) + 0.5 * np.mean(areas["ours"] == areas[name]))
            row |= {"speed-up": f"{faster:.2f} ({low:.2f} to {high:.2f})", "P(ours better)": f"{better:.2f}"}
            row |= {"ours - it": _difference(curves["ours"][:, -1], curve[:, -1])}
            row |= {"p (Holm)": f"{corrected[name]:.1e}" if name in corrected else "-"}
        rows.append(row)
    return rows


def _difference(ours: Array, theirs: Array) -> str:
    """Points at the end of the budget, paired by seed, with a 95 % t interval."""
    d = 100 * (ours - theirs)
    half = float(stats.t.ppf(0.975, len(d) - 1)) * d.std(ddof=1) / math.sqrt(len(d)) if len(d) > 1 else math.nan
    return f"{d.mean():+.2f} ({d.mean() - half:+.2f} to {d.mean() + half:+.2f})"


def _area(curves: Array, scale: tuple[float, float]) -> Array:
    """(seeds,) mean log10 normalised regret from 10 % of the budget on; smaller is better."""
    best, median = scale
    regret = np.clip((best - curves[:, curves.shape[1] // 10 :]) / (best - median), FLOOR, None)
    return np.asarray(np.log10(regret).mean(1))


def _p(ours: Array, theirs: Array) -> float:
    return float(stats.wilcoxon(ours, theirs).pvalue) if np.any(ours != theirs) else 1.0


def _holm(p: Sequence[float]) -> list[float]:
    order = np.argsort(p)
    stepped = np.maximum.accumulate([p[i] * (len(p) - rank) for rank, i in enumerate(order)]) if p else []
    return [min(1.0, float(stepped[list(order).index(i)])) for i in range(len(p))]


def _speed_up(ours: Array, theirs: Array, budget: int) -> tuple[float, float, float]:
    """Epochs that they need for what ours has at half the budget, over that half; all they had if they never do."""
    rng = np.random.default_rng(0)
    draws = [np.arange(len(ours)), *rng.integers(len(ours), size=(BOOTSTRAPS, len(ours)))]
    factors = [_factor(ours[one].mean(0), theirs[one].mean(0), budget) for one in draws]
    return factors[0], float(np.quantile(factors[1:], 0.025)), float(np.quantile(factors[1:], 0.975))


def _factor(ours: Array, theirs: Array, budget: int) -> float:
    goal, half = ours[budget // 2 - 1], budget // 2
    reached = np.nonzero(np.maximum.accumulate(theirs) >= goal)[0]
    return float((reached[0] + 1) / half) if len(reached) else len(theirs) / half


if __name__ == "__main__":
    main()
