"""Arms as studies of their own: what they can draw, which references they keep, and faults of their entries."""

import copy
import math

import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.trial import FixedTrial

from hw2tune.errors import StudyFileError
from hw2tune.study.arms import search_of, searches
from hw2tune.study.file import differences, dump_study, find_study, parse_study
from hw2tune.study.hyperparameters import identity
from hw2tune.study.schema import Study

BASE = {
    "name": "s", "dataset": "mnist", "model": "mnist_cnn", "max_epochs": 2, "trials": 9, "seed": 3,
    "space": {
        "learning_rate": {"low": 1e-4, "high": 1e-1, "log": True},
        "batch_size": {"choices": [32, 64, 128]},
        "optimizer": {"choices": ["sgd", "adam", "adamw"]},
        "momentum": {"low": 0.0, "high": 0.9, "when": {"optimizer": "sgd"}},
        "weight_decay": {"low": 1e-6, "high": 1e-1, "log": True, "or_zero": True},
        "beta1": {"choices": [0.8, 0.9], "when": {"optimizer": ["adam", "adamw"], "weight_decay": {"low": 1e-3}}},
    },
    "references": {
        "plain": {"learning_rate": 1e-3, "batch_size": 32, "optimizer": "adamw", "weight_decay": 0.0},
        "decayed": {"learning_rate": 1e-3, "batch_size": 64, "optimizer": "adam", "weight_decay": 1e-2, "beta1": 0.9},
        "momentum": {
            "learning_rate": 1e-2, "batch_size": 64, "optimizer": "sgd", "weight_decay": 1e-4, "momentum": 0.9
        },
    },
}  # fmt: skip

# By hyperparameter: entries that an arm may have.
ENTRIES = {
    "learning_rate": [1e-3, 1.0, {"low": 1e-3, "high": 1e-2, "log": True}],
    "batch_size": [64, [32, 64], 50],
    "optimizer": ["sgd", "adam", ["sgd", "adamw"]],
    "momentum": [0.0, {"low": 0.5, "high": 0.9}],
    "weight_decay": [0.0, 1e-2, {"low": 1e-6, "high": 1e-4, "log": True}, {"low": 1e-6, "high": 1e-1, "or_zero": True}],
    "beta1": [0.9, [0.8]],
    "augment": ["flip"],
}
DRAWN = {name: st.sampled_from(entries) for name, entries in ENTRIES.items()}
ARM = st.fixed_dictionaries({}, optional=DRAWN).filter(bool)  # without entries it is the arm beside it


def study_with(**arms) -> Study:
    return parse_study(tomli_w.dumps(copy.deepcopy(BASE) | {"arms": arms}), "s.toml")


def fixed(entry) -> bool:
    return not isinstance(entry, dict | list)


def allows(entry, value) -> bool:
    """A second reading of an entry."""
    if isinstance(entry, dict):
        return entry["low"] <= value <= entry["high"] or (entry.get("or_zero", False) and value == 0)
    return value in entry if isinstance(entry, list) else value == entry


def drawn(study: Study, share: float) -> dict:
    class Draw(FixedTrial):
        def __init__(self):
            super().__init__({})

        def suggest_float(self, name, low, high, *, step=None, log=False):
            return min(
                high, math.exp(math.log(low) + share * math.log(high / low)) if log else low + share * (high - low)
            )

        def suggest_categorical(self, name, choices):
            return choices[min(len(choices) - 1, int(share * len(choices)))]

    return study.search_space.suggest(Draw())


@settings(max_examples=60, deadline=None)
@given(ARM, st.floats(0, 1, allow_subnormal=False))
def test_an_arm_draws_what_its_entries_allow_and_all_else_as_the_study_does(arm, share):
    try:
        study = study_with(a=arm, b={})
    except StudyFileError:
        # Only entries that cannot go together: momentum, or beta1, with optimizers or a decay that have none.
        clash = {"momentum": {"optimizer"}, "beta1": {"optimizer", "weight_decay"}}
        assert any(name in arm and needs & arm.keys() for name, needs in clash.items())
        return
    one, other = search_of(study, "a"), search_of(study, "b")
    configuration = one.complete(drawn(one, share))
    for name, entry in arm.items():
        assert name not in configuration or allows(entry, configuration[name]), name
        assert name in configuration or BASE["space"][name].get("when"), "only what has a condition may be missing"
    others = {name: value for name, value in configuration.items() if name not in arm}
    assert not {
        name: fault for name, fault in study.search_space.validation_errors(configuration).items() if name in others
    }  # what the arm says nothing of, the study could have drawn
    assert dict(other.space) == dict(study.space) and other.references == study.references
    same = {"trials", "budget", "max_epochs", "sampler", "pruner", "dataset", "model", "loss", "split_seed", "seed"}
    assert one.model_dump(include=same) == other.model_dump(include=same) == study.model_dump(include=same)
    assert parse_study(dump_study(one), "a.toml") == one, "its file is read as it was"


@settings(max_examples=60, deadline=None)
@given(ARM)
def test_an_arm_keeps_the_references_that_agree_with_it_and_trains_them_as_the_study_does(arm):
    try:
        study = study_with(a=arm, b={})
    except StudyFileError:
        return
    one = search_of(study, "a")
    for name, reference in study.references.items():
        agrees = all(allows(entry, reference[key]) for key, entry in arm.items() if key in reference)
        assert (name in one.references) == (agrees and "augment" not in arm)
        if name in one.references:
            assert identity(one.complete(reference)) == identity(study.complete(reference))


def test_searches_alternate_between_the_arms_on_seeds_far_apart():
    study = study_with(a={"optimizer": "adam"}, b={"optimizer": "sgd"}).model_copy(update={"searches": 2})
    assert [(one.name, one.seed) for one in searches(study)] == [("a", 3), ("b", 3), ("a.2", 10_003), ("b.2", 10_003)]


def test_the_first_arm_is_claimed_against_each_other_one_unless_the_file_says_otherwise():
    study = study_with(a={"optimizer": "adam"}, b={"optimizer": "sgd"}, c={"batch_size": 32})
    assert [(claim.a.of, claim.b.of) for claim in study.claims] == [("a", "b"), ("a", "c")]
    assert list(study.variants) == ["a", "b", "c"]


def test_conditions_on_a_fixed_hyperparameter_are_decided():
    one = search_of(study_with(a={"optimizer": "adam"}, b={"optimizer": "sgd"}), "a")
    assert "momentum" not in one.space and one.space["beta1"].when["optimizer"] == ["adam"]


@pytest.mark.parametrize(
    "arms, fault",
    [
        (
            {"plain": {"weight_decay": 0.0}},
            "s.toml: arms.plain: is the name of a reference; take another name",
        ),
        (
            {"l2.2": {"weight_decay": 0.0}},
            "s.toml: arms.l2.2: winners and further searches (l2.2.2) are called so; take another name",
        ),
        (
            {"a": {"weight_decay": {"low": 1e-7, "high": 1e-1, "log": True}}},
            "s.toml: arms.a.weight_decay: must lie in [space] (1e-06..0.1 log or 0), but got 1e-07..0.1 log",
        ),
        (
            {"a": {"augment": ["none", "flip"]}},
            "s.toml: arms.a.augment: not in [space]; narrow what is searched there, or fix it to one value",
        ),
        (
            {"a": {"weight_decay": -1.0}},
            "s.toml: arms.a: space.weight_decay: must be a number >= 0, but got -1.0",
        ),
        (
            {"a": {"weight_decay": 0.0}, "A": {"weight_decay": 1e-3}},
            "s.toml: arms.A: is arms.a in other capitals, and some disks cannot hold both; use another name",
        ),
        (
            {"a" * 62: {"weight_decay": 0.0}},
            f"s.toml: arms.{'a' * 62}: must have 61 characters at most, as further searches are called {'a' * 62}.2",
        ),
        (
            {"a": {"weight_decay": 0.0, "optimizer": "adam"}, "b": {"optimizer": ["adam"], "weight_decay": 0}},
            "s.toml: arms.b: is the same as arms.a, so a claim compares nothing; change an entry",
        ),
        (
            {"a": {"optimizer": "adam", "momentum": 0.5}},
            "s.toml: arms.a.momentum: exists only when optimizer = sgd, which this arm never has; leave it out",
        ),
        (
            {"a": {"momentum": {"low": 0.0, "high": 0.5, "when": {"optimzer": "sgd"}}}},
            "s.toml: arms.a.momentum.when: an arm keeps the conditions of [space]; leave it out",
        ),
    ],
)  # fmt: skip
def test_a_fault_of_an_arm_names_the_arm(arms, fault):
    with pytest.raises(StudyFileError) as refusal:
        study_with(**arms, other={"optimizer": "sgd"})
    assert str(refusal.value) == fault


def test_an_arm_of_the_longest_name_may_be_searched_fifty_times():
    study = study_with(**{"a" * 61: {"weight_decay": 0.0}, "b": {}}).model_copy(update={"searches": 50})
    assert searches(study)[-2].name == "a" * 61 + ".50"


def test_a_side_with_other_values_may_have_a_name_that_no_user_could_give_it():
    """Its own is of its values: `flip+crop` has a character too many, and five values are longer than a name."""
    changes = {"augment": "flip+crop", "learning_rate": 0.00012345, "batch_size": 128, "optimizer": "sgd"}
    claims = [{"a": "a", "b": {"of": "a", "with": changes}}, {"a": "b", "b": {"of": "b", "with": {"batch_size": 32}}}]
    study = parse_study(
        tomli_w.dumps(BASE | {"arms": {"a": {"optimizer": "sgd"}, "b": {}}, "claims": claims}), "s.toml"
    )
    assert list(study.variants)[2:] == [
        "a-augment-flip+crop-learning_rate-0.00012345-batch_size-128-optimizer-sgd",
        "b-batch_size-32",
    ]
    for one in searches(study):
        assert parse_study(dump_study(one), "a.toml") == one and len(one.claims) == 1


def test_without_claims_the_winners_of_the_arms_are_what_is_trained():
    assert list(study_with(a={"optimizer": "adam"}).variants) == ["a"]
    content = BASE | {"arms": {"a": {"optimizer": "adam"}, "b": {}}, "claims": []}
    assert list(parse_study(tomli_w.dumps(content), "s.toml").variants) == ["a", "b"]


def test_the_winner_must_be_one_of_an_arm_and_several_searches_need_arms():
    content = BASE | {"arms": {"a": {"optimizer": "sgd"}}, "claims": [{"a": "tuned", "b": "plain"}]}
    with pytest.raises(StudyFileError) as refusal:
        parse_study(tomli_w.dumps(content), "s.toml")
    assert str(refusal.value) == (
        "s.toml: claims.0.a: the winner of which arm? name one of plain, decayed, momentum, a"
    )  # fmt: skip
    with pytest.raises(StudyFileError) as refusal:
        parse_study(*find_study("mnist"), {"searches": 3})
    assert str(refusal.value) == (
        "studies/mnist.toml: searches: goes with [arms.NAME], of which there is none, but got 3; leave it out"
    )


def test_arms_may_come_and_go_and_not_change():
    a, b = {"optimizer": "adam"}, {"optimizer": "sgd"}
    study = study_with(a=a, b=b)
    assert differences(study, study_with(a=a, b=b, c={"batch_size": 32})) == []
    assert differences(study, study_with(a=a, b={"optimizer": "adamw"})) == ["arms.b.optimizer: {sgd} -> {adamw}"]
    assert differences(parse_study(tomli_w.dumps(BASE), "s.toml"), study) == ["arms: none -> a, b"]


def in_other_words(entry):
    """An entry of an arm as somebody else would write it: 0 for 0.0, a list of one for a value, keys the other way."""
    if isinstance(entry, dict):
        return {name: in_other_words(value) for name, value in reversed(entry.items())}
    return int(entry) if isinstance(entry, float) and entry.is_integer() else entry


@settings(deadline=None, max_examples=15)
@given(ARM.filter(lambda arm: not {"momentum", "beta1"} & arm.keys()))
def test_a_study_in_other_words_is_the_same_study_and_so_are_its_arms(entries):
    one = BASE | {"arms": {"a": entries, "z": {"schedule": "cosine"}}}
    other = {name: in_other_words(part) for name, part in one.items()}
    other["space"]["beta1"]["when"]["optimizer"].reverse()
    other["space"]["momentum"]["when"] = {"optimizer": ["sgd"]}
    other["arms"]["a"] = {
        name: {"choices": [value]} if fixed(value) else value for name, value in other["arms"]["a"].items()
    }
    there, here = (parse_study(tomli_w.dumps(content), "s.toml") for content in (one, other))
    pairs = [(there, here), *((search_of(there, arm), search_of(here, arm)) for arm in "az")]
    assert [differences(*pair) for pair in pairs] == [[], [], []]


def test_an_arm_that_is_another_by_less_than_is_shown_is_another_one():
    one, other = ({"learning_rate": {"low": 1e-3, "high": high}} for high in (1e-2, 1e-2 + 1e-12))
    assert len(differences(study_with(a=one), study_with(a=other))) == 1
