"""The rule for claims about splits, simulated: a part of `benchmarks.verdicts`.

A difference in points is split + seed within it + an error of the test images that all trainings share + an error of
the images of one split + the rest of one training. `share` is the splits' part of the variance of a training that is
not of images. Beside the rule stands the t test of all K r differences, which takes seeds of one split as independent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from hw2tune.inference.intervals import Looks, looks
from hw2tune.inference.verdicts import statements

Array = NDArray[Any]
SPLITS, SEEDS, SHARES = (3, 5, 10), (1, 2, 3), (0.0, 0.2, 0.5)
IMAGE_ERRORS = (0.0, 0.1, 0.25, 0.5)  # points, of which a split and its seeds have 0.25
BATCH = 2_000  # studies


@dataclass(frozen=True, kw_only=True)
class Design:
    """K splits of r seeds; standard deviations in points."""

    splits: int
    seeds: int
    share: float
    shared: float  # error of the images, common to all
    claims: int = 1
    deviation: float = 0.25  # of split and seed together
    of_split: float = 0.05  # error of the images, common to the seeds of a split
    rest: float = 0.1
    images: int = 10_000


def draw(design: Design, studies: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Return differences (studies, claims, K, r) without an effect, and the covariance (..., K, K) over images."""
    shape, k, r = (studies, design.claims), design.splits, design.seeds
    split = rng.normal(0, design.deviation * np.sqrt(design.share), (*shape, k, 1))
    seed = rng.normal(0, design.deviation * np.sqrt(1 - design.share), (*shape, k, r))
    error = rng.normal(0, design.shared, (*shape, 1, 1)) + rng.normal(0, design.of_split, (*shape, k, 1))
    differences = split + seed + error + rng.normal(0, design.rest, (*shape, k, r))
    own = design.of_split**2 + design.rest**2 / r
    sigma = np.linalg.cholesky(design.shared**2 + own * np.eye(k))
    root = np.tril(rng.normal(size=(*shape, k, k)), -1)  # Wishart's, as of so many normal images
    root[..., range(k), range(k)] = np.sqrt(rng.chisquare(design.images - 1 - np.arange(k), (*shape, k)))
    half = sigma @ root / np.sqrt(design.images - 1)
    return differences, half @ np.swapaxes(half, -1, -2)


def judged(differences: Array, over_images: Array) -> tuple[Looks, Array]:
    """Return the numbers of K means over seeds, and which claims (studies, claims) have a better or worse."""
    claims = differences.shape[1]
    after = looks(differences.mean(axis=-1), over_images, 0.05 / claims)
    better, worse, _ = statements(after, rejected(after)[..., None], None, fixed=True)
    return after, (better | worse)[..., -1]


def rejected(after: Looks) -> Array:
    """Return which claims (studies, claims) Holm's correction of the paired t tests rejects."""
    n, claims = len(after.n), after.mean.shape[1]
    t = np.abs(after.mean[..., -1]) / (after.sd[..., -1] / np.sqrt(n))
    p = 2 * special.stdtr(n - 1, -t)
    order = np.argsort(p, axis=1)
    corrected = np.take_along_axis(p, order, axis=1) * (claims - np.arange(claims))
    found = np.zeros(p.shape, bool)
    np.put_along_axis(found, order, np.maximum.accumulate(corrected, axis=1) <= 0.05, axis=1)
    return found


def pooled(differences: Array) -> Array:
    """Return which claims the t test of all differences rejects, by Holm, whatever their split."""
    return rejected(looks(differences.reshape(*differences.shape[:2], -1), None, 0.05))


def splits(studies: int) -> list[dict[str, Any]]:
    """Studies of three claims with a false better or worse, and coverage of one claim's 95 % interval."""
    rng, rows = np.random.default_rng(5), []
    for k in SPLITS:
        for r in SEEDS:
            for share in SHARES:
                row: dict[str, Any] = {"splits": k, "seeds": r, "split share": share}
                for shared in IMAGE_ERRORS:
                    false, covered, naive = _measured(
                        Design(splits=k, seeds=r, share=share, shared=shared), studies, rng
                    )
                    row |= {f"false, image error {shared:g}": false, f"coverage, {shared:g}": covered}
                    row |= {f"pooled t, {shared:g}": naive} if shared == 0 else {}
                rows.append(row)
    return rows


def _measured(design: Design, studies: int, rng: np.random.Generator) -> tuple[float, float, float]:
    found = []
    for _ in range(max(1, studies // BATCH)):
        three, images = draw(Design(**{**vars(design), "claims": 3}), min(BATCH, studies), rng)
        after = looks(three.mean(axis=-1)[:, :1], images[:, :1], 0.05)
        covered = np.abs(after.mean[..., -1]) <= after.over_both(True)[..., -1]
        found.append((judged(three, images)[1].any(axis=1).mean(), covered.mean(), pooled(three).any(axis=1).mean()))
    false, covered, naive = np.mean(found, axis=0)
    return float(false), float(covered), float(naive)
