"""Coverage of intervals of metrics that are no mean over images: `uv run python -m benchmarks.metric_intervals`.

Two sides without a true difference predict images of six unequal classes; each seed shifts each class, each image is
hard or easy for both sides and a little for one alone. An interval should contain 0 in 95 % of studies. The product's,
over seeds and images with the covariance of 200 samples of the images, stands beside the t interval over seeds alone
and beside a percentile bootstrap that draws seeds and images together. One thread, minutes (OMP_NUM_THREADS=1).
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.results import print_table, write_results
from hw2tune.inference.intervals import looks

SHARES = np.array([0.30, 0.25, 0.20, 0.12, 0.08, 0.05])
SKILL = np.array([1.8, 1.6, 1.4, 1.2, 1.0, 0.8])  # how far an image of the class lies on the right side
SAMPLES = 200  # of the images, as `train.metrics.RESAMPLES`
METRICS = ("balanced_accuracy", "macro_f1")
Array = NDArray[Any]


def weights(images: int) -> Array:
    """How often each image is drawn: (1 + SAMPLES, images), the first row each image once."""
    draws = np.random.RandomState(0)  # the samples of `train.metrics.resampled`
    counts = [np.bincount(draws.randint(0, images, images), minlength=images) for _ in range(SAMPLES)]
    return np.stack([np.ones(images, dtype=int), *counts]).astype(np.float32)


def values(drawn: Array, labels: Array, predicted: Array) -> Array:
    """(2, rows): METRICS of predictions (N,) on each row of `drawn`."""
    actual, answered = (np.eye(len(SHARES), dtype=np.float32)[one] for one in (labels, predicted))
    right, actual, answered = (drawn @ one for one in (actual * (labels == predicted)[:, None], actual, answered))
    with np.errstate(invalid="ignore"):
        return np.stack([np.nanmean(right / actual, axis=1), np.nanmean(2 * right / (actual + answered), axis=1)])


def study(n: int, drawn: Array, rng: np.random.Generator) -> Array:
    """(2, n, rows): differences of METRICS between two sides alike, on n seeds."""
    images = drawn.shape[1]
    labels = np.asarray(rng.choice(len(SHARES), images, p=SHARES))
    hard, of_side = rng.normal(0, 1, images), rng.normal(0, 0.5, (2, images))
    sides: Array = np.empty((2, 2, n, len(drawn)))
    for side in range(2):
        for seed in range(n):
            shift = SKILL + rng.normal(0, 0.1, len(SHARES))
            right = shift[labels] + hard + of_side[side] + rng.normal(0, 0.7, images) > 0
            wrong = (labels + rng.integers(1, len(SHARES), images)) % len(SHARES)
            sides[side, :, seed] = values(drawn, labels, np.where(right, labels, wrong))
    return np.asarray(sides[0] - sides[1])


def intervals(differences: Array, images: int, rng: np.random.Generator) -> dict[str, tuple[float, float]]:
    """Each interval of (n, rows) differences of one metric."""
    own, samples = differences[:, 0], differences[:, 1:]
    n, after = len(own), looks(own, np.cov(samples), 0.05)
    half = after.over_both(fixed=True)[-1]
    seeds = rng.integers(0, n, (2000, n))
    both = samples[seeds, rng.integers(0, samples.shape[1], (2000, 1))].mean(axis=1)
    return {
        "over seeds and images": (float(own.mean() - half), float(own.mean() + half)),
        "over seeds": (float(own.mean() - after.fixed[-1]), float(own.mean() + after.fixed[-1])),
        "percentile bootstrap": (float(np.quantile(both, 0.025)), float(np.quantile(both, 0.975))),
    }


def coverage(images: int, n: int, studies: int, seed: int = 0) -> list[dict[str, Any]]:
    """A row a metric: the share of studies whose interval contains 0, and its mean half width in points."""
    rng, drawn = np.random.default_rng(seed), weights(images)
    found = [[intervals(one, images, rng) for one in study(n, drawn, rng)] for _ in range(studies)]
    rows = []
    for number, metric in enumerate(METRICS):
        row: dict[str, Any] = {"metric": metric, "images": images, "seeds": n, "studies": studies}
        for name in found[0][number]:
            ends = np.array([one[number][name] for one in found])
            row[name] = float(((ends[:, 0] <= 0) & (ends[:, 1] >= 0)).mean())
            row[f"{name}, +- points"] = float(50 * (ends[:, 1] - ends[:, 0]).mean())
        rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=1000, help="at 500 images; a fifth at 10,000")
    studies = parser.parse_args().studies
    settings = ((500, 5, studies), (500, 20, studies // 2), (10_000, 5, studies // 5))
    rows = [row for images, n, number in settings for row in coverage(images, n, number)]
    print_table(rows)
    write_results("metric-intervals", {"coverage": rows})


if __name__ == "__main__":
    main()
