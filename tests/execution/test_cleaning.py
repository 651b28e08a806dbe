"""What can go: nothing that continues, reports, claims or exports a study needs, and nothing of one that runs."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys

import filelock
import numpy as np
import pytest

from hw2tune.data import decoding
from hw2tune.errors import StudyFolderError
from hw2tune.execution import cleaning
from hw2tune.execution.scratch import PREFIX
from hw2tune.records.layout import StudyFolder
from hw2tune.records.leftovers import DECODED, KINDS, LAST, SCRATCH, SET_ASIDE, WEIGHTS, size_of
from hw2tune.records.lock import locked
from hw2tune.records.opening import opened
from hw2tune.records.overview import read_overview
from hw2tune.report.write import write_report
from tests.command_line import hw2tune
from tests.report.fake_study import write_fake_study
from tests.terminal.test_watch import begin_trial

SIZE = 1000  # bytes of each checkpoint here


@pytest.fixture
def results(tmp_path, monkeypatch):
    """A study of ten trials, each with both checkpoints, and a machine with nothing besides."""
    for name in ("TMPDIR", "HW2TUNE_CACHE"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setattr("hw2tune.execution.scratch.ELSEWHERE", ())
    folder = write_fake_study(tmp_path / "ray_results", trials=10, seeds=2)
    add_checkpoints(folder)
    return tmp_path / "ray_results"


def add_checkpoints(folder):
    for row in read_overview(folder).rows:
        folder.trial(row.number).root.mkdir(parents=True, exist_ok=True)
        folder.trial(row.number).last.write_bytes(b"b" * SIZE)
        folder.trial(row.number).best.write_bytes(b"b" * SIZE)


def kinds(leftovers):
    return {(one.kind, one.study): (one.count, one.size) for one in leftovers.found}


def test_checkpoints_of_ended_trials_can_go_but_for_the_weights_that_somebody_may_ask_for(results):
    assert kinds(cleaning.find(results)) == {(LAST, "quickstart"): (10, 10 * SIZE)}
    found = cleaning.find(results, kinds=[LAST, WEIGHTS])
    # Of ten trials #3 9 0 6 2 1 are the best six, the references 0 and 1 among them: four are left.
    assert kinds(found) == {(LAST, "quickstart"): (10, 10 * SIZE), (WEIGHTS, "quickstart"): (4, 4 * SIZE)}
    (weights,) = [one for one in found.found if one.kind == WEIGHTS]
    assert {int(path.parent.name) for path in weights.paths} == {4, 5, 7, 8}
    assert found.size == 14 * SIZE and found.notes == ()


def test_the_references_keep_their_weights_however_bad_they_are(results, monkeypatch):
    monkeypatch.setattr("hw2tune.records.leftovers.RACE", 1)
    (weights,) = cleaning.find(results, kinds=[WEIGHTS]).found
    assert {int(path.parent.name) for path in weights.paths} == {2, 4, 5, 6, 7, 8, 9}  # not 0, 1 and the best, 3


def test_all_checkpoints_of_a_trial_that_has_its_weights_can_go(results):
    trial = StudyFolder(results / "quickstart").trial(4)
    for path in (trial.weights, trial.previous):
        path.write_bytes(b"b" * SIZE)
    last, weights = cleaning.find(results, kinds=[LAST, WEIGHTS]).found
    assert {*trial.checkpoints} < {*last.paths} and last.count == 12
    assert trial.weights in weights.paths and trial.best not in weights.paths and weights.count == 4


def test_last_checkpoints_stay_where_they_alone_hold_the_best_epoch(results):
    folder = StudyFolder(results / "quickstart")
    trial, study = begin_trial(folder, 0.9, 0.5)  # its best epoch is not its last
    study.tell(trial.number, 0.9)
    add_checkpoints(folder)
    rows = {row.number: row for row in read_overview(folder).rows}
    at_the_end = [number for number, row in rows.items() if row.best_epoch == row.epochs]
    lost, other = at_the_end[:2]
    for number in (lost, trial.number):
        folder.trial(number).best.unlink()
    folder.trial(other).best.write_bytes(b"of another epoch")
    (last,) = cleaning.find(results, kinds=[LAST]).found
    # Without best.pt, a last.pt of today's may hold the weights of an earlier epoch, the best.
    assert {int(path.parent.name) for path in last.paths} == rows.keys() - {lost, other, trial.number}


def test_an_interrupted_trial_keeps_what_it_goes_on_from(results):
    folder = StudyFolder(results / "quickstart")
    begin_trial(folder, 0.5)
    add_checkpoints(folder)
    paths = [path for one in cleaning.find(results, kinds=list(KINDS)).found for path in one.paths]
    assert folder.trial(9).last in paths
    assert not [path for path in paths if path.parent.name == "10"]


@pytest.mark.matrix
def test_what_is_removed_is_what_was_found_and_the_study_reads_and_reports_as_before(results):
    folder = StudyFolder(results / "quickstart")
    before = read_overview(folder).as_json()
    tables = report_tables(folder)
    others = {path for path in folder.root.rglob("*") if path.suffix != ".pt" and path.is_file()}
    found = cleaning.find(results, kinds=list(KINDS))
    gone = cleaning.remove(found)
    assert kinds(gone) == kinds(found) and gone.notes == ()
    assert not [path for one in found.found for path in one.paths if path.exists()]
    assert sorted(int(path.parent.name) for path in folder.root.rglob("*.pt")) == [0, 1, 2, 3, 6, 9]
    assert read_overview(folder).as_json() == before and report_tables(folder) == tables
    assert others <= set(folder.root.rglob("*"))
    assert cleaning.find(results).found == ()


def report_tables(folder):
    written = write_report([folder]).page.parent / "tables"
    return {path.name: path.read_bytes() for path in written.glob("*.csv")}


def test_a_study_that_runs_is_left_alone_whole(results):
    with locked(StudyFolder(results / "quickstart")):
        found = cleaning.find(results)
        assert found.found == () and len(found.notes) == 1
        assert found.notes[0].startswith(f"quickstart: process {os.getpid()} on ")
        assert found.notes[0].endswith(" runs it; left alone")


def test_a_study_that_begins_to_run_between_the_question_and_the_answer_loses_nothing(results):
    found = cleaning.find(results)
    hold = (
        "import sys, pathlib; from hw2tune.records.lock import locked; from hw2tune.records.layout import StudyFolder\n"
        "with locked(StudyFolder(pathlib.Path(sys.argv[1]))): print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(results / "quickstart")], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True,
    ) as runs:  # fmt: skip
        assert runs.stdout.readline() == "held\n"
        gone = cleaning.remove(found)
        runs.communicate("")
    assert gone.found == () and "runs this study" in gone.notes[0]
    assert all(path.exists() for one in found.found for path in one.paths)


def test_a_study_that_was_begun_anew_meanwhile_keeps_its_new_checkpoints(results):
    found, folder = cleaning.find(results), StudyFolder(results / "quickstart")
    study = read_overview(folder).study
    with opened(results, study, fresh=True):
        pass
    begin_trial(folder, 0.5)
    add_checkpoints(folder)
    assert cleaning.remove(found).found == ()
    assert folder.trial(0).last.exists()


def test_studies_set_aside_can_go_each_for_itself_also_by_name(results):
    study = read_overview(StudyFolder(results / "quickstart")).study
    with opened(results, study, fresh=True):
        pass
    (results / "set-aside" / "notes").mkdir()  # not of ours
    assert not any(kind == SET_ASIDE for kind, _ in kinds(cleaning.find(results)))  # results lie in it
    (aside,) = cleaning.find(results, ["quickstart"], [SET_ASIDE]).found
    assert aside.size > 20 * SIZE and aside.paths[0].name.startswith("quickstart.")
    shutil.rmtree(results / "quickstart")
    found = cleaning.find(results, ["quickstart"], [SET_ASIDE])
    assert kinds(found) == {(SET_ASIDE, "quickstart"): (1, aside.size)}
    with locked(StudyFolder(aside.paths[0])):  # somebody summarizes it
        left = cleaning.remove(found)
    assert left.found == () and "quickstart." in left.notes[0] and aside.paths[0].exists()
    cleaning.remove(found)
    assert [path.name for path in (results / "set-aside").iterdir()] == ["notes"]
    assert not (results / "quickstart").exists()  # nor is it made to be locked


def test_a_size_is_that_of_the_files_themselves_and_not_of_what_links_point_to(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "large").write_bytes(bytes(10_000))
    (tmp_path / "kept" / "deep").mkdir(parents=True)
    (tmp_path / "kept" / "deep" / "small").write_bytes(bytes(7))
    link = tmp_path / "kept" / "link"
    link.symlink_to(tmp_path / "elsewhere")
    assert size_of(tmp_path / "kept") == 7 + link.lstat().st_size
    assert size_of(link) == link.lstat().st_size < 1_000
    assert size_of(tmp_path / "gone") == 0


def test_decoded_images_and_the_folders_of_dead_commands_are_the_machines(results, tmp_path):
    decoded = decoding.Decoded(np.zeros((4, 8, 8, 1), np.uint8), [], {})
    decoding.store_decoded("own-1", "f", decoded, tmp_path, {})
    for name in ("dead", "alive", "foreign"):
        (tmp_path / "TMPDIR" / f"{PREFIX}{name}").mkdir()
        (tmp_path / "TMPDIR" / f"{PREFIX}{name}" / ("lock" if name != "foreign" else "x")).touch()
    (tmp_path / "HW2TUNE_CACHE" / "data").mkdir()
    (tmp_path / "HW2TUNE_CACHE" / "data" / "mnist").write_text("downloaded")
    with filelock.FileLock(tmp_path / "TMPDIR" / f"{PREFIX}alive" / "lock"):
        found = cleaning.find(results, kinds=[DECODED, SCRATCH])
        assert [(one.kind, one.study, one.count) for one in found.found] == [(DECODED, "", 1), (SCRATCH, "", 1)]
        gone = cleaning.remove(found)
    assert len(gone.found) == 2
    assert sorted(path.name for path in (tmp_path / "TMPDIR").iterdir()) == [f"{PREFIX}alive", f"{PREFIX}foreign"]
    assert decoding.load_decoded("own-1", "f") is None
    assert (tmp_path / "HW2TUNE_CACHE" / "data" / "mnist").exists()


def test_a_damaged_study_is_left_alone_and_said_and_others_are_not_held_up(results):
    write_fake_study(results, "mnist", trials=2, seeds=0).journal.write_text("x\ny\n")
    found = cleaning.find(results)
    assert {one.study for one in found.found} == {"quickstart"}
    assert found.notes[0].startswith("mnist: left alone: ") and "line 1 is damaged" in found.notes[0]


def test_what_is_unknown_or_behind_a_url_is_refused(results):
    for arguments, said in (
        ((results, ["nope"]), "no study `nope`; it holds quickstart"),
        ((results, [], ["all"]), f"--only all: there are {', '.join(KINDS)}"),
        (("s3://key:secret@bucket/x",), r"s3://bucket/x: files behind a URL are not cleaned"),
    ):
        with pytest.raises(StudyFolderError, match=said):
            cleaning.find(*arguments)


def test_the_command_removes_nothing_unless_it_is_told_to(results):
    there = set(results.rglob("*.pt"))
    for arguments, code in ((("--dry-run",), 0), ((), 1), (("--json",), 1)):
        # The study by its name: without one, folders in /tmp of commands that other tests killed would be found too.
        shown = hw2tune("clean", "quickstart", *arguments, cwd=results.parent)
        assert shown.returncode == code, shown.stderr
    assert shown.stderr == (
        "hw2tune: nothing was removed: there is no terminal to ask on; --yes removes it without asking\n"
    )
    as_json = json.loads(shown.stdout)
    assert (as_json["bytes"], len(as_json["leftovers"][0]["paths"])) == (10 * SIZE, 10)
    both = ("--only", LAST, "--only", WEIGHTS)
    table = hw2tune("clean", "--dry-run", "--format", "csv", *both, cwd=results.parent).stdout
    assert [(row["kind"], row["bytes"]) for row in csv.DictReader(io.StringIO(table))] == [
        (LAST, "10000"), (WEIGHTS, "4000"),
    ]  # fmt: skip
    assert set(results.rglob("*.pt")) == there
    done = hw2tune("clean", "quickstart", "--yes", "--only", LAST, cwd=results.parent)
    assert (done.returncode, done.stderr) == (
        0,
        "10 kB freed\n",
    ) and "last.pt and previous.pt of trials that have ended" in done.stdout
    assert {path.name for path in results.rglob("*.pt")} == {"best.pt"}
    assert hw2tune("clean", "quickstart", "--only", LAST, cwd=results.parent).stdout == "nothing can go\n"
