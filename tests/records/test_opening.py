"""A study's folder: one process at a time, one study for ever."""

import contextlib
import errno
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from hw2tune.errors import NotWritableError, StudyFolderError
from hw2tune.records.layout import study_folders
from hw2tune.records.opening import opened
from hw2tune.records.overview import read_study
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
        f"continue that one (`hw2tune study {tmp_path / 'quickstart' / 'study.toml'}`), use another --name, or "
        "move it aside with --fresh"
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


@pytest.mark.parametrize("moved", range(5))
def test_half_a_study_that_a_killed_fresh_left_never_goes_on_and_fresh_again_moves_the_rest(moved, tmp_path):
    folder = run_once(tmp_path)
    whole = contents(folder.root)
    with pytest.MonkeyPatch.context() as patch:
        renames, rename = iter(range(moved)), Path.rename

        def killed(path, target):
            if next(renames, None) is None and path.parent == folder.root:
                raise SystemExit
            return rename(path, target)

        patch.setattr(Path, "rename", killed)
        with contextlib.suppress(SystemExit), opened(tmp_path, study(), fresh=True):
            pass
    if moved == 0:  # nothing has happened
        assert contents(folder.root) == whole
    elif moved < 4:
        assert not study_folders(tmp_path)
        with pytest.raises(StudyFolderError) as refusal, opened(tmp_path, study()):
            pass
        assert str(refusal.value) == (
            f"{folder.root}: holds trials but no study.toml, as an interrupted --fresh leaves it; "
            "run the command with --fresh again"
        )
    if moved < 4:
        with opened(tmp_path, study(), fresh=True):
            assert contents(folder.root) == {"study.toml"}
    (aside,) = (tmp_path / "set-aside").iterdir()
    assert (
        contents(aside) == whole == {"study.toml", "optuna.journal", "trials", "trials/0", "trials/0/last.pt", "notes"}
    )


def contents(folder):
    return {
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.name not in ("lock", "running.json")
    }


def test_a_copy_without_room_costs_nothing_of_what_was_moved_before_it(tmp_path, other_disk):
    folder = run_once(tmp_path)
    shutil.rmtree(folder.root / "trials")
    (folder.root / "trials").mkdir()
    subprocess.run(["mount", "--bind", other_disk, folder.root / "trials"], check=True)
    try:
        (folder.root / "trials" / "last.pt").write_bytes(b"x")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(shutil, "copytree", full_disk)
            with pytest.raises(NotWritableError), opened(tmp_path, study(), fresh=True):
                pass
    finally:
        subprocess.run(["umount", folder.root / "trials"], check=True)
    (aside,) = (tmp_path / "set-aside").iterdir()
    assert "study.toml" in contents(aside) and "optuna.journal" in contents(folder.root)


def full_disk(source, target, **options):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_results_that_cannot_be_written_are_refused_with_the_path(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StudyFolderError, match=r"file/quickstart: cannot be made \(.*\); take another --results-dir"):
        with opened(tmp_path / "file", study()):
            pass


def test_the_folders_name_is_the_studys_after_a_copy_or_a_new_name(tmp_path):
    with opened(tmp_path, study()) as folder:
        folder.journal.write_text("{}\n")
    shutil.copytree(folder.root, tmp_path / "copied")
    with opened(tmp_path, study(name="copied")) as copied:
        assert read_study(copied).name == "copied"
        assert 'name = "copied"' in copied.study_file.read_text()
    folder.root.rename(tmp_path / "tiny (copy)")
    assert read_study(type(folder)(tmp_path / "tiny (copy)")).name == "tiny (copy)"


@pytest.fixture
def other_disk(tmp_path):
    """A file system of its own, of 1 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk]).returncode:
        pytest.skip("a file system takes root to mount")
    yield disk
    subprocess.run(["umount", disk], check=True)


def run_once(results):
    """A study with a journal, a folder and a link in it, under `results`."""
    with opened(results, study()) as folder:
        folder.journal.write_text("{}\n")
        (folder.root / "trials" / "0").mkdir(parents=True)
        (folder.root / "trials" / "0" / "last.pt").write_bytes(b"x" * 300_000)
        (folder.root / "notes").symlink_to("nowhere")
    return folder


def test_fresh_sets_a_study_on_another_disk_aside_by_copying(tmp_path, other_disk):
    (tmp_path / "results").mkdir()
    (other_disk / "elsewhere").mkdir()
    (tmp_path / "results" / "quickstart").symlink_to(other_disk / "elsewhere")
    folder = run_once(tmp_path / "results")
    with opened(tmp_path / "results", study(max_epochs=9), fresh=True):
        assert not folder.journal.exists() and not (folder.root / "trials").exists()
    (aside,) = (tmp_path / "results" / "set-aside").iterdir()
    assert (aside / "trials" / "0" / "last.pt").read_bytes() == b"x" * 300_000
    assert (aside / "notes").is_symlink()


def test_fresh_without_room_for_the_copy_keeps_the_study_where_it_is(tmp_path, other_disk):
    folder = run_once(tmp_path / "far")
    folder.root.joinpath("big").write_bytes(b"x" * 2_000_000)
    (other_disk / "quickstart").symlink_to(folder.root)
    with pytest.raises(NotWritableError, match=r"set-aside/quickstart\..*: cannot be written .*No space left"):
        with opened(other_disk, study(max_epochs=9), fresh=True):
            pass
    assert folder.journal.exists() and folder.root.joinpath("big").stat().st_size == 2_000_000
    assert not list((other_disk / "set-aside").iterdir())
