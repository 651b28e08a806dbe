"""How searches compare: by what each would return behind each epoch that it has spent."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]  # curves are (searches, epochs): test accuracy, NaN before the first value
FLOOR = 1e-3  # of the normalised regret: a thousandth of the way from the best to the median
BOOTSTRAPS = 1000
SHARES = (0.25, 0.5, 0.75, 1.0)  # of the budget at which epochs are compared
POWER = 0.8


@dataclass(frozen=True, kw_only=True)
class Gain:
    """A mean difference in points, its 95 % interval, and the smallest one that would be seen with 80 % power."""

    mean: float
    low: float
    high: float
    smallest: float

    def __str__(self) -> str:
        return f"{self.mean:+.2f} ({self.low:+.2f} to {self.high:+.2f}; sees {self.smallest:.2f})"


def gain(ours: Array, theirs: Array) -> Gain:
    """The difference at one moment, paired by search (S,), with a t interval: for other seeds on this table."""
    d = 100 * (ours - theirs)
    error = float(d.std(ddof=1)) / math.sqrt(len(d))
    return _gain(float(d.mean()), error, len(d) - 1)


def between_tables(whole: float, parts: Sequence[float], share: float) -> Gain:
    """The same with an interval for other tables: `parts` are the differences where `share` of the rows are there.

    The delete-d jackknife (Shao and Wu, 1989): n - d of n rows, drawn without replacement, vary by d / (n - d) of what
    tables of n rows do.
    """
    error = math.sqrt(share / (1 - share)) * float(np.std(parts, ddof=1))
    return _gain(whole, error, len(parts) - 1)


def _gain(mean: float, error: float, freedom: int) -> Gain:
    t = float(stats.t.ppf(0.975, freedom))
    power = float(stats.t.ppf(POWER, freedom))
    return Gain(mean=mean, low=mean - t * error, high=mean + t * error, smallest=(t + power) * error)


@dataclass(frozen=True, kw_only=True)
class SpeedUp:
    """Epochs that they need for what we have at a moment, over ours; the most that they had where they never do."""

    factor: float
    low: float
    high: float
    most: float

    def __str__(self) -> str:
        sign = ">" if self.factor >= self.most else ""
        return f"{sign}{self.factor:.2f} ({self.low:.2f} to {self.high:.2f})"


def speed_up(ours: Array, theirs: Array, epochs: int) -> SpeedUp:
    """Epochs that the mean of their searches needs for what the mean of ours has behind `epochs`, over `epochs`."""
    rng = np.random.default_rng(0)
    draws = [np.arange(len(ours)), *rng.integers(len(ours), size=(BOOTSTRAPS, len(ours)))]
    factors = [_factor(ours[one].mean(0), theirs[one].mean(0), epochs) for one in draws]
    low, high = np.quantile(factors[1:], [0.025, 0.975]).tolist()
    return SpeedUp(factor=factors[0], low=low, high=high, most=theirs.shape[1] / epochs)


def _factor(ours: Array, theirs: Array, epochs: int) -> float:
    reached = np.nonzero(np.maximum.accumulate(np.nan_to_num(theirs)) >= ours[epochs - 1])[0]
    return float((reached[0] + 1 if len(reached) else len(theirs)) / epochs)


def area(curves: Array, best: float, median: float) -> Array:
    """(S,) mean log10 of the normalised regret, (best - returned) / (best - median), from 10 % on; less is better."""
    regret = np.clip((best - curves[:, curves.shape[1] // 10 :]) / (best - median), FLOOR, None)
    return np.asarray(np.nanmean(np.log10(regret), axis=1))


def holm(p: Sequence[float]) -> list[float]:
    """Holm's correction, in the order given."""
    order = np.argsort(p)
    stepped: Any = np.maximum.accumulate([p[i] * (len(p) - rank) for rank, i in enumerate(order)]) if p else []
    return [min(1.0, float(stepped[list(order).index(i)])) for i in range(len(p))]


def wilcoxon(ours: Array, theirs: Array) -> float:
    """The p of the signed-rank test on paired areas; 1 where all are equal."""
    return float(stats.wilcoxon(ours, theirs).pvalue) if np.any(ours != theirs) else 1.0


def compared(
    curves: Mapping[str, Array], best_and_median: tuple[float, float], budget: int, against: str
) -> list[dict[str, Any]]:
    """A line a contestant: what it returns by share of the budget, and what it gains over `against`."""
    areas = {name: area(curve[:, :budget], *best_and_median) for name, curve in curves.items()}
    measure, others = curves[against], [name for name in curves if name != against]
    corrected = dict(zip(others, holm([wilcoxon(areas[name], areas[against]) for name in others]), strict=True))
    rows = []
    for name, curve in curves.items():
        row: dict[str, Any] = {"contestant": name}
        moments = {share: math.ceil(budget * share) for share in SHARES}
        row |= {f"{share:.0%}": f"{100 * curve[:, at - 1].mean():.2f}" for share, at in moments.items()}
        row["area"] = f"{areas[name].mean():.3f}"
        row["gain"] = "-" if name == against else str(gain(curve[:, budget - 1], measure[:, budget - 1]))
        for share, at in moments.items():
            row[f"speed-up {share:.0%}"] = "-" if name == against else str(speed_up(curve, measure, at))
        row["p (Holm)"] = f"{corrected[name]:.1e}" if name in corrected else "-"
        rows.append(row)
    return rows


def anytime(curves: Array) -> dict[str, list[float | None]]:
    """Behind each epoch the interquartile mean over searches, with a 95 % bootstrap band."""
    rng = np.random.default_rng(0)
    draws = curves[rng.integers(len(curves), size=(BOOTSTRAPS, len(curves)))]
    means: Any = stats.trim_mean(draws, 0.25, axis=1)  # NaN where a search has nothing yet
    middle: Any = stats.trim_mean(curves, 0.25)
    lines = {"iqm": middle, "low": np.quantile(means, 0.025, 0), "high": np.quantile(means, 0.975, 0)}
    return {
        name: [round(float(value), 5) if math.isfinite(value) else None for value in line]
        for name, line in lines.items()
    }
