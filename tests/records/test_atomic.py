"""Files that are there whole or not at all, whoever else writes them."""

import os
import stat

from hw2tune.records.atomic import write_atomically


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
