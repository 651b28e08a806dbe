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
COMPLETE_ARRAYS = ("labels", "predicted", "confidence")


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
    seeds, dropped = [], []
    for seed in sorted(first.keys() | second.keys()):
        pair = (variant, first.get(seed)), (against, second.get(seed))
        absent = [(name, one) for name, one in pair if one is None or one.chosen is None]
        dropped += [f"{name} {one.state if one else 'was not trained'} on seed {seed}" for name, one in absent]
        seeds += [] if absent else [seed]
    return Pair(
        variant={seed: first[seed] for seed in seeds}, against={seed: second[seed] for seed in seeds}, dropped=dropped
    )


def overlaps_training(replicate: Replicate) -> bool:
    """Whether a figure of this replicate was evaluated on images that it was trained on."""
    return any(evaluation.overlaps_training for evaluation in (replicate.chosen, replicate.last) if evaluation)


def params_of(data: StudyData, variant: str) -> Params | None:
    """The configuration of a variant: as trained, else as the study or the race has it; None where nobody knows."""
    if replicates := data.of(variant):
        return replicates[0].params
    study, side, winner = data.overview.study, data.side(variant), data.winner
    if side.of != TUNED:
        return study.hyperparameters({**study.references[side.of], **side.changes}).as_dict()
    if side.changes and TUNED in data.variants:
        tuned = params_of(data, TUNED)
    else:
        tuned = study.complete(winner.params) if winner else None
    if tuned is None or not side.changes:
        return tuned
    return study.hyperparameters({**tuned, **side.changes}).as_dict()


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
    for arrays in (first, second):
        shapes = [arrays[name].shape for name in COMPLETE_ARRAYS if name in arrays] if arrays else []
        if len(shapes) < len(COMPLETE_ARRAYS) or len(set(shapes)) > 1:
            return None
    assert first and second
    return (first, second) if np.array_equal(first["labels"], second["labels"]) else None
