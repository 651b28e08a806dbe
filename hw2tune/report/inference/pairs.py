"""Two variants side by side: their configurations, the seeds that both finished, their predictions on one seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hw2tune.records.replicates import Array, Replicate
from hw2tune.report.study_data import StudyData
from hw2tune.study.hyperparameters import Value, identity
from hw2tune.study.schema import TUNED, Side
from hw2tune.text.numbers import listed, value_words

Params = Mapping[str, Value]


@dataclass(frozen=True, kw_only=True)
class Pair:
    """`variant` and `against`, by seed. `dropped` says which seeds are omitted and why, empty where none is."""

    variant: dict[int, Replicate]  # finished ones on the shared seeds, both in the same order
    against: dict[int, Replicate]
    dropped: list[str]

    @property
    def seeds(self) -> list[int]:
        """The seeds that both finished."""
        return list(self.variant)


def paired(variant: str, replicates: Sequence[Replicate], against: str, others: Sequence[Replicate]) -> Pair:
    """Pair replicates, called `variant` and `against`, on the seeds where both were evaluated.

    A diverged replicate takes its seed out of the comparison.
    """
    first, second = ({r.seed: r for r in each} for each in (replicates, others))
    seeds = [seed for seed in sorted(first.keys() & second.keys()) if first[seed].chosen and second[seed].chosen]
    return Pair(
        variant={seed: first[seed] for seed in seeds},
        against={seed: second[seed] for seed in seeds},
        dropped=[
            f"{name} {_why(replicates.get(seed))} on seed {seed}"
            for seed in sorted(first.keys() | second.keys())
            for name, replicates in ((variant, first), (against, second))
            if (replicate := replicates.get(seed)) is None or replicate.chosen is None
        ],
    )


def _why(replicate: Replicate | None) -> str:
    return "was not trained" if replicate is None else replicate.state


def overlaps_training(replicate: Replicate) -> bool:
    """Whether a figure of this replicate was evaluated on images that it was trained on."""
    return any(evaluation.overlaps_training for evaluation in (replicate.chosen, replicate.last) if evaluation)


def params_of(data: StudyData, variant: str) -> Params | None:
    """The configuration of a variant: as trained, else as the study or the race has it; None where nobody knows."""
    if replicates := data.of(variant):
        return replicates[0].params
    study, side = data.overview.study, data.side(variant)
    if side.of != TUNED:
        return study.hyperparameters({**study.references[side.of], **side.changes}).as_dict()
    if side.changes:
        tuned = params_of(data, TUNED) if TUNED in data.variants else _winner(data)
        return None if tuned is None else study.hyperparameters({**tuned, **side.changes}).as_dict()
    return _winner(data)


def _winner(data: StudyData) -> Params | None:
    race, complete = data.race, data.overview.study.complete
    return next((complete(c.params) for c in race.candidates if c.trial == race.winner), None) if race else None


def same_configuration(params: Params | None, other: Params | None) -> bool:
    """Whether two configurations train the same network; a hyperparameter that is absent is at its default."""
    return params is not None and other is not None and identity(params) == identity(other)


def plain_tuned(side: Side) -> bool:
    """Whether a side is the winner as it is."""
    return side.of == TUNED and not side.changes


def same_sentence(data: StudyData, variant: str, against: str) -> str:
    """That two variants are one configuration, for two that are."""
    one, two = data.side(variant), data.side(against)
    if plain_tuned(one) and two.of == TUNED:
        values = listed([value_words(name, value) for name, value in two.changes.items()])
        return f"The tuned configuration has {values}: {variant} and {against} are the same configuration."
    if plain_tuned(one) and not two.changes:
        return f"The winner of the search is {against} itself: tuning changed nothing."
    return f"{variant} and {against} are the same configuration: there is nothing to compare."


def both(
    first: Mapping[str, Array] | None, second: Mapping[str, Array] | None
) -> tuple[Mapping[str, Array], ...] | None:
    """Two replicates' arrays; None where one has not all, or they saw different test images."""
    if not (first and second and _complete_arrays(first) and _complete_arrays(second)):
        return None
    return (first, second) if np.array_equal(first["labels"], second["labels"]) else None


def _complete_arrays(arrays: Mapping[str, Array]) -> bool:
    return all(name in arrays for name in ("labels", "predicted", "confidence")) and (
        arrays["labels"].shape == arrays["predicted"].shape == arrays["confidence"].shape
    )
