"""What follows a study, a watcher or the dashboard, reads the entries that were added, whatever the study's size."""

from collections import Counter
from pathlib import Path

import optuna
import pytest
from optuna.storages.journal import JournalFileBackend

from hw2tune.integrations.dashboard import folders
from hw2tune.integrations.dashboard.folders import ShownFolders
from hw2tune.records.layout import StudyFolder
from hw2tune.records.lock import locked
from hw2tune.records.overview import read_overview, read_study
from hw2tune.records.trials.storage import create_optuna_study, read_trials
from hw2tune.terminal.upkeep import look_at
from tests.report.fake_study import write_fake_study


@pytest.fixture
def folder(tmp_path) -> StudyFolder:
    return write_fake_study(tmp_path, trials=12, seeds=0)


@pytest.fixture
def entries(monkeypatch) -> Counter[str]:
    """How many entries of a journal were read."""
    count, read = Counter[str](), JournalFileBackend.read_logs

    def counted(self, start):
        for entry in read(self, start):
            count["read"] += 1
            yield entry

    monkeypatch.setattr(JournalFileBackend, "read_logs", counted)
    return count


def begin_trial(folder: StudyFolder) -> optuna.Trial:
    """A further trial, as another process would write it."""
    study = read_study(folder)
    optuna_study = create_optuna_study(folder, study)
    optuna_study.sampler = optuna.samplers.RandomSampler(seed=0)
    trial = optuna_study.ask()
    study.search_space.suggest(trial)
    trial.report(0.5, 1)
    return trial


def test_of_a_journal_that_has_grown_the_end_alone_is_read_and_rows_without_a_change_are_kept(folder, entries):
    known = read_overview(folder)
    before = len(folder.journal.read_bytes().splitlines())
    trial = begin_trial(folder)
    added = len(folder.journal.read_bytes().splitlines()) - before
    entries.clear()
    grown = read_overview(folder, known)
    assert entries == {"read": added} and added < before
    assert grown == read_overview(folder) and grown.trials == read_overview(folder).trials
    assert all(one is other for one, other in zip(known.rows, grown.rows, strict=False))
    trial.report(0.75, 2)
    entries.clear()
    again = read_overview(folder, grown)
    assert entries == {"read": 1} and again.rows[-1].value == 0.75 and again.rows[-2] is grown.rows[-2]
    assert len(grown.rows) == len(known.rows) + 1 and grown.rows[-1].value == 0.5


def test_an_entry_that_was_half_written_at_the_last_look_is_read_at_the_next(folder):
    begin_trial(folder)
    whole = folder.journal.read_bytes()
    folder.journal.write_bytes(whole[:-20])
    known = read_overview(folder)
    folder.journal.write_bytes(whole)
    assert read_overview(folder, known).trials == read_trials(folder) != known.trials


@pytest.mark.parametrize("longer", [True, False])
def test_a_journal_with_the_same_beginning_that_goes_on_otherwise_is_read_again(folder, longer):
    """As a copy from a store is after another machine has taken the study over."""
    common = folder.journal.read_bytes()
    trial = begin_trial(folder)
    if not longer:
        for epoch in range(2, 9):
            trial.report(0.5, epoch)
    known = read_overview(folder)
    folder.journal.write_bytes(common)
    trial = begin_trial(folder)
    for epoch in (2, 3):
        trial.report(0.25, epoch)
    other = read_overview(folder, known)
    assert other.trials == read_trials(folder) and other.rows[-1].epochs == 3


def test_a_trial_without_a_new_entry_has_another_state_once_a_process_runs_the_study(folder):
    begin_trial(folder)
    known = read_overview(folder)
    assert known.rows[-1].state == "interrupted"
    with locked(folder):
        begin_trial(folder)
        assert [row.state for row in read_overview(folder, known).rows[-2:]] == ["running", "running"]


def test_the_places_of_entries_in_the_journal_are_not_kept(folder):
    trial = begin_trial(folder)
    for epoch in range(2, 102):
        trial.report(0.5, epoch)
    assert len(trial.storage.backend._log_number_offset) < 10


def test_a_watcher_reads_what_was_added(folder, entries):
    for name in ("quickstart", None):
        known = {}
        look_at(str(folder.root.parent), name, known)
        trial = begin_trial(folder)
        look_at(str(folder.root.parent), name, known)
        trial.report(0.75, 2)
        entries.clear()
        (overview,), faults = look_at(str(folder.root.parent), name, known)
        assert entries == {"read": 1} and overview.rows[-1].value == 0.75 and not faults


def test_the_dashboard_reads_what_was_added_and_copies_the_trials_that_changed(folder, entries, monkeypatch):
    shown, copied, attributes = ShownFolders(folder.root.parent), list[int](), folders.trial_attributes
    shown()

    def counted(of, row):
        copied.append(row.number)
        return attributes(of, row)

    monkeypatch.setattr(folders, "trial_attributes", counted)
    trial = begin_trial(folder)
    shown()
    assert copied == [12]
    trial.report(0.75, 2)
    entries.clear()
    copied.clear()
    shown()
    assert entries == {"read": 1} and copied == [12]
    (there,) = shown.storage.get_all_studies()
    assert [one.number for one in shown.storage.get_all_trials(there._study_id)] == list(range(13))
    assert shown.storage.get_all_trials(there._study_id)[-1].intermediate_values == {1: 0.5, 2: 0.75}


def test_a_last_line_without_its_end_is_cut_off_and_a_whole_journal_is_not_read_for_it(folder, monkeypatch):
    whole = folder.journal.read_bytes()
    study = read_study(folder)
    folder.journal.write_bytes(whole + b'{"op_code": 9')
    create_optuna_study(folder, study)
    assert folder.journal.read_bytes().startswith(whole + b'{"op_code":0,')

    read_bytes = Path.read_bytes

    def refused(path: Path) -> bytes:
        assert path != folder.journal
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", refused)
    create_optuna_study(folder, study)
