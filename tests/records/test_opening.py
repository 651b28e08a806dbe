"""A study's folder: one process at a time, one study for ever."""

import json
import os
import subprocess
import sys

import psutil
import pytest

from hw2tune.errors import StudyFolderError
from hw2tune.records.folder import StudyFolder
from hw2tune.records.opening import holder, opened
from hw2tune.study.file import find_study, parse_study


def study(**overrides):
    return parse_study(*find_study("quickstart"), overrides=overrides)


def test_the_resolved_study_is_written_and_a_larger_number_of_trials_is_no_other_study(tmp_path):
    with opened(tmp_path, study()) as folder:
        assert parse_study(folder.study_file.read_text(), "x") == study()
    with opened(tmp_path, study(trials=40)) as folder:
        assert parse_study(folder.study_file.read_text(), "x").trials == 40


def test_a_changed_study_under_the_same_name_is_refused_with_the_difference(tmp_path):
    with opened(tmp_path, study()) as folder:
        folder.journal.write_text("{}\n")
    with pytest.raises(StudyFolderError) as refusal, opened(tmp_path, study(max_epochs=9)):
        pass
    assert str(refusal.value) == (
        f"{tmp_path / 'quickstart'}: holds a different study (max_epochs: 5 -> 9); "
        "go back to what it was, take another --name, or set it aside with --fresh"
    )


def test_a_name_under_which_nothing_ran_takes_any_study(tmp_path):
    with opened(tmp_path, study()):
        pass
    with opened(tmp_path, study(max_epochs=9)) as folder:
        assert parse_study(folder.study_file.read_text(), "x").max_epochs == 9


def test_fresh_sets_the_old_study_aside_and_deletes_nothing(tmp_path):
    with opened(tmp_path, study()) as folder:
        folder.journal.write_text("{}\n")
    with opened(tmp_path, study(max_epochs=9), fresh=True) as folder:
        assert not folder.journal.exists()
    aside = [path for path in (tmp_path / "set-aside").iterdir() if path.name.startswith("quickstart.")]
    assert len(aside) == 1
    assert (aside[0] / "optuna.journal").read_text() == "{}\n"
    assert parse_study((aside[0] / "study.toml").read_text(), "x").max_epochs == 5


def test_a_second_process_is_refused_and_told_of_the_first(tmp_path):
    code = (
        "import sys, pathlib; from hw2tune.records.opening import opened;"
        "from hw2tune.study.file import *;"
        "context = opened(pathlib.Path(sys.argv[1]), parse_study(*find_study('quickstart')));"
        "context.__enter__(); print('held', flush=True); sys.stdin.read()"
    )
    first = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert first.stdout is not None and first.stdin is not None
    assert first.stdout.readline() == b"held\n"
    folder = StudyFolder(tmp_path / "quickstart")
    with pytest.raises(StudyFolderError, match=rf"process {first.pid} on .*, since .* runs this study; wait for it"):
        with opened(tmp_path, study()):
            pass
    assert f"process {first.pid} " in str(holder(folder))
    first.kill()
    first.wait()
    first.stdin.close()
    first.stdout.close()
    assert holder(folder) is None  # its note is still there, but it is dead
    with opened(tmp_path, study()):
        assert f"process {os.getpid()} " in str(holder(folder))
    assert holder(folder) is None


def test_another_process_under_a_dead_ones_number_does_not_hold_the_study(tmp_path):
    with opened(tmp_path, study()) as folder:
        pass
    note = {"host": os.uname().nodename, "pid": os.getpid(), "started": psutil.Process().create_time() - 5, "since": ""}
    folder.lock.with_name("running.json").write_text(json.dumps(note))
    assert holder(folder) is None


def test_results_that_cannot_be_written_are_refused_with_the_path(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StudyFolderError, match=r"file/quickstart: cannot be made \(.*\); take another --results-dir"):
        with opened(tmp_path / "file", study()):
            pass
