"""The race's P(best), printed against realised: `uv run python -m benchmarks.race`, four minutes on one core.

Invented searches of 30 trials, in points: qualities N(0, QUALITY), an error of the validation images that all seeds of
a configuration share, trainings N(0, seed). The best two, four or six by their value in the search race, with the code
of today and with that of 83dc8fd, on the same seeds. `told` is the image error that the race reckons with; the product
reckons with `IMAGE_SHARE` of the binomial variance: 0.3 points at 95 % of 500 images. Half of the trials of a search
with pruning were pruned 10 points short, whatever they are worth.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from benchmarks.contestants.race_before import FinalistsBefore
from benchmarks.results import print_table, write_results
from hw2tune.replication.race import Finalists

QUALITY, SHORT = 0.5, 10.0
BINS = ((0.0, 0.5), (0.5, 0.8), (0.8, 0.95), (0.95, 1.01))


@dataclass(frozen=True, kw_only=True)
class Field:
    """A kind of search, and who enters its race, in points (standard deviations)."""

    finalists: int
    images: float = 0.0
    told: float = 0.0
    seed: float = 0.9
    trials: int = 30
    pruned: float = 0.0
    quality: float = QUALITY


SETTINGS = [
    *(
        Field(finalists=finalists, images=images, told=told)
        for finalists in (2, 4, 6)
        for images, told in ((0.0, 0.0), (0.3, 0.3), (0.7, 0.3), (0.7, 0.7))
    ),
    Field(finalists=4, trials=12, images=0.3, told=0.3),
    Field(finalists=6, images=0.3, told=0.3, pruned=0.5),
    Field(finalists=6, images=0.3, told=0.3, seed=0.2),
    Field(finalists=6, images=0.3, told=0.3, quality=0.1),
]


class Outcome(NamedTuple):
    """One race: the winner's P(best), whether it is the best finalist, and the points lost by not taking that one."""

    printed: float
    best: bool
    regret: float
    without: float  # regret of the leader of the search
    trainings: int


class Drawn(NamedTuple):
    """A search: values of its finalists and which of them are pruned, of the others; true qualities, and values to come
    (finalists, 24)."""

    search: Any
    pruned: Any
    others: Any
    truth: Any
    values: Any


def drawn(setting: Field, seed: int) -> Drawn:
    """Invent a search."""
    rng = np.random.default_rng(seed)
    quality = rng.normal(0, setting.quality, setting.trials)
    true = quality + rng.normal(0, setting.images, setting.trials)
    pruned = rng.random(setting.trials) < setting.pruned
    search = true + rng.normal(0, setting.seed, setting.trials) - SHORT * pruned
    order = np.argsort(-search)
    entered, rest = order[: setting.finalists], order[setting.finalists :]
    noise = rng.normal(0, setting.seed, (setting.finalists, 24))
    values = true[entered, None] + noise
    return Drawn(search[entered], pruned[entered], search[rest][~pruned[rest]], quality[entered], values)


def race(setting: Field, seed: int, begin: Callable[..., Any]) -> Outcome:
    """Run one race. `begin` gets the finalists' values, theirs that were not pruned, and those of the others."""
    one = drawn(setting, seed)
    known = begin(one.search, one.pruned, one.others, setting.told)
    while numbers := known.next():
        for number in numbers:
            known.values[number].append(float(one.values[number, len(known.values[number])]))
    truth, winner = one.truth, known.winner
    return Outcome(
        printed=float(known.chances()[winner]),
        best=bool(winner == truth.argmax()),
        regret=float(truth.max() - truth[winner]),
        without=float(truth.max() - truth[0]),
        trainings=sum(map(len, known.values)),
    )


def now(search: Any, pruned: Any, others: Any, told: float) -> Finalists:
    """Begin a race as it is run today."""
    return Finalists([None if one else value for value, one in zip(search, pruned, strict=True)], others, told**2)


def before(search: Any, pruned: Any, others: Any, told: float) -> FinalistsBefore:
    """Begin a race as 83dc8fd ran it."""
    return FinalistsBefore(list(search))


def summary(setting: Field, code: str, outcomes: list[Outcome]) -> dict[str, Any]:
    """Return a line of the table: means, and the realised share by what was printed."""
    printed, best, regret, without, trainings = (np.array(column) for column in zip(*outcomes, strict=True))
    line: dict[str, Any] = {
        **vars(setting), "code": code, "printed": f"{printed.mean():.2f}", "realised": f"{best.mean():.2f}",
        "regret": f"{regret.mean():.3f} (+-{1.96 * regret.std() / len(regret) ** 0.5:.3f})",
        "without race": f"{without.mean():.2f}", "trainings": f"{trainings.mean():.1f}",
    }  # fmt: skip
    for low, high in BINS:
        there = (printed >= low) & (printed < high)
        shown = f"{printed[there].mean():.2f}: {best[there].mean():.2f} (n = {there.sum()})" if there.any() else "-"
        line[f"P(best) {low:.2f} to {min(high, 1):.2f}"] = shown
    return line


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--races", type=int, default=1000)
    races = parser.parse_args().races
    lines = [
        summary(setting, code, [race(setting, seed, begin) for seed in range(races)])
        for setting in SETTINGS
        for code, begin in (("83dc8fd", before), ("now", now))
    ]
    print_table(lines)
    write_results("race", {"races": races, "lines": lines})


if __name__ == "__main__":
    main()
