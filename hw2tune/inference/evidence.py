"""Evidence on one claim: the replicates of its two sides as paired differences, seed by seed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from hw2tune.inference.intervals import Looks, looks
from hw2tune.inference.statistics import SAME
from hw2tune.records.arrays import Array
from hw2tune.records.replicates import Replicate
from hw2tune.records.trials.states import DIVERGED
from hw2tune.study.objectives import objective_of, sign_of
from hw2tune.text.numbers import ranges

COLLAPSE_DEVIATIONS = 4 * 1.4826  # median absolute deviations; the latter factor makes them standard deviations
COLLAPSE_FROM = 5  # seeds from which far below is told
BLIND_ERRORS = 2.0
WORTH = 0.5  # by default of the order of an accuracy's standard error: this over sqrt(test images), as a fraction
MEANS_OVER_IMAGES = ("accuracy", "loss")
LEAST_SAMPLES = 50  # of the test images, on which a metric must be a number

Arrays = Mapping[str, Array]
Pair = tuple[Arrays | None, Arrays | None]  # predictions of both sides on a seed


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Differences of `variant` less `against` in the claim's metric on test images, positive if `variant` is better.

    They are in the order of seeds, of those that both sides finished.
    """

    variant: str
    against: str
    seeds: tuple[int, ...]
    differences: Array  # (n,)
    over_images: Array | None = None  # (n, n), see `covariance_over_images`; NaN or None without predictions
    images: int = 0  # in the test split
    failed: tuple[int, int] = (0, 0)  # seeds on which either side diverged or collapsed
    failed_seeds: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())
    trained: int = 0  # repetitions on which both sides ended, in whatever way
    ended: tuple[int, ...] = ()  # the seeds of these
    metric: str = "validation_accuracy"  # objective whose values on test images differ
    worth: float | None = None  # smallest difference that matters, in the unit of the differences
    omitted: list[str] = field(default_factory=list)  # seeds without a pair, unless one diverged, and why
    unit: str = "seed"  # or "search" or "split", of which each difference is the mean (`units.by_unit`)
    units: tuple[int, ...] = ()  # the search or split of each seed of `by_seed`
    by_seed: Evidence | None = None  # of which the differences are means

    @property
    def pairs(self) -> Evidence:
        """The evidence by seed, whatever the unit."""
        return self.by_seed or self

    @property
    def has_predictions(self) -> bool:
        """Return whether other test images can be accounted for."""
        return self.over_images is not None and bool(np.isfinite(self.over_images).all())

    @property
    def all_alike(self) -> bool:
        """Return whether both sides have the same result on each test image, as one configuration trained twice has."""
        known = self.over_images
        return known is not None and not self.differences.any() and not known.any()

    def looks(self, alpha: float) -> Looks:
        """Return the numbers after each seed, at level 1 - alpha."""
        return looks(self.differences, self.over_images, alpha)


def covariance_over_images(differences: Array) -> Array:
    """Return the covariance (..., n, n) of the means of (..., n, N) differences, over other test images.

    A metric that is no mean over images takes the covariance of its differences over bootstrap samples of the images.
    """
    centred = differences - differences.mean(axis=-1, keepdims=True)
    images = differences.shape[-1]
    return np.asarray(centred @ np.swapaxes(centred, -1, -2) / (max(images - 1, 1) * images))


def default_worth(images: int) -> float:
    """Return the smallest accuracy that matters by default: 0.005 at 10,000 test images."""
    return WORTH / math.sqrt(images)


def collapsed(shares: Array, blind: Array, least: float) -> Array:
    """Return on which seeds (2, n) answers are `blind`, or `shares` of images far below the median of their side.

    Far is 4 standard deviations, told by the larger median absolute deviation of the two sides, and more than `least`.
    3 of a side's own would mark 11 to 15 % of healthy sides at any n; this marks 2.3 % at n = 5 and 0.4 % at n = 20
    (simulated).
    """
    below = shares - np.median(shares, axis=1, keepdims=True)
    far = max(COLLAPSE_DEVIATIONS * np.median(np.abs(below), axis=1).max(), least)
    return np.asarray(blind | ((below < -far - SAME) & (shares.shape[1] >= COLLAPSE_FROM)))


def is_blind(accuracy: float, predicted: Array | None, labels: Array) -> bool:
    """Return whether (N,) answers are no better than those of somebody who does not see the images.

    Neither is the accuracy above the share of the most frequent class, nor the mean recall of the classes more than
    BLIND_ERRORS standard errors above that of random answers in the same shares. Accuracy alone would also mark a good
    network on skewed classes, which gives up some of the frequent class for the rare ones. It decides without answers.
    """
    classes, at, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if accuracy > counts.max() / len(labels) + SAME:
        return False
    if predicted is None:
        return True
    recalls = np.bincount(at, weights=predicted == labels) / counts
    shares = (predicted[:, None] == classes).mean(0)
    error = math.sqrt((shares * (1 - shares) / counts).sum())
    return bool((recalls - shares).sum() <= BLIND_ERRORS * error + SAME)


def gather(
    variant: str,
    replicates: Sequence[Replicate],
    against: str,
    others: Sequence[Replicate],
    *,
    arrays: Callable[[int], Pair],
    metric: str = "validation_accuracy",
    worth: float | None = None,
) -> Evidence:
    """Return the evidence of replicates called `variant` and `against`, at the chosen epoch on the test images.

    It is in the objective `metric`, or in accuracy if an earlier version tested any of them, which measured no other.
    `arrays` returns the predictions of both on a seed, None for missing ones. `worth` is in the unit of a study file:
    points for fractions of images.
    """
    objective = objective_of(metric)
    if not all(one.has(objective.metric) for one in (*replicates, *others)):
        objective, worth = objective_of("validation_accuracy"), None
    first, second = ({one.seed: one for one in each} for each in (replicates, others))
    ended = sorted(first.keys() & second.keys())
    failed = [{seed for seed in ended if _failed(side[seed], objective.metric)} for side in (first, second)]
    seeds = [seed for seed in ended if first[seed].chosen and second[seed].chosen and seed not in failed[0] | failed[1]]
    chosen = [[one for seed in seeds if (one := side[seed].chosen)] for side in (first, second)]
    values = [np.array([one.measured(objective.metric) for one in side], float) for side in chosen]
    accuracies = np.array([[one.accuracy for one in side] for side in chosen])
    pairs = [arrays(seed) for seed in seeds]
    labels = labels_of(pairs)
    images = max((one.total for one in chosen[0]), default=0)
    blind = np.array([
        [
            accuracy <= 0 if labels is None else is_blind(accuracy, _predicted(pair[number], labels), labels)
            for accuracy, pair in zip(side, pairs, strict=True)
        ]
        for number, side in enumerate(accuracies)
    ], bool)  # fmt: skip
    shares = np.array(values) if objective.is_share else accuracies
    low = collapsed(shares, blind, default_worth(max(images, 1))) if seeds else accuracies > 0
    first_failed, second_failed = (
        (*sorted(side), *np.array(seeds, int)[marked].tolist()) for side, marked in zip(failed, low, strict=True)
    )
    usual = default_worth(images) if images and objective.is_share else None
    return Evidence(
        variant=variant,
        against=against,
        seeds=tuple(seeds),
        differences=sign_of(objective.direction) * (values[0] - values[1]),
        over_images=_over_images(objective.metric, pairs, labels),
        images=images,
        failed=(len(first_failed), len(second_failed)),
        failed_seeds=(first_failed, second_failed),
        trained=len(ended),
        ended=tuple(ended),
        metric=objective.name,
        worth=usual if worth is None else worth / objective.scale,
        omitted=_omitted((variant, first), (against, second)),
    )


def _omitted(*sides: tuple[str, Mapping[int, Replicate]]) -> list[str]:
    """Return which seeds of which side give no pair, other than by diverging, and why."""
    why: dict[str, list[int]] = {}
    for seed in sorted({seed for _, side in sides for seed in side}):
        for name, side in sides:
            if seed not in side or (side[seed].chosen is None and side[seed].state != DIVERGED):
                ended = side[seed].state if seed in side else "has no replicate"
                why.setdefault(f"{name} {ended} on", []).append(seed)
    return [f"{text} {'seed' if len(seeds) == 1 else 'seeds'} {ranges(seeds)}" for text, seeds in why.items()]


def _failed(replicate: Replicate, metric: str) -> bool:
    """Return whether a replicate diverged in training, or has no finite value on the test images."""
    return replicate.state == DIVERGED or bool(replicate.chosen and replicate.chosen.measured(metric) is None)


def _over_images(metric: str, pairs: Sequence[Pair], labels: Array | None) -> Array | None:
    """Return the (n, n) covariance of the differences over other test images, NaN for seeds without what it needs.

    It comes from the values of each image; for a metric that is no mean over images, from its values on samples of the
    images with replacement, the same ones for each replicate. None if no seed has what it needs.
    """
    rows = [[_values(metric, one, labels) for one in pair] for pair in pairs]
    known = [a - b if a is not None and b is not None and a.shape == b.shape else None for a, b in rows]
    shapes = [one.shape for one in known if one is not None]
    there = [place for place, one in enumerate(known) if one is not None and one.shape == shapes[0]]
    if not there:
        return None
    differences = np.array([known[place] for place in there])
    sampled = differences[:, np.isfinite(differences).all(axis=0)]
    if sampled.shape[1] < LEAST_SAMPLES and metric not in MEANS_OVER_IMAGES:
        return None
    found = np.full((len(pairs), len(pairs)), np.nan)
    of_images = covariance_over_images(differences) if metric in MEANS_OVER_IMAGES else np.cov(sampled)
    found[np.ix_(there, there)] = of_images
    return found


def _values(metric: str, arrays: Arrays | None, labels: Array | None) -> Array | None:
    """Return a replicate's values per test image, or sample of the images; None if missing, or of other images."""
    right = right_predictions(arrays, labels)
    if right is None or arrays is None or metric == "accuracy":
        return right
    values = arrays.get("losses" if metric == "loss" else "resampled")
    if metric == "loss" and values is not None and not (values.shape == right.shape and np.isfinite(values).all()):
        return None
    return None if values is None else np.asarray(values, float)


def labels_of(pairs: Sequence[Pair]) -> Array | None:
    """Return the labels of the test images, by the first replicate that has them."""
    return next((one["labels"] for pair in pairs for one in pair if one and "labels" in one), None)


def right_predictions(arrays: Arrays | None, labels: Array | None) -> Array | None:
    """Return which predictions are right, (N,) of 0 and 1; None for missing ones, and for those of other images."""
    predicted = _predicted(arrays, labels)
    return None if predicted is None else (predicted == labels).astype(float)


def _predicted(arrays: Arrays | None, labels: Array | None) -> Array | None:
    if not arrays or labels is None or not np.array_equal(arrays.get("labels", ()), labels):
        return None
    predicted = arrays.get("predicted")
    return predicted if predicted is not None and predicted.shape == labels.shape else None
