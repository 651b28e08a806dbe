"""Drawings and recipes for them; the classes and replicates that they show."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hw2tune.records.arrays import Array
from hw2tune.records.trials.states import COMPLETE
from hw2tune.report.configurations import params_of, same_configuration, same_sentence
from hw2tune.report.study_data import StudyData

Section = Literal["claims", "curves", "weights", "examples", "features", "classes", "data", "finalists", "search"]
MOST_LETTERS = 11  # of a class name under an image or a column
MOST_BESIDE = 18  # of one beside a row
Arrays = dict[str, Array]


class CannotDrawError(Exception):
    """There is nothing to draw; the message is one sentence for the page."""


class Mark(NamedTuple):
    """A point of a drawing that the page can name, in the coordinates of its axes. Equal keys belong together."""

    axes: Axes
    x: float
    y: float
    key: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """A figure with its texts. All text is plain: escape it where it is printed."""

    figure: Figure
    caption: str  # what it shows and how it was made, with n and what a band means
    alt: str  # the picture in one sentence, for those who do not see it
    marks: Sequence[Mark] = ()


@dataclass(frozen=True)
class Recipe:
    """Recipe of one figure. `draw` raises CannotDrawError where the data lack what it needs."""

    name: str
    section: Section
    title: str
    draw: Callable[[StudyData], Drawing]
    choice: str = ""  # which of the section's alternatives it is: a variant, a layer


def class_names(data: StudyData) -> list[str]:
    """The classes in the order of their labels; none where no replicate was trained."""
    return list(data.dataset.classes) if data.dataset else []


def class_name(data: StudyData, label: int) -> str:
    """The name of a class, short, or its number."""
    names = class_names(data)
    return short(names[label]) if label < len(names) else str(label)


def short(name: str, letters: int = MOST_LETTERS) -> str:
    """A class name that fits under an image, or in so many letters."""
    return name if len(name) <= letters else name[: letters - 1] + "…"


@dataclass(frozen=True, kw_only=True)
class Shown:
    """Arrays by variant and seed; every variant has the same seeds."""

    seeds: list[int]
    arrays: dict[str, dict[int, Arrays]]
    absent: str  # a sentence about variants that are omitted; empty where there are none

    @property
    def seed(self) -> int:
        """The one seed of a figure that shows single networks."""
        return self.seeds[0]

    def one(self, variant: str) -> Arrays:
        """The arrays of one variant on that seed."""
        return self.arrays[variant][self.seed]

    @property
    def sentence(self) -> str:
        """Sentence of a caption on the seed that is shown."""
        return f"One network per variant (seed {self.seed}, the first that all shown variants have).{self.absent}"


def distinct_variants(data: StudyData) -> tuple[tuple[str, ...], str]:
    """The variants that a figure of all of them draws, and a sentence on those that would be drawn twice.

    A derived one that changes nothing is the configuration that it is derived of.
    """
    twice = {
        name: side.of
        for name, side in data.overview.study.variants.items()
        if side.changes and data.of(side.of) and same_configuration(params_of(data, side.of), params_of(data, name))
    }
    notes = [f"{same_sentence(data, of, name).rstrip('.')}; only {of} is drawn." for name, of in twice.items()]
    return tuple(name for name in data.variants if name not in twice), " ".join(notes)


def plain_variants(data: StudyData) -> list[str]:
    """References and the winner, without what is derived of them."""
    return [name for name in data.variants if not data.side(name).changes]


def choose(
    data: StudyData,
    variants: Sequence[str],
    needs: Sequence[str] = ("labels", "predicted", "confidence"),
    *,
    required: Sequence[str] = (),
    all_seeds: bool = False,
    preferred: int | None = None,
) -> Shown:
    """The variants that have arrays, on the first seed that all of them have, `preferred` before all others, or on all.

    `needs` are names of arrays, or beginnings of names ending in a slash. Raises CannotDrawError where one of
    `required` has none, or where all have none.
    """
    seeds = {variant: _finished(data, variant) for variant in variants}
    found: dict[str, dict[int, Arrays]] = {variant: {} for variant in variants}
    # Seeds in order, and no further than needed: arrays are large.
    order = sorted(set().union(*seeds.values()), key=lambda seed: (seed != preferred, seed))
    for seed in order:
        for variant in variants:
            arrays = data.arrays(variant, seed) if seed in seeds[variant] else None
            if arrays is not None and all(_has(arrays, need) for need in needs):
                found[variant][seed] = arrays
        if not all_seeds and all(seed in found[variant] for variant in variants):
            break
    there = [variant for variant in variants if found[variant]]
    lacking = [variant for variant in (required or variants) if variant not in there]
    if lacking and (required or not there):
        raise CannotDrawError(" ".join(_why_absent(data, variant) for variant in lacking))
    shared = [seed for seed in order if all(seed in found[variant] for variant in there)]
    if not shared:
        raise CannotDrawError(f"No seed has arrays of all of {', '.join(there)}.")
    kept = shared if all_seeds else shared[:1]
    return Shown(
        seeds=kept,
        arrays={variant: {seed: found[variant][seed] for seed in kept} for variant in there},
        absent="".join(f" {_why_absent(data, variant)}" for variant in variants if variant not in there),
    )


def _why_absent(data: StudyData, variant: str) -> str:
    replicates = data.of(variant)
    if not replicates:
        return f"No replicate of {variant} was trained."
    if not _finished(data, variant):
        return f"No replicate of {variant} finished ({replicates[0].reason or replicates[0].state})."
    return f"The saved arrays of {variant} are missing or damaged."


def _finished(data: StudyData, variant: str) -> list[int]:
    return [replicate.seed for replicate in data.of(variant) if replicate.state == COMPLETE]


def _has(arrays: Arrays, need: str) -> bool:
    return any(name.startswith(need) for name in arrays) if need.endswith("/") else need in arrays
