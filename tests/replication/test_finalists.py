"""The change of a claim made in each finalist: which claims are about a change, what is trained, what is recorded."""

from dataclasses import replace

import numpy as np
import pytest

from hw2tune.data.load import load_dataset
from hw2tune.events import Event, Listeners, Noted
from hw2tune.records.finalists import curves_file, read_curves, write_curves
from hw2tune.records.overview import read_overview
from hw2tune.records.reads import ON_VALIDATION
from hw2tune.records.replicates import Candidate, Race, ReplicatesFolder, Training, write_current, write_training
from hw2tune.records.trials.rows import TrialRow
from hw2tune.replication.finalists import FINALIST_SEEDS, change_of, run_each_finalist, specification_curves
from hw2tune.replication.race import candidates
from hw2tune.replication.train import Context, key_of
from hw2tune.resources import ResourceRequest
from hw2tune.study.file import find_study, parse_study
from hw2tune.study.schema import Claim
from tests.report.fake_study import write_fake_study
from tests.without_ray import WithoutRay

STUDY = parse_study(*find_study("quickstart"))
PLAIN = {"learning_rate": 0.01, "batch_size": 64, "optimizer": "adam"}


def claim(a: object, b: object) -> Claim:
    return Claim.model_validate({"a": a, "b": b})


def study(*claims: Claim):
    return STUDY.model_copy(update={"claims": list(claims)})


def row(number: int, **params: object) -> TrialRow:
    return TrialRow(
        number=number, label="", state="complete", reason="", epochs=1, value=0.9, best_epoch=1, seconds=1.0,
        params=PLAIN | params,
    )  # fmt: skip


class Scripted:
    """A trainer whose accuracies are a function of configuration and seed."""

    def __init__(self, accuracy):
        self.accuracy, self.jobs = accuracy, []

    def __call__(self, jobs):
        self.jobs += jobs
        return [self.training(job.task.hyperparameters, job.task.seed) for job in jobs]

    def training(self, hyperparameters, seed):
        value = self.accuracy(hyperparameters, seed)
        epochs = [{"epoch": 1, "validation_accuracy": 0.1}, {"epoch": 2, "validation_accuracy": value}]
        if value is None:
            return Training(key="", epochs=epochs[:1], chosen_epoch=None, diverged="loss nan")
        return Training(key="", epochs=epochs, chosen_epoch=2, diverged="")


NO_DECAY = claim("tuned", {"of": "tuned", "with": {"weight_decay": 0.0}})


def test_a_change_of_the_winner_is_what_its_with_says():
    assert change_of(STUDY, NO_DECAY) == ({}, {"weight_decay": 0.0})
    two = claim({"of": "tuned", "with": {"weight_decay": 1e-4}}, {"of": "tuned", "with": {"weight_decay": 0.0}})
    assert change_of(STUDY, two) == ({"weight_decay": 1e-4}, {"weight_decay": 0.0})


def test_two_references_are_a_change_of_the_values_in_which_they_differ():
    assert change_of(STUDY, claim("l2", "baseline")) == ({"weight_decay": 1e-4}, {"weight_decay": 0.0})


@pytest.mark.parametrize(
    "sides",
    [
        ("tuned", "baseline"),  # of another origin
        ("baseline", "baseline"),  # no change
        ("baseline", {"of": "baseline", "with": {"optimizer": "sgd", "momentum": 0.9}}),  # other hyperparameters
        (
            "baseline",
            {
                "of": "baseline",
                "with": {"learning_rate": 0.1, "batch_size": 32, "weight_decay": 0.1, "label_smoothing": 0.1},
            },
        ),  # too many values
    ],
)
def test_other_claims_are_not_about_a_change(sides):
    assert change_of(STUDY, claim(*sides)) is None
    assert specification_curves(study(claim(*sides)), [row(1)], seeds=[7], train=Scripted(None)) == []


def test_each_finalist_is_trained_with_both_values_on_the_same_seeds_and_read_by_validation():
    trainer = Scripted(lambda h, seed: h.learning_rate + (0.02 if h.weight_decay else 0) + seed / 1000)
    rows = [row(3, weight_decay=1e-3), row(5, learning_rate=0.05, weight_decay=1e-2)]
    (curve,) = specification_curves(study(NO_DECAY), rows, seeds=[7, 8], train=trainer)
    assert [(job.task.seed, job.task.hyperparameters.weight_decay) for job in trainer.jobs] == [
        (7, 1e-3), (8, 1e-3), (7, 0.0), (8, 0.0), (7, 1e-2), (8, 1e-2), (7, 0.0), (8, 0.0),
    ]  # fmt: skip
    assert trainer.jobs[3].label == "finalist: trial 3 with no weight decay seed 8"
    assert trainer.jobs[0].label == "finalist: trial 3 seed 7"
    assert [one.trial for one in curve.specifications] == [3, 5]
    assert curve.specifications[1].values == pytest.approx([0.05 + 0.02 + 0.007, 0.05 + 0.02 + 0.008])
    assert curve.specifications[1].against == pytest.approx([0.05 + 0.007, 0.05 + 0.008])
    assert (curve.variant, curve.against, curve.seeds) == ("tuned", NO_DECAY.b.variant, [7, 8])


def test_the_values_of_references_are_put_into_each_finalist():
    trainer = Scripted(lambda h, seed: 0.5)
    specification_curves(study(claim("l2", "baseline")), [row(3, weight_decay=0.5)], seeds=[7], train=trainer)
    assert [job.task.hyperparameters.weight_decay for job in trainer.jobs] == [1e-4, 0.0]
    assert {job.task.hyperparameters.learning_rate for job in trainer.jobs} == {0.01}


def test_a_finalist_in_which_the_change_changes_nothing_is_not_trained_and_is_named():
    trainer = Scripted(lambda h, seed: 0.5)
    (curve,) = specification_curves(study(NO_DECAY), [row(3), row(5, weight_decay=0.1)], seeds=[7], train=trainer)
    assert (len(trainer.jobs), curve.unchanged, [one.trial for one in curve.specifications]) == (2, [3], [5])


def test_a_training_that_diverges_has_no_value():
    trainer = Scripted(lambda h, seed: None if h.weight_decay else 0.5)
    (curve,) = specification_curves(study(NO_DECAY), [row(5, weight_decay=0.1)], seeds=[7], train=trainer)
    assert (curve.specifications[0].values, curve.specifications[0].against) == ([None], [0.5])


def test_curves_are_read_back_as_written_and_damaged_ones_are_none(tmp_path):
    folder = ReplicatesFolder(tmp_path)
    assert read_curves(folder) == []
    rows = [row(5, weight_decay=0.1)]
    curves = specification_curves(study(NO_DECAY), rows, seeds=[7], train=Scripted(lambda h, seed: 0.5))
    write_curves(folder, curves)
    assert read_curves(folder) == curves
    short = [replace(one, seeds=[7, 8]) for one in curves]  # a seed without a value
    write_curves(folder, short)
    assert read_curves(folder) == []
    curves_file(folder).write_text("{")
    assert read_curves(folder) == []


@pytest.fixture
def searched(tmp_path):
    """A study with trials and without a race, its context without Ray, and what it told."""
    overview = read_overview(write_fake_study(tmp_path, seeds=0))
    events: list[Event] = []
    tell = Listeners([events.append])
    data = load_dataset("synthetic-mnist", validation_size=100)
    folder = ReplicatesFolder.of(overview.folder)
    context = Context(
        study=overview.study, folder=folder, data=data, connection=WithoutRay(ResourceRequest(), tell), tell=tell
    )
    return overview, context, events


def test_trainings_that_are_kept_are_not_repeated_and_their_curve_is_recorded(searched):
    overview, context, _ = searched
    scripted = Scripted(lambda h, seed: 0.5 + 0.01 * (h.weight_decay > 0))
    seeds = [overview.study.seed + FINALIST_SEEDS + number for number in (0, 1)]
    expected = specification_curves(overview.study, candidates(overview, 3), seeds=seeds, train=scripted)
    for job in scripted.jobs:
        training = scripted.training(job.task.hyperparameters, job.task.seed)
        key = key_of(job.task, context.data, context.capacity)
        write_training(context.folder.trainings, replace(training, key=key, arrays={"chosen/w": np.ones(1)}))
    run_each_finalist(context, overview, seeds=2, race=3)
    assert read_curves(context.folder) == expected != []
    assert all(job.label.startswith(ON_VALIDATION) for job in scripted.jobs)


def test_the_change_is_made_in_the_finalists_of_the_race_that_stands(searched):
    """A race of an earlier version may have others than `candidates`: in its report a curve must be of these."""
    overview, context, _ = searched
    ahead = candidates(overview, 3)[:2]
    entered = [Candidate(trial=row.number, params=row.params, search_value=0.9, values=[0.9]) for row in ahead]
    race = Race(
        objective="validation_accuracy", direction="maximize", seeds=[1001], candidates=entered, winner=ahead[0].number
    )
    write_current(context.folder, [], race)
    scripted = Scripted(lambda h, seed: 0.5)
    specification_curves(overview.study, ahead, seeds=[overview.study.seed + FINALIST_SEEDS], train=scripted)
    for job in scripted.jobs:
        training = scripted.training(job.task.hyperparameters, job.task.seed)
        key = key_of(job.task, context.data, context.capacity)
        write_training(context.folder.trainings, replace(training, key=key, arrays={"chosen/w": np.ones(1)}))
    run_each_finalist(context, overview, seeds=1, race=3)
    assert {tuple(curve.trials) for curve in read_curves(context.folder)} == {
        tuple(sorted(row.number for row in ahead))
    }


def test_a_study_whose_claims_are_no_change_says_so_and_trains_nothing(searched):
    overview, context, events = searched
    plain = study(claim("tuned", "baseline"))
    context = replace(context, study=plain)
    run_each_finalist(context, replace(overview, study=plain), seeds=2, race=3)
    assert [one.text for one in events if isinstance(one, Noted)] == [
        "quickstart: no claim is about a change, so there is none to make in each finalist; claim `tuned` against "
        '`{ of = "tuned", with = { ... } }`'
    ]
    assert not curves_file(context.folder).exists()
