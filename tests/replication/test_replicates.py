"""The race for the winner, and what may race."""

import shutil

import pytest

from hw2tune.errors import StudyFolderError
from hw2tune.records.overview import read_overview
from hw2tune.records.replicates.records import Candidate
from hw2tune.replication.race import candidates, rank
from hw2tune.replication.studies import chosen_folders
from tests.report.fake_study import write_fake_study


def runner(trial: int, *values: float | None) -> Candidate:
    return Candidate(trial=trial, params={}, search_value=0.9, values=list(values))


def test_the_best_mean_wins_and_a_diverged_seed_puts_a_candidate_last():
    runners = [runner(0, 0.90, 0.92), runner(1, 0.93, 0.91), runner(2, 0.99, None), runner(3, None, None)]
    assert [r.trial for r in sorted(runners, key=lambda r: rank(r, "maximize"))] == [1, 0, 2, 3]
    assert [r.trial for r in sorted(runners, key=lambda r: rank(r, "minimize"))] == [0, 1, 2, 3]


def test_the_best_trials_that_were_trained_to_the_end_race(tmp_path):
    overview = read_overview(write_fake_study(tmp_path, seeds=0))
    racing = candidates(overview, 3)
    complete = sorted((row.value for row in overview.rows if row.state == "complete"), reverse=True)
    assert [row.value for row in racing] == complete[:3]


def test_a_study_without_a_complete_trial_is_refused_with_what_to_do(tmp_path):
    overview = read_overview(_empty(tmp_path))
    with pytest.raises(StudyFolderError) as refusal:
        candidates(overview, 3)
    assert str(refusal.value) == (
        f"{tmp_path / 'quickstart'}: no trial is complete, so there is nothing to replicate; "
        "`hw2tune study quickstart` goes on with the search"
    )


def _empty(results):
    folder = write_fake_study(results, trials=2, seeds=0)
    folder.journal.unlink()
    shutil.rmtree(folder.root / "trials")
    return folder


def test_without_a_name_the_only_study_is_meant_and_of_several_one_must_be_named(tmp_path):
    with pytest.raises(StudyFolderError, match="which study\\? it holds none yet; `hw2tune study NAME` makes one"):
        chosen_folders(tmp_path, [])
    write_fake_study(tmp_path, trials=2, seeds=0)
    assert [folder.name for folder in chosen_folders(tmp_path, [])] == ["quickstart"]
    write_fake_study(tmp_path, "cifar10", trials=2, seeds=0)
    with pytest.raises(StudyFolderError, match="which study\\? it holds cifar10, quickstart: name one or several"):
        chosen_folders(tmp_path, [])
    assert [folder.name for folder in chosen_folders(tmp_path, ["quickstart", "cifar10"])] == ["quickstart", "cifar10"]
