"""What may race, and which study is meant."""

import math
import shutil
from dataclasses import replace

import pytest

from hw2tune.errors import StudyFolderError, TrainingFailedError
from hw2tune.records.overview import read_overview
from hw2tune.records.replicates import ReplicatesFolder, read_race, read_training, write_current
from hw2tune.replication import replicate, train
from hw2tune.replication.race import candidates
from hw2tune.replication.rounds import SeedCount
from hw2tune.replication.studies import before, chosen_folders
from hw2tune.study.file import dump_study
from tests.replication.scripted import Scripted
from tests.report.fake_study import write_fake_study


def test_the_best_trials_race_whether_or_not_they_were_stopped(tmp_path):
    overview = read_overview(write_fake_study(tmp_path, seeds=0))
    valued = sorted((row.value for row in overview.rows if row.state in ("complete", "pruned")), reverse=True)
    assert [row.value for row in candidates(overview, 2)] == valued[:2]
    assert [row.value for row in candidates(overview, 100)] == valued[: math.ceil(len(valued) / 3)]
    stopped = replace(overview, rows=[replace(row, state="pruned") for row in overview.rows])
    assert [row.number for row in candidates(stopped, 2)] == [row.number for row in candidates(overview, 2)]


@pytest.mark.parametrize(("budget", "trainings", "finalists"), [(12, 0, 1), (23, 0, 1), (24, 4, 4), (60, 10, 6)])
def test_a_race_within_a_budget_has_no_more_finalists_than_trainings(tmp_path, budget, trainings, finalists):
    overview = read_overview(write_fake_study(tmp_path, trials=30, seeds=0, budget=budget))
    assert overview.study.race_trainings == trainings
    assert len(candidates(overview, 6)) == finalists
    assert len(candidates(overview, 6, within_budget=False)) == 6


@pytest.mark.parametrize(("budget", "trainings"), [(None, 12), (23, 0), (24, 4), (30, 5)])
def test_a_budget_covers_the_race_of_the_search(tmp_path, monkeypatch, budget, trainings):
    run = scripted(tmp_path, monkeypatch, budget)
    run.run(SeedCount(1), race=6)
    raced = [label for label in run.trained if label.startswith("race")]
    assert len(raced) == trainings
    assert {int(label.split()[-1]) for label in raced} <= set(range(1001, 1013))
    assert run.seeds("tuned") == [1]


def test_a_race_is_not_run_again_with_what_a_budget_has_for_it(tmp_path, monkeypatch):
    """Also one of a version in which no budget was for the race: its winner stays."""
    run = scripted(tmp_path, monkeypatch, None)
    run.run(SeedCount(1), race=6)
    before, trained = read_race(run.place), len(run.trained)
    study = read_overview(run.folder).study.model_copy(update={"budget": 24})
    run.folder.study_file.write_text(dump_study(study))
    run.run(SeedCount(1), race=6)
    assert (read_race(run.place), len(run.trained)) == (before, trained)
    again = scripted(tmp_path / "two", monkeypatch, 24)
    again.kill_after = 5  # the four of the race, and a replicate
    with pytest.raises(KeyboardInterrupt):
        again.run(SeedCount(1), race=6)
    again.kill_after = None
    again.run(SeedCount(1), race=6)
    assert sum(label.startswith("race") for label in again.trained) == 4


def test_no_more_weights_are_in_memory_than_of_what_has_just_ended(tmp_path, monkeypatch):
    """Be it trained, tested or read from disk: a hundred replicates of a large network would fill it."""
    run = scripted(tmp_path, monkeypatch, 24)
    run.run(SeedCount(9), race=3)
    assert len(run.trained) > 30 and run.most_weights == 2  # and of the one before
    for path in run.place.records():
        path.unlink()

    def read(place, key):
        if (found := read_training(place, key)) is not None:
            run._holding(found.arrays)
        return found

    monkeypatch.setattr(train, "read_training", read)
    run.run(SeedCount(9), race=3)
    assert run.most_weights == 2


def test_machines_that_leave_after_the_first_training_end_no_command_that_asked_for_more(tmp_path, monkeypatch):
    run = scripted(tmp_path, monkeypatch, 24)
    run.shrinks = True
    run.run(SeedCount(2), race=3)
    assert len(run.trained) == 11  # a seed of each of the three finalists: for a second pair one is left


def test_weights_that_are_gone_before_their_test_are_named(tmp_path, monkeypatch):
    run = scripted(tmp_path, monkeypatch, 24)
    run.kill_after = 1
    with pytest.raises(KeyboardInterrupt):
        run.run(SeedCount(1))
    run.kill_after, (weights,) = None, run.place.trainings.glob("*/weights.npz")
    read = replicate.read_training
    monkeypatch.setattr(replicate, "read_training", lambda place, key: weights.unlink(True) or read(place, key))
    with pytest.raises(TrainingFailedError) as failure:
        run.run(SeedCount(1))
    assert str(failure.value) == (
        f"baseline seed 1: its weights in {weights.parent} are damaged or gone; run the same command again, which "
        "trains it again"
    )


def scripted(root, monkeypatch, budget):
    root.mkdir(exist_ok=True)
    return Scripted(write_fake_study(root, trials=30, seeds=0, budget=budget), lambda variant, seed: 0.9, monkeypatch)


def test_a_study_without_a_value_is_refused_with_what_to_do(tmp_path):
    overview = read_overview(_empty(tmp_path))
    with pytest.raises(StudyFolderError) as refusal:
        candidates(overview, 3)
    assert str(refusal.value) == (
        f"{tmp_path / 'quickstart'}: no trial has a value, so there is nothing to replicate; "
        "`hw2tune study quickstart` goes on with the search"
    )


def _empty(results):
    folder = write_fake_study(results, trials=2, seeds=0)
    folder.journal.unlink()
    shutil.rmtree(folder.root / "trials")
    return folder


def test_a_run_notes_what_was_there_before_it_of_whatever_winner(tmp_path):
    """Without replicates nobody saw results, however many races were run."""
    folder = write_fake_study(tmp_path, seeds=2)
    place = ReplicatesFolder.of(folder)
    won = read_race(place).winner
    write_current(place, [], read_race(place))
    assert before(read_overview(folder)) == {"there": 8, "winners": {"tuned": won}}
    for record in place.records():
        record.unlink()
    assert before(read_overview(folder)) == {"there": 0, "winners": {}}


def test_without_a_name_the_only_study_is_meant_and_of_several_one_must_be_named(tmp_path):
    with pytest.raises(StudyFolderError, match="which study\\? it holds none yet; `hw2tune study NAME` makes one"):
        chosen_folders(tmp_path, [])
    write_fake_study(tmp_path, trials=2, seeds=0)
    assert [folder.name for folder in chosen_folders(tmp_path, [])] == ["quickstart"]
    write_fake_study(tmp_path, "cifar10", trials=2, seeds=0)
    with pytest.raises(StudyFolderError, match="which study\\? it holds cifar10, quickstart: name one or several"):
        chosen_folders(tmp_path, [])
    assert [folder.name for folder in chosen_folders(tmp_path, ["quickstart", "cifar10"])] == ["quickstart", "cifar10"]
