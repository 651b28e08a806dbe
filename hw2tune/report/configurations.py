"""Configurations of the variants: what each trains with, and in words what makes the difference between two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hw2tune.records.replicates import Replicate
from hw2tune.report.study_data import StudyData
from hw2tune.study.hyperparameters import Hyperparameters, Value, identity
from hw2tune.study.schema import TUNED, Claim, Side, is_tuning
from hw2tune.text.numbers import changed_words, configuration_words, counted, listed, value_words

Params = Mapping[str, Value]


def params_of(data: StudyData, variant: str) -> Params | None:
    """Return a variant's configuration: as trained, else as the study or the race has it.

    None where nobody knows, or where several searches found one each.
    """
    if trained := trained_configurations(data, variant):
        return trained[0] if len(trained) == 1 else None
    study, side, winner = data.overview.study, data.side(variant), data.winner
    if side.of in study.arms:
        return None  # only its replicates tell
    if side.of != TUNED:
        return study.hyperparameters({**study.references[side.of], **side.changes}).as_dict()
    if side.changes and TUNED in data.variants:
        tuned = params_of(data, TUNED)
    else:
        tuned = study.complete(winner.params) if winner else None
    if tuned is None or not side.changes:
        return tuned
    return Hyperparameters.of({**tuned, **side.changes}).as_dict()  # complete: [training] fills nothing in


def trained_configurations(data: StudyData, variant: str) -> list[dict[str, Value]]:
    """Return the different configurations of a variant's replicates: one, unless several searches found one each."""
    return list({identity(one.params): one.params for one in reversed(data.of(variant))}.values())[::-1]


def shared_params(replicates: Sequence[Replicate]) -> dict[str, Value]:
    """Return the hyperparameters that all replicates have alike: every one, unless several searches found others."""
    first, *others = [one.params for one in replicates]
    return {name: value for name, value in first.items() if all(one.get(name) == value for one in others)}


def same_configuration(params: Params | None, other: Params | None) -> bool:
    """Return whether two configurations train the same network; an absent hyperparameter is at its default."""
    return params is not None and other is not None and identity(params) == identity(other)


def plain_tuned(side: Side) -> bool:
    """Return whether a side is the winner as it is."""
    return side.of == TUNED and not side.changes


def same_sentence(data: StudyData, variant: str, against: str) -> str:
    """Return the sentence that two variants are one configuration, for two that are."""
    one, two = data.side(variant), data.side(against)
    if plain_tuned(one) and two.of == TUNED:
        values = listed([value_words(name, value) for name, value in two.changes.items()])
        return f"The tuned configuration has {values}: {variant} and {against} are the same configuration."
    if plain_tuned(one) and not two.changes:
        return f"The winner of the search is {against} itself: tuning changed nothing."
    return f"{variant} and {against} are the same configuration: there is nothing to compare."


def subject_of(data: StudyData, variant: str, against: str) -> str:
    """Return what makes the difference: a verb follows it."""
    params, other = params_of(data, variant) or {}, params_of(data, against) or {}
    one, two = data.side(variant), data.side(against)
    if is_tuning(Claim(a=one, b=two)):
        return "tuning"
    if {one.of, two.of} <= data.overview.study.arms.keys() and one.of != two.of:
        return f"{variant} instead of {against}, both tuned on the same budget,"
    if data.overview.study.searches > 1:  # the configurations are others in each
        return f"{variant} instead of {against}"
    changed = {name for name in params.keys() | other.keys() if params.get(name) != other.get(name)}
    if one.of == two.of and (plain_tuned(one) or plain_tuned(two)):
        return f"in the tuned configuration, {changed_words(params, other)}"
    if changed <= {"weight_decay"}:
        return changed_words(params, other)
    return f"{variant} ({configuration_words(params)}), against {against} ({configuration_words(other)}),"


def winner_sentence(data: StudyData) -> str:
    """Return `Winner: adamw, learning rate 0.004, ...`, by the name of a reference if it is one."""
    params, study = params_of(data, TUNED) or {}, data.overview.study
    same = [name for name in study.references if same_configuration(params, study.reference(name).as_dict())]
    return f"Winner: {f'the reference {same[0]}, ' if same else ''}{configuration_words(params)}."


def further_splits(data: StudyData) -> str:
    """Return `; claims on 3 further splits (seed 1, 2 and 3)` for a fact; empty without any."""
    splits = data.splits
    return f"; claims on {counted(len(splits), 'further split')} (seed {listed(splits)})" if splits else ""
