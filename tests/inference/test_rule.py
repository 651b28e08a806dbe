"""The rule of docs/claims.md a second time, by loops and textbooks, against `decide` on drawn claims."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from hw2tune.inference.evidence import Evidence, covariance_over_images
from hw2tune.inference.verdicts import Rule, Verdict, decide

IMAGES = 40


def e_value(d: list[float], against: float) -> float:
    n, t = len(d), (np.mean(d) - against) / (np.std(d, ddof=1) / math.sqrt(len(d)))
    last = math.log(1 + t**2 / (n - 1)) - math.log(1 + t**2 / ((n - 1) * (1 + n)))
    return math.exp(0.5 * math.log(1 / (1 + n)) + n / 2 * last)


def of_images(table: np.ndarray) -> float:
    """Two-way analysis of variance of (n, images) crossed effects: the variance of a mean from the images' part."""
    n, columns = table.shape
    means, total = table.mean(axis=0), table.mean()
    rest = table - table.mean(axis=1, keepdims=True) - means + total
    between = n * ((means - total) ** 2).sum() / (columns - 1)
    within = (rest**2).sum() / ((columns - 1) * max(n - 1, 1))
    return max(0.0, (between - within) / n) / columns


def half_width(table: np.ndarray, level: float, z_level: float, anytime: bool) -> float:
    d = table.mean(axis=1).tolist()
    mean, sd, n = np.mean(d), np.std(d, ddof=1), len(d)
    seeds = stats.t.ppf(1 - level / 2, n - 1) * sd / math.sqrt(n)
    if anytime:
        far = mean + 1e6 * sd
        if e_value(d, far) < 1 / level:
            return math.inf
        seeds = optimize.brentq(lambda against: math.log(e_value(d, against) * level), mean, far, xtol=1e-12) - mean
    return math.hypot(seeds, stats.norm.ppf(1 - z_level / 2) * math.sqrt(of_images(table)))


def statements(table: np.ndarray, w: float, rejects: bool, half: float) -> set[str]:
    mean = table.mean()
    found = {"better"} if rejects and mean - half > 0 else {"worse"} if rejects and mean + half < 0 else set()
    return found | ({"the same"} if -w < mean - half and mean + half < w else set())


def named(reached: dict[str, int], failed: tuple[int, int]) -> tuple[str, bool]:
    """Return the word and whether the difference is within the worth, from the n at which each statement held."""
    sides = sorted((n, word) for word, n in reached.items() if word != "the same")
    word = sides[0][1] if sides else "undecided"
    within = "the same" in reached and failed[0] == failed[1]
    if (word, np.sign(failed[0] - failed[1])) in (("better", 1), ("worse", -1)):
        word = "undecided"
    return ("the same" if word == "undecided" and within else word), within


def expected(tables: list[np.ndarray], w: float, failed: tuple[int, int], m: int, fixed: int | None) -> list:
    found = []
    p = [float(stats.ttest_1samp(one.mean(axis=1), 0).pvalue) for one in tables] + [1.0] * (m - len(tables))
    for place, table in enumerate(tables):
        n, reached = len(table), {}
        if fixed is None:
            for k in range(2, n + 1):
                rejects = e_value(table[:k].mean(axis=1).tolist(), 0) >= m / 0.05
                half = half_width(table[:k], 0.05 / m, 0.05 / (2 * m), True)
                for word in statements(table[:k], w, rejects, half):
                    reached.setdefault(word, k)
        elif n >= fixed:
            order = sorted(range(m), key=lambda one: p[one])  # Holm's steps, down to the first that is not rejected
            steps = [p[one] <= 0.05 / (m - rank) for rank, one in enumerate(order)]
            rejects = all(steps[: order.index(place) + 1])
            half = half_width(table, 0.05 / m, 0.05 / m, False)
            reached = dict.fromkeys(statements(table, w, rejects, half), n)
        half = half_width(table, 0.05 / m, 0.05 / (2 * m) if fixed is None else 0.05 / m, fixed is None)
        found.append((*named(reached, failed), table.mean() - half if math.isfinite(half) else None))
    return found


@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, 2**20),
    sizes=st.lists(st.integers(2, 14), min_size=1, max_size=3),
    effect=st.sampled_from([0.0, 0.5, 1.0, 3.0]),
    images=st.sampled_from([0.1, 3.0]),
    w=st.sampled_from([0.5, 1.5]),
    failed=st.sampled_from([(0, 0), (0, 0), (1, 0), (0, 1), (2, 2)]),
    more=st.integers(0, 2),
    fixed=st.sampled_from([None, None, 2, 8]),
)
def test_verdicts_are_those_of_the_page_about_claims(seed, sizes, effect, images, w, failed, more, fixed) -> None:
    random = np.random.default_rng(seed)
    tables = [
        random.choice([-1, 1]) * effect
        + random.normal(0, 1, (n, 1)) * random.choice([0.1, 1])
        + random.normal(0, images, (1, IMAGES))
        + random.normal(0, 0.5, (n, IMAGES))
        for n in sizes
    ]
    evidences = [
        Evidence(
            variant="a", against="b", seeds=tuple(range(len(one))), differences=one.mean(axis=1), failed=failed,
            trained=len(one), worth=w, images=IMAGES, over_images=covariance_over_images(one),
        )
        for one in tables
    ]  # fmt: skip
    m = len(sizes) + more
    found: list[Verdict] = decide(evidences, Rule(claims=m, fixed=fixed))
    for one, (word, within, low) in zip(found, expected(tables, w, failed, m, fixed), strict=True):
        assert (one.word, one.within) == (word, within)
        assert (one.interval and one.interval[0]) == (low if low is None else pytest.approx(low, rel=1e-6, abs=1e-9))
