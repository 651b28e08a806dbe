"""Optuna's storage as we open it."""

from optuna.trial import TrialState

from hw2tune.records.folder import StudyFolder
from hw2tune.records.storage import create_optuna_study
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
