"""Steps or one level for all claims at a fixed number of seeds: `uv run python -m benchmarks.fixed_verdicts`, minutes.

Three rules on the same studies. `one level` is the product's: the interval of each claim at 1 - alpha / m decides.
`Holm` steps down: a claim is tested at alpha / (m - k) after k others were better or worse, by the p at which its
interval over seeds and test images just includes 0, which is never below that of the t test. `half steps` hands on half
of a decided claim's share, as the other half may be spent by a false *the same*. In both *the same* is said at
1 - alpha / m, if the claim is not better or worse. Beside them stands 83dc8fd: a 95 % t interval over seeds alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from benchmarks.results import print_table, write_results
from benchmarks.verdicts import Setting, batches
from hw2tune.inference.intervals import looks, with_images
from hw2tune.inference.statistics import ALPHA

Array = NDArray[Any]
STUDIES = 20_000
SEEDS = (5, 7, 10)
IMAGES = (
    Setting(name="10,000 images", seed=0.25, rest=0.1),
    Setting(name="10,000 images, shared error", seed=0.25, rest=0.1, shared=0.1),
    Setting(name="500 images, shared error", images=500, seed=1.1, rest=0.45, shared=0.45),
)
RULES = ("one level", "half steps", "Holm")


@dataclass(frozen=True)
class Judged:
    """By claim (studies, m): better or worse, the same, and the half width at the level that decided."""

    apart: Array
    same: Array
    half: Array


def judged(mean: Array, half_at: Any, worth: float) -> dict[str, Judged]:
    """Return what each rule says of mean differences (studies, m); `half_at` gives half widths at levels (studies,)."""
    m = mean.shape[1]
    first = half_at(np.full(len(mean), ALPHA / m))
    same = np.abs(mean) + first < worth
    found = {"one level": Judged(np.abs(mean) > first, same, first)}
    for rule, share in (("half steps", 0.5), ("Holm", 1.0)):
        apart, half = np.abs(mean) > first, first
        for _ in range(m - 1):
            decided = apart.sum(axis=1)
            level = ALPHA / m * (1 + share * decided / np.maximum(m - decided, 1))
            half = np.where(apart, half, half_at(level))
            apart = apart | (np.abs(mean) > half)
        found[rule] = Judged(apart, same & ~apart, half)
    return found


def measured(
    setting: Setting, effects: Sequence[float], n: int, studies: int, seed: int
) -> dict[str, dict[str, float]]:
    """Return by rule the shares of studies with false statements and of intervals that cover, and the power."""
    rng, effect = np.random.default_rng(seed), np.array(effects)
    setting, sums = replace(setting, claims=len(effect)), dict[str, list[dict[str, float]]]()
    for drawn in batches(setting, studies, rng, n):
        after = looks(drawn.differences + effect[:, None], drawn.over_images, ALPHA)
        mean, error, images = after.mean[..., -1], after.sd[..., -1] / np.sqrt(n), after.of_images[..., -1]

        def half_at(level: Array, error: Array = error, images: Array = images) -> Array:
            column: Any = level[:, None]  # one study a row
            return with_images(special.stdtrit(n - 1, 1 - column / 2) * error, images, column)

        rules = judged(mean, half_at, setting.worth)
        t = np.abs(mean) > after.fixed[..., -1]
        rules["83dc8fd"] = Judged(t, np.zeros_like(t), after.fixed[..., -1])
        for rule, one in rules.items():
            sums.setdefault(rule, []).append(_numbers(one, mean, effect, setting.worth))
    return {
        rule: {name: float(np.mean([one[name] for one in each])) for name in each[0]} for rule, each in sums.items()
    }


def _numbers(one: Judged, mean: Array, effect: Array, worth: float) -> dict[str, float]:
    wrong = one.apart & (np.sign(mean) != np.sign(effect))
    false_same = one.same & (np.abs(effect) >= worth)
    right = (one.apart & ~wrong)[:, effect != 0]
    return {
        "false better or worse": wrong.any(axis=1).mean(),
        "false of any kind": (wrong | false_same).any(axis=1).mean(),
        "power": right.mean() if right.size else np.nan,
        "all intervals cover": (np.abs(mean - effect) <= one.half).all(axis=1).mean(),
    }


def scenarios() -> Iterator[tuple[str, Setting, list[float], int]]:
    """Yield settings, true differences and seeds; an effect has about 70 % power as the only claim of so many."""
    for setting in IMAGES:
        for n in SEEDS:
            spread = np.sqrt((setting.seed**2 + setting.rest**2) / n + setting.shared**2)
            for m in range(1, 7):
                size = float((special.stdtrit(n - 1, 1 - ALPHA / m / 2) + 0.5) * spread)
                for true in sorted({0, 1, m - 1, m} if m > 1 else {0, 1}):
                    yield f"{true} of {m} true", setting, [size] * true + [0.0] * (m - true), n


def at_worth(studies: int) -> list[dict[str, Any]]:
    """One claim without a difference among others whose difference is just the worth, seen as +-w / 2."""
    rows = []
    for m in (2, 3, 6):
        error = 0.25 / float(special.ndtri(1 - ALPHA / m / 2)) * 1.02
        setting = Setting(name="at w", seed=0.02, rest=0.02, shared=error)
        found = measured(setting, [0.0, *[setting.worth] * (m - 1)], 10, studies, m)
        rows.append({"claims": m, **{rule: found[rule]["false of any kind"] for rule in RULES}})
    return rows


def steps(studies: int) -> list[dict[str, Any]]:
    """All scenarios: false verdicts, power, and how often all printed intervals of a study hold together."""
    rows = []
    for number, (name, setting, effects, n) in enumerate(scenarios()):
        found = measured(setting, effects, n, studies, number)
        row: dict[str, Any] = {"images": setting.name, "n": n, "claims": name}
        for short, name in (("false", "false better or worse"), ("power", "power"), ("cover", "all intervals cover")):
            row |= {f"{short}, {rule}": found[rule][name] for rule in (*RULES, "83dc8fd")}
        rows.append(row)
    return rows


def summary(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the extremes of each rule over all scenarios."""
    return [
        {
            "rule": rule,
            "false better or worse, at most": max(one[f"false, {rule}"] for one in rows),
            "all intervals cover, at least": min(one[f"cover, {rule}"] for one in rows),
        }
        for rule in (*RULES, "83dc8fd")
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--divide", type=int, default=1, help="so many times fewer studies, printed and not written")
    studies = STUDIES // (divide := parser.parse_args().divide)
    rows, worst = steps(studies), at_worth(studies)
    for table in (rows, worst, summary(rows)):
        print_table(table)
    if divide == 1:
        write_results(
            "fixed-verdicts", {"studies": STUDIES, "steps": rows, "at worth": worst, "extremes": summary(rows)}
        )


if __name__ == "__main__":
    main()
