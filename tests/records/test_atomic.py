"""Files that are there whole or not at all, whoever else writes them."""

import os
import shutil
import stat

from hw2tune.records.atomic import files_below, write_atomically
from hw2tune.records.layout import StudyFolder
from hw2tune.records.lock import locked


def test_two_writers_with_one_process_number_do_not_write_into_each_others_file(tmp_path, monkeypatch):
    file, replace, others = tmp_path / "running.json", os.replace, ["of the other container"]

    def replace_after_the_other(source, target):
        if others:
            write_atomically(file, others.pop())
        replace(source, target)

    monkeypatch.setattr(os, "replace", replace_after_the_other)
    write_atomically(file, "ours")
    assert file.read_text() == "ours"
    assert [path.name for path in tmp_path.iterdir()] == ["running.json"]


def test_what_is_written_may_be_read_by_whom_the_umask_allows(tmp_path):
    write_atomically(tmp_path / "a", "text")
    (tmp_path / "b").write_text("text")
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == stat.S_IMODE((tmp_path / "b").stat().st_mode)


def test_folders_that_vanish_while_files_are_listed_hide_none_of_the_others(tmp_path):
    for name in "abc":
        write_atomically(tmp_path / name / "file", name)
    (tmp_path / "link").symlink_to(tmp_path / "a")
    found = []
    for path in files_below(tmp_path):
        found.append(path)
        if path.name == "file":  # the first of them, and the last
            for other in {"a", "b", "c"} - {path.parent.name}:
                shutil.rmtree(tmp_path / other, ignore_errors=True)
    assert [path.name for path in found] == ["link", "file"]


def test_a_study_is_locked_while_reports_make_and_remove_their_folder(tmp_path, monkeypatch):
    drawing, scandir, removed = tmp_path / "report" / ".drawing-1", os.scandir, []
    drawing.mkdir(parents=True)

    def scandir_after_the_other(place):
        if str(place) != str(drawing):
            return scandir(place)
        removed.append(drawing.rmdir())
        try:
            return scandir(place)
        finally:
            drawing.mkdir()

    monkeypatch.setattr(os, "scandir", scandir_after_the_other)
    with locked(StudyFolder(tmp_path)):
        assert removed
