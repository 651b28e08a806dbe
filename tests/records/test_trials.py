"""Trials as readers see them."""

import json

import optuna
import pytest
from optuna.trial import TrialState

from hw2tune.errors import StudyFolderError
from hw2tune.records.layout import StudyFolder
from hw2tune.records.overview import find_folder, read_overview
from hw2tune.records.trials.rows import best_first, trial_rows, write_trials_table
from hw2tune.records.trials.storage import create_optuna_study, read_trials
from hw2tune.study.file import dump_study, find_study, parse_study

STUDY = parse_study(*find_study("quickstart"))


@pytest.fixture
def folder(tmp_path):
    """Five trials: baseline complete, one pruned, one diverged, one running, one complete and better."""
    folder = StudyFolder(tmp_path / "quickstart")
    folder.root.mkdir()
    folder.study_file.write_text(dump_study(STUDY))
    study = create_optuna_study(folder, STUDY)
    study.sampler = optuna.samplers.RandomSampler(seed=1)
    study.enqueue_trial(STUDY.search_space.encode(STUDY.references["baseline"]), user_attrs={"label": "baseline"})
    for values, state in (
        ([0.5, 0.8, 0.7], TrialState.COMPLETE), ([0.3], TrialState.PRUNED), ([], TrialState.FAIL),
        ([0.6], TrialState.RUNNING), ([0.9, 0.9], TrialState.COMPLETE),
    ):  # fmt: skip
        trial = study.ask()
        STUDY.search_space.suggest(trial)
        for epoch, value in enumerate(values, 1):
            trial.report(value, epoch)
        trial.set_user_attr("seconds", 1.25)
        if state == TrialState.FAIL:
            trial.set_user_attr("state", "diverged")
            trial.set_user_attr("reason", "diverged in epoch 1: loss nan")
        if state != TrialState.RUNNING:
            study.tell(trial.number, max(values) if state == TrialState.COMPLETE else None, state=state)
    return folder


def test_rows_carry_state_best_value_and_its_epoch(folder):
    rows = trial_rows(STUDY, read_trials(folder), alive=False)
    assert [(row.state_text, row.value, row.best_epoch, row.epochs) for row in rows] == [
        ("complete", 0.8, 2, 3), ("pruned at epoch 1", 0.3, 1, 1), ("diverged", None, None, 0),
        ("interrupted", 0.6, 1, 1), ("complete", 0.9, 1, 2),
    ]  # fmt: skip
    assert rows[0].label == "baseline" and rows[0].params["weight_decay"] == 0
    assert trial_rows(STUDY, read_trials(folder), alive=True)[3].state == "running"
    assert [row.number for row in best_first(rows, "maximize")] == [4, 0, 1]
    assert [row.number for row in best_first(rows, "minimize")] == [1, 0, 4]


def test_the_table_has_one_column_a_parameter(folder):
    rows = trial_rows(STUDY, read_trials(folder), alive=False)
    write_trials_table(folder, rows, list(STUDY.space))
    lines = folder.trials_table.read_text().splitlines()
    assert lines[0] == (
        "number,label,state,reason,epochs,value,best_epoch,seconds,"
        "learning_rate,batch_size,optimizer,momentum,weight_decay"
    )
    assert lines[1] == "0,baseline,complete,,3,0.8,2,1.25,0.001,100,adam,,0.0"
    assert lines[3].startswith("2,,diverged,diverged in epoch 1: loss nan,0,,,1.25,")
    assert len(lines) == 6


def test_an_overview_reads_a_folder_without_a_process(folder):
    overview = read_overview(folder)
    assert (overview.state, len(overview.finished), overview.best.number) == ("interrupted", 4, 4)
    content = json.loads(json.dumps(overview.as_json()))
    assert (content["schema"], content["baseline"]["number"], content["l2"]) == (1, 0, None)
    assert (content["trials_planned"], content["trials_finished"]) == (12, 4)
    assert not overview.all_failed


def test_a_journal_torn_by_a_kill_is_read_and_written_on(folder):
    content = folder.journal.read_bytes()
    folder.journal.write_bytes(content[:-9])  # the last entry has lost its end
    torn = read_trials(folder)
    assert [t.state.name for t in torn][:4] == ["COMPLETE", "PRUNED", "FAIL", "RUNNING"]
    study = create_optuna_study(folder, STUDY)
    number = study.ask().number
    assert number == len(torn) >= 4  # the whole entries before it are kept
    assert [trial.number for trial in read_trials(folder)] == list(range(number + 1))


def test_a_study_that_is_not_there_is_refused_with_those_that_are(folder):
    with pytest.raises(StudyFolderError, match="no study `mnist`; it holds quickstart"):
        find_folder(folder.root.parent, "mnist")
    with pytest.raises(StudyFolderError, match="it holds none yet; `hw2tune study NAME` makes one"):
        find_folder(folder.root / "nothing", "mnist")
