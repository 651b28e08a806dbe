"""Distance allowed between a published number and its repetitions, from the spread between seeds.

A published run is one run, so the question is where *one further seed* would fall: with 95 % probability within

    mean +- t(0.975, degrees of freedom of s) * s * sqrt(1 + 1/n)

of n seeds whose variance is s**2 (a prediction interval; the interval of the mean would be too narrow, as it shrinks to
nothing with n). Half a unit of the last printed digit is added where the report rounds.

Two sources tell s**2, pooled by their degrees of freedom: these seeds (n - 1; nothing from one seed), and
`seed_spread.csv`, the deviation between seeds that were trained beforehand with this code under the published protocol
(CPU, 2026-11-23). MNIST: seeds 10-16 (6), variances averaged over baseline and L2. CIFAR-10 (JPEG q75): baseline,
seeds 10 and 12, and 11 up to epoch 17 (2); from epoch 4 on one deviation, pooled, as it is about the same over epochs
4-17 and 18-35. A run without a known spread is judged by its own from three seeds on: fewer tell too little.

Either s**2 belongs to one epoch and quantity, averaged with the epoch before and after: from three seeds a single
variance is often far too small by luck. It is not pooled over all epochs, as the first epochs of a run spread several
times wider than its last, and its degrees of freedom stay those of one epoch, as neighbouring epochs of a run are
anything but independent. Checked for n = 3 without the known spread on 15 real runs of the MNIST network, drawing three
as seeds and a fourth as "published", 3,000 times: 98 % of the numbers inside, no epoch below 95 %, all 25 numbers of a
run in 83 %. (Pooled over epochs: 82 % at epoch 1. Each epoch by itself: 95 %, all 25 in 66 %.)

The interval supposes a bell-shaped spread. A run that learns one digit late (`ONE_CLASS` in `tables.py`; 1 MNIST
seed of 24) lies far outside of seeds that do not, and is then reported as such.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from hw2tune.inference.statistics import CONFIDENCE

ENOUGH_SEEDS = 3  # to be judged by themselves
ROUNDING = 0.00005  # the report prints four decimals; its test accuracies are counts and exact

Values = Mapping[int, NDArray[np.float64]]  # by epoch: (n,) finite values, one a seed


@dataclass(frozen=True, kw_only=True)
class Spread:
    """A deviation between seeds and its degrees of freedom."""

    sd: float
    freedom: int


def tolerance(spread: Spread, n: int, rounding: float) -> float:
    """Half the width of the 95 % prediction interval for one further run beside the mean of n."""
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, spread.freedom)) * spread.sd * math.sqrt(1 + 1 / n) + rounding


def spread_at(epoch: int, values: Values, dataset: str, quantity: str) -> Spread | None:
    """The spread at one epoch; None where neither these seeds nor the ones trained beforehand tell it."""
    n = len(values[epoch])
    own = [_spread(values[e]) for e in _neighbours(epoch) if len(values.get(e, ())) == n]
    return pooled(_averaged(own), known_spread(dataset, quantity, epoch))


def spread_of_means(epochs: Sequence[int], values: Values, dataset: str, quantity: str) -> Spread | None:
    """The spread of a run's mean over `epochs`; each of `values` holds the same seeds in the same order.

    What is known beforehand is a bound, the mean of the deviations at the epochs: as if a run that is high were so
    throughout.
    """
    own = _spread(np.mean([values[epoch] for epoch in epochs], axis=0))
    known = [spread for epoch in epochs if (spread := known_spread(dataset, quantity, epoch))]
    if len(known) < len(epochs):
        return pooled(own, None)
    return pooled(own, Spread(sd=float(np.mean([spread.sd for spread in known])), freedom=known[0].freedom))


def pooled(own: Spread, known: Spread | None) -> Spread | None:
    """Both variances, weighted by their degrees of freedom; None where nothing is known and own seeds are too few."""
    if known is None:
        return own if own.freedom + 1 >= ENOUGH_SEEDS else None
    freedom = own.freedom + known.freedom
    variance = (own.freedom * own.sd**2 + known.freedom * known.sd**2) / freedom
    return Spread(sd=math.sqrt(variance), freedom=freedom)


def known_spread(dataset: str, quantity: str, epoch: int) -> Spread | None:
    """The spread between seeds trained beforehand; None for a run that was not."""
    known = _seed_spread()
    if (dataset, quantity, epoch) not in known:
        return None
    return _averaged([known[key] for e in _neighbours(epoch) if (key := (dataset, quantity, e)) in known])


def _spread(values: NDArray[np.float64]) -> Spread:
    """Of (n,) values, n >= 1; one value has no degree of freedom."""
    return Spread(sd=float(values.std(ddof=1)) if len(values) > 1 else 0.0, freedom=len(values) - 1)


def _averaged(spreads: Sequence[Spread]) -> Spread:
    return Spread(sd=math.sqrt(np.mean([spread.sd**2 for spread in spreads])), freedom=spreads[0].freedom)


def _neighbours(epoch: int) -> tuple[int, int, int]:
    return epoch - 1, epoch, epoch + 1


@cache
def _seed_spread() -> dict[tuple[str, str, int], Spread]:
    text = resources.files("hw2tune.report.reproduction").joinpath("seed_spread.csv").read_text(encoding="utf-8")
    return {
        (row["dataset"], row["quantity"], int(row["epoch"])): Spread(sd=float(row["sd"]), freedom=int(row["seeds"]) - 1)
        for row in csv.DictReader(text.splitlines())
    }
