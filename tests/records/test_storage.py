"""Optuna's storage as we open it."""

import os

from optuna.storages.journal import JournalFileBackend, JournalStorage
from optuna.trial import TrialState

from hw2tune.records.layout import StudyFolder
from hw2tune.records.trials.storage import create_optuna_study, in_one_write, read_trials
from hw2tune.study.file import find_study, parse_study

STUDY = parse_study(*find_study("quickstart"))


def test_waiting_trials_are_asked_for_first_also_those_of_an_earlier_process(tmp_path):
    folder = StudyFolder(tmp_path)
    first = create_optuna_study(folder, STUDY)
    for rate in (0.1, 0.2):
        first.enqueue_trial({"learning_rate": rate})
    assert first.ask().suggest_float("learning_rate", 0, 1) == 0.1
    again = create_optuna_study(folder, STUDY)
    again.enqueue_trial({"learning_rate": 0.3})
    assert [again.ask().suggest_float("learning_rate", 0, 1) for _ in range(2)] == [0.2, 0.3]
    assert again.ask().suggest_float("learning_rate", 0, 1) not in (0.1, 0.2, 0.3)
    assert [t.number for t in again.get_trials(states=(TrialState.WAITING,))] == []
    assert [t.number for t in again.trials] == [0, 1, 2, 3]


def searched(folder):
    """A study with trials of every state; its last one runs."""
    study = create_optuna_study(folder, STUDY)
    study.enqueue_trial({"learning_rate": 0.1}, user_attrs={"label": "baseline"})
    for state in (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, None):
        trial = study.ask()
        STUDY.search_space.suggest(trial)
        for epoch in (1, 2):
            trial.report(0.1 * epoch + trial.number, epoch)
        trial.set_user_attr("seconds", 1.5)
        trial.storage.set_trial_system_attr(trial._trial_id, "completed_rung_0", 0.25)
        if state:
            study.tell(trial, 0.5 if state == TrialState.COMPLETE else None, state=state)
    study.enqueue_trial({"learning_rate": 0.05})
    return study


def read_by_optuna(folder):
    return JournalStorage(JournalFileBackend(str(folder.journal))).get_all_trials(0)


def test_the_journal_is_read_as_optuna_reads_it_but_for_a_line_that_is_still_being_written(tmp_path):
    folder = StudyFolder(tmp_path)
    study = searched(folder)
    expected = read_by_optuna(folder)
    assert len({trial.state for trial in expected}) == 5
    with folder.journal.open("a") as journal:
        journal.write('{"op_code": 9, "trial_')
    assert read_trials(folder) == expected == study.trials


def test_a_storage_that_is_open_follows_what_others_write_behind_its_first_reading(tmp_path):
    folder = StudyFolder(tmp_path)
    study = searched(folder)
    other = create_optuna_study(folder, STUDY)
    for writer, reader in ((study, other), (other, study)):
        number = writer.ask().number
        writer.tell(number, 0.75)
        assert reader.trials[number].value == 0.75
    assert read_by_optuna(folder) == study.trials == other.trials


def test_what_is_set_in_one_write_waits_once_for_the_disk(tmp_path, monkeypatch):
    folder = StudyFolder(tmp_path)
    study, waits = searched(folder), []
    trial = study.ask()
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: (waits.append(file), fsync(file)))
    with in_one_write(trial):
        params = STUDY.search_space.suggest(trial)
        trial.set_user_attr("label", "l2")
        assert not waits
    assert len(waits) == 1
    assert STUDY.search_space.decode(study.trials[trial.number].params) == params
    assert read_by_optuna(folder) == study.trials
    trial.report(0.5, 1)
    assert len(waits) == 2


def test_what_was_set_before_an_error_in_one_write_is_written(tmp_path):
    folder = StudyFolder(tmp_path)
    trial = searched(folder).ask()
    try:
        with in_one_write(trial):
            trial.set_user_attr("seconds", 3.0)
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        trial.report(0.5, 1)
    assert read_by_optuna(folder)[trial.number].user_attrs["seconds"] == 3.0
    assert read_by_optuna(folder)[trial.number].intermediate_values == {1: 0.5}
