from pathlib import Path

import platformdirs
import pytest

from hw2tune.errors import PathError
from hw2tune.paths import cache_dir, data_roots


def test_the_named_folder_comes_before_the_environment_and_the_cache(monkeypatch, tmp_path, cache):
    monkeypatch.setenv("HW2TUNE_DATA", str(tmp_path / "env"))
    assert data_roots(tmp_path / "named") == (tmp_path / "named", tmp_path / "env", cache / "data")


def test_a_folder_named_twice_is_searched_once(monkeypatch, tmp_path, cache):
    monkeypatch.setenv("HW2TUNE_DATA", str(tmp_path))
    assert data_roots(tmp_path) == (tmp_path, cache / "data")


def test_without_names_there_is_the_users_cache(monkeypatch):
    monkeypatch.delenv("HW2TUNE_CACHE")
    assert cache_dir() == Path(platformdirs.user_cache_dir("hw2tune"))
    assert data_roots() == (cache_dir() / "data",)


def test_a_file_where_a_folder_should_be_is_refused(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("HW2TUNE_DATA", str(tmp_path / "file"))
    with pytest.raises(PathError) as error:
        data_roots()
    assert str(error.value) == f"HW2TUNE_DATA {tmp_path}/file: {tmp_path}/file is a file; name a folder"
