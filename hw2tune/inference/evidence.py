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
from hw2tune.study.objectives import Objective, objective_of, sign_of

COLLAPSE_DEVIATIONS = 4 * 1.4826  # median absolute deviations; the latter factor makes them standard deviations
COLLAPSE_FROM = 5  # seeds from which far below is told
WORTH = 0.5  # by default of the order of an accuracy's standard error: this over sqrt(test images), as a fraction
LEAST_SAMPLES = 50  # of the test images, on which a metric must be a number

Arrays = Mapping[str, Array]


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Differences of `variant` less `against` in the claim's metric on test images, positive if `variant` is better.

    They are in the order of seeds, of those that both sides finished.
    """

    variant: str
    against: str
    seeds: tuple[int, ...]
    differences: Array  # (n,)
    over_images: Array | None = None  # (n, n), see `covariance_over_images`; None if predictions are missing
    images: int = 0  # in the test split
    failed: tuple[int, int] = (0, 0)  # seeds on which either side diverged or collapsed
    failed_seeds: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())
    trained: int = 0  # seeds on which both sides ended, in whatever way
    ended: tuple[int, ...] = ()  # these seeds
    metric: str = "validation_accuracy"  # objective whose values on test images differ
    worth: float | None = None  # smallest difference that matters, in the unit of the differences
    omitted: list[str] = field(default_factory=list)  # seeds without a pair, unless one diverged, and why
    unit: str = "seed"  # or "search", of which each difference is the mean

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


def collapsed(accuracies: Array, chance: float, least: float) -> Array:
    """Return on which seeds (2, n) accuracies are not above chance, or far below the median of their side.

    Far is 4 standard deviations, told by the larger median absolute deviation of the two sides, and more than `least`.
    3 of a side's own would mark 11 to 15 % of healthy sides at any n; this marks 2.3 % at n = 5 and 0.4 % at n = 20
    (simulated).
    """
    below = accuracies - np.median(accuracies, axis=1, keepdims=True)
    far = max(COLLAPSE_DEVIATIONS * np.median(np.abs(below), axis=1).max(), least)
    return np.asarray((accuracies <= chance) | ((below < -far - SAME) & (accuracies.shape[1] >= COLLAPSE_FROM)))


def gather(
    variant: str,
    replicates: Sequence[Replicate],
    against: str,
    others: Sequence[Replicate],
    *,
    arrays: Callable[[int], tuple[Arrays | None, Arrays | None]],
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
    labels, correct = right_predictions(pairs)
    images = max((one.total for one in chosen[0]), default=0)
    chance = float(np.bincount(labels).max() / len(labels)) if labels is not None and len(labels) else 0.0
    low = collapsed(accuracies, chance, default_worth(max(images, 1))) if seeds else accuracies > 0
    first_failed, second_failed = (
        (*sorted(side), *np.array(seeds, int)[marked].tolist()) for side, marked in zip(failed, low, strict=True)
    )
    usual = default_worth(images) if images and objective.is_share else None
    sides = (variant, first), (against, second)
    return Evidence(
        variant=variant,
        against=against,
        seeds=tuple(seeds),
        differences=sign_of(objective.direction) * (values[0] - values[1]),
        over_images=None if correct is None else _over_images(objective, correct, pairs),
        images=images,
        failed=(len(first_failed), len(second_failed)),
        failed_seeds=(first_failed, second_failed),
        trained=len(ended),
        ended=tuple(ended),
        metric=objective.name,
        worth=usual if worth is None else worth / objective.scale,
        omitted=[
            f"{name} {side[seed].state if seed in side else 'was not trained'} on seed {seed}"
            for seed in sorted(first.keys() | second.keys())
            for name, side in sides
            if seed not in side or (side[seed].chosen is None and side[seed].state != DIVERGED)
        ],
    )


def _failed(replicate: Replicate, metric: str) -> bool:
    """Return whether a replicate diverged in training, or has no finite value on the test images."""
    return replicate.state == DIVERGED or bool(replicate.chosen and replicate.chosen.measured(metric) is None)


def _over_images(objective: Objective, correct: Array, pairs: Sequence[tuple[Arrays | None, ...]]) -> Array | None:
    """Return the covariance of the differences over other test images; None if any replicate lacks what it needs.

    It comes from the values of each image; for a metric that is no mean over images, from its values on samples of the
    images with replacement, the same ones for each replicate.
    """
    if objective.metric == "accuracy":
        return covariance_over_images(correct[0] - correct[1])
    name = "losses" if objective.metric == "loss" else "resampled"
    rows = [[one[name] for one in pair if one and name in one] for pair in pairs]
    if any(len(row) != 2 or row[0].shape != row[1].shape or row[0].shape != rows[0][0].shape for row in rows):
        return None
    differences = np.array([row[0].astype(float) - row[1] for row in rows])
    known = differences[:, np.isfinite(differences).all(axis=0)]
    if name == "losses":
        return covariance_over_images(known) if known.shape == (len(pairs), correct.shape[-1]) else None
    return np.atleast_2d(np.cov(known)) if known.shape[1] >= LEAST_SAMPLES else None


def right_predictions(pairs: Sequence[tuple[Arrays | None, Arrays | None]]) -> tuple[Array | None, Array | None]:
    """Return the labels and which predictions are right, (2, n, N) of 0 and 1; None if any pair is not complete."""
    labels = next((one["labels"] for pair in pairs for one in pair if one and "labels" in one), None)
    rows = [[_right(one, labels) for one in pair] for pair in pairs]
    if not rows or any(row is None for pair in rows for row in pair):
        return labels, None
    return labels, np.swapaxes(np.array(rows, dtype=np.float64), 0, 1)


def _right(arrays: Arrays | None, labels: Array | None) -> Array | None:
    """Return which predictions are right; None for missing ones, and for those of other images."""
    if not arrays or labels is None or not np.array_equal(arrays.get("labels", ()), labels):
        return None
    predicted = arrays.get("predicted")
    return predicted == labels if predicted is not None and predicted.shape == labels.shape else None
