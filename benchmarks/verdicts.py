"""The rule of the verdicts, simulated: `OMP_NUM_THREADS=1 uv run python -m benchmarks.verdicts`, minutes on one core.

Differences are drawn in points of accuracy: effect + seed + an error of the images that all seeds share + the rest.
Three rules stand side by side: of today with a look after each seed (`auto`), of today at a number of seeds that was
fixed, and of commit 83dc8fd, which gave each claim a 95 % t interval over its seeds. An effect is one over seeds *and*
test images, so an error of the test images is no effect.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from benchmarks.results import print_table, write_results
from benchmarks.split_verdicts import splits
from hw2tune.inference.evidence import Evidence, covariance_over_images
from hw2tune.inference.intervals import Looks, looks
from hw2tune.inference.verdicts import BETTER, THE_SAME, WORSE, Rule, decide, futile, statements

MOST = 40  # seeds
BATCH = 500  # studies
Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Standard deviations in points: of seeds, of the error that the test images share, of the rest of one seed."""

    name: str
    images: int = 10_000
    seed: float = 0.25
    shared: float = 0.0
    rest: float = 0.1
    effect: float = 0.0
    claims: int = 1

    @property
    def worth(self) -> float:
        """The default: 50 / sqrt(images) points."""
        return 50 / math.sqrt(self.images)


@dataclass(frozen=True)
class Drawn:
    """Differences (studies, claims, n) and their covariance (..., n, n) over test images."""

    differences: Array
    over_images: Array


def draw(setting: Setting, studies: int, rng: np.random.Generator, most: int = MOST) -> Drawn:
    """Draw studies; the covariance over images is Wishart's, as of so many normal images."""
    shape = (studies, setting.claims)
    mean = setting.effect + rng.normal(0, setting.shared, (*shape, 1))
    own = np.hypot(setting.seed, setting.rest)
    differences = mean + rng.normal(0, own, (*shape, most))
    root = np.tril(rng.normal(size=(*shape, most, most)), -1)
    diagonal = np.sqrt(rng.chisquare(setting.images - 1 - np.arange(most), (*shape, most)))
    root[..., range(most), range(most)] = diagonal
    sigma = np.linalg.cholesky(setting.shared**2 + setting.rest**2 * np.eye(most) + 1e-12 * np.eye(most))
    half = sigma @ root / np.sqrt(setting.images - 1)
    return Drawn(differences, half @ np.swapaxes(half, -1, -2))


def judged(drawn: Drawn, setting: Setting) -> tuple[Looks, tuple[Array, Array, Array]]:
    """Return the numbers after each seed, and where better, worse and the same hold, of the rule with looks."""
    rule = Rule(claims=setting.claims)
    after = looks(drawn.differences, drawn.over_images, rule.alpha)
    return after, statements(after, after.log_e >= -np.log(rule.alpha), setting.worth, fixed=False)


def before(drawn: Drawn) -> Array:
    """Return after which seeds the t interval of 83dc8fd excludes 0: its increase or decrease."""
    after = looks(drawn.differences, None, 0.05)
    return np.abs(after.mean) > after.fixed


def at(drawn: Drawn, setting: Setting, n: int) -> Iterator[list[str]]:
    """Yield the words of each study at a fixed number of seeds, by the product's own function."""
    rule = Rule(claims=setting.claims, fixed=n)
    for differences, over_images in zip(drawn.differences[..., :n], drawn.over_images[..., :n, :n], strict=True):
        pairs = zip(differences, over_images, strict=True)
        yield [one.word for one in decide([evidence(*pair, setting) for pair in pairs], rule)]


def evidence(differences: Array, over_images: Array, setting: Setting) -> Evidence:
    """Return one claim as the product has it."""
    n = len(differences)
    return Evidence(
        variant="a", against="b", seeds=tuple(range(n)), differences=differences, over_images=over_images,
        images=setting.images, trained=n, worth=setting.worth,
    )  # fmt: skip


def batches(setting: Setting, studies: int, rng: np.random.Generator, most: int = MOST) -> Iterator[Drawn]:
    """Yield the studies in parts that memory takes."""
    for begun in range(0, studies, BATCH):
        yield draw(setting, min(BATCH, studies - begun), rng, most)


def false_verdicts(studies: int) -> list[dict[str, Any]]:
    """Studies with at least one better or worse, though no claim has an effect."""
    rng, rows = np.random.default_rng(0), []
    for shared in (0.0, 0.1, 0.25, 0.5):
        for claims in range(1, 7):
            setting = Setting(name="null", shared=shared, claims=claims)
            found = [_false_verdicts(drawn, setting) for drawn in batches(setting, studies, rng)]
            means = {name: float(np.mean([one[name] for one in found])) for name in found[0]}
            rows.append({"image error": shared, "claims": claims, **means})
    return rows


def _false_verdicts(drawn: Drawn, setting: Setting) -> dict[str, float]:
    _, (better, worse, _) = judged(drawn, setting)
    old: Any = before(drawn).any(axis=1)
    few = Drawn(drawn.differences[: BATCH // 4], drawn.over_images[: BATCH // 4])  # one study after the other
    fixed = {n: np.mean([BETTER in one or WORSE in one for one in at(few, setting, n)]) for n in (5, 10)}
    return {
        "auto, looks 2 to 40": float((better | worse).any(axis=(1, 2)).mean()),
        **{f"fixed n = {n}": float(mean) for n, mean in fixed.items()},
        "83dc8fd, looks 2 to 40": float(old.any(axis=1).mean()),
        "83dc8fd, looks 5 to 40": float(old[:, 4:].any(axis=1).mean()),
        "83dc8fd, n = 5": float(old[:, 4].mean()),
        "83dc8fd, n = 10": float(old[:, 9].mean()),
    }


def false_sameness(studies: int) -> list[dict[str, Any]]:
    """Studies with at least one false *the same*, or a verdict of the wrong side, at effects of w."""
    rng, rows = np.random.default_rng(1), []
    for shared in (0.0, 0.1, 0.2):
        for claims in (1, 3, 6):
            setting = Setting(name="at w", shared=shared, claims=claims, effect=0.5, seed=0.15, rest=0.05)
            drawn = draw(setting, studies, rng)
            _, (_, worse, same) = judged(drawn, setting)
            rows.append(
                {"image error": shared, "claims": claims, "auto": float((same | worse).any(axis=(1, 2)).mean())}
            )
    return rows


def seeds_needed(studies: int) -> list[dict[str, Any]]:
    """Mean number of seeds to a verdict, at most 40, beside the fixed number with 80 % power."""
    rng, rows = np.random.default_rng(2), []
    for claims in (1, 3):
        for effect in (1.0, 1.5, 2.0, 3.0):
            setting = Setting(name="effect", effect=effect, seed=1.0, rest=0.0, images=10**8, claims=claims)
            found = [judged(one, setting)[1][0] for one in batches(replace(setting, claims=1), studies, rng)]
            better = np.concatenate(found)
            n = np.where(better.any(axis=-1), better.argmax(axis=-1) + 1, MOST)
            rows.append(
                {
                    "claims": claims,
                    "effect / sd": effect,
                    "auto, mean n": float(n.mean()),
                    "auto, median n": float(np.median(n)),
                    "better by 20": float(better[..., :20].any(axis=-1).mean()),
                    "better by 40": float(better.any(axis=-1).mean()),
                    "fixed n, 80 %": next(k for k in range(2, 99) if _power(k, effect, 0.05 / claims) >= 0.8),
                    "83dc8fd, 80 %": next(k for k in range(2, 99) if _power(k, effect, 0.05) >= 0.8),
                }
            )
    return rows


def _power(n: int, effect: float, alpha: float) -> float:
    limit = stats.t.ppf(1 - alpha / 2, n - 1)
    return float(stats.nct.sf(limit, n - 1, min(40.0, effect * np.sqrt(n))))


SIDES = (
    Setting(name="alike", seed=0.2, shared=0.06, rest=0.08),
    Setting(name="unlike", seed=0.4, shared=0.25, rest=0.3),
    Setting(name="alike, 500 images", images=500, seed=0.9, shared=0.3, rest=0.4),
    Setting(name="unlike, 500 images", images=500, seed=1.8, shared=1.0, rest=1.2),
)


def four_verdicts(studies: int) -> list[dict[str, Any]]:
    """Verdicts at effects of 0, w / 2, w and 2 w, with at most 20 seeds and giving up where it is futile."""
    rng, rows = np.random.default_rng(3), []
    for sides in SIDES:
        for multiple in (0.0, 0.5, 1.0, 2.0):
            setting = replace(sides, effect=multiple * sides.worth, claims=3)
            drawn = draw(replace(setting, claims=1), studies, rng, 20)
            ends = [_auto(*one, setting) for one in zip(drawn.differences[:, 0], drawn.over_images[:, 0], strict=True)]
            words = [word for word, _, _ in ends]
            old = before(drawn)[:, 0, 4]
            rows.append(
                {
                    "sides": sides.name,
                    "effect": f"{multiple:g} w",
                    **{word: words.count(word) / studies for word in (BETTER, WORSE, THE_SAME, "undecided")},
                    "within w too": float(np.mean([within for _, within, _ in ends])),
                    "mean n": float(np.mean([n for _, _, n in ends])),
                    "83dc8fd, n = 5: increase": float((old & (drawn.differences[:, 0, :5].mean(axis=-1) > 0)).mean()),
                    "decrease": float((old & (drawn.differences[:, 0, :5].mean(axis=-1) < 0)).mean()),
                }
            )
    return rows


def _auto(differences: Array, over_images: Array, setting: Setting) -> tuple[str, bool, int]:
    """Add seeds as `--replicates auto` does: verdict, whether within w too, and the number of seeds."""
    rule, most = Rule(claims=setting.claims), len(differences)
    for n in range(5, most + 1):
        known = evidence(differences[:n], over_images[:n, :n], setting)
        (verdict,) = decide([known], rule)
        if verdict.decided or futile(known, rule, most):
            return verdict.word, verdict.within and verdict.word != THE_SAME, n
    raise AssertionError("more seeds than the most are futile")


def coverage(studies: int) -> list[dict[str, Any]]:
    """Coverage of 95 % intervals for the difference over other seeds and images, on right and wrong predictions.

    Either side is right on an image with a probability of its own, and each seed shifts it: a probit model.
    """
    rng, rows = np.random.default_rng(4), []
    for images in (500, 10_000):
        for n in (5, 10):
            for shared in (0.3, 1.0):
                found = [_covered(rng, images, n, shared) for _ in range(studies if images == 500 else studies // 5)]
                both, seeds = np.mean(found, axis=0)
                rows.append(
                    {"images": images, "n": n, "image x side": shared, "two-way": both, "over seeds, 83dc8fd": seeds}
                )
    return rows


def _covered(rng: np.random.Generator, images: int, n: int, shared: float) -> tuple[bool, bool]:
    difficulty = rng.normal(2.0, 1.0, images)
    sides = []
    for _ in range(2):
        own = difficulty + rng.normal(0, shared, images)
        chance = special.ndtr((own + rng.normal(0, 0.03, (n, 1))) / 0.7)
        sides.append(rng.random((n, images)) < chance)
    per_image = sides[0].astype(float) - sides[1]
    after = looks(per_image.mean(axis=1), covariance_over_images(per_image), 0.05)
    return bool(abs(after.mean[-1]) <= after.over_both(True)[-1]), bool(abs(after.mean[-1]) <= after.fixed[-1])


TABLES = {
    "false verdicts": (false_verdicts, 4_000),
    "false sameness": (false_sameness, 4_000),
    "seeds to a verdict": (seeds_needed, 2_000),
    "four verdicts": (four_verdicts, 400),
    "coverage": (coverage, 2_000),
    "splits": (splits, 20_000),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=[*TABLES], help="one table only, printed and not written")
    parser.add_argument("--divide", type=int, default=1, help="so many times fewer studies")
    given = parser.parse_args()
    found = {}
    for name, (table, studies) in TABLES.items():
        if given.part in (None, name):
            found[name] = table(studies // given.divide)
            print(f"\n{name} ({studies // given.divide:,} studies)", flush=True)
            print_table(found[name])
    if given.part is None:
        write_results("verdicts", {"studies": {name: studies for name, (_, studies) in TABLES.items()}, **found})


if __name__ == "__main__":
    main()
