"""The user's modules, imported from memory."""

import importlib
import sys
import traceback

import pytest

from hw2tune.user_code.importer import callers_modules_kept, load

NET = "import layers\nfrom parts.more import x\n\nclass Wide:\n    size = layers.size + x\n\n"
NET += "def fail():\n    raise ValueError('no')\n"
CODE = {"net.py": NET, "layers.py": "size = 2\n", "parts/__init__.py": "", "parts/more.py": "x = 1\n"}


@pytest.fixture(autouse=True)
def nothing_stays():
    with callers_modules_kept():
        pass  # of another test
    with callers_modules_kept():
        yield
    for name in ("net", "layers"):
        sys.modules.pop(name, None)


def test_modules_import_each_other_and_nothing_of_the_folder(tmp_path, monkeypatch):
    (tmp_path / "layers.py").write_text("raise SystemExit('from the disk')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert load("net.py:Wide", CODE).size == 3


def test_another_studys_modules_of_the_same_names_take_their_place():
    assert load("net.py:Wide", CODE).size == 3
    assert load("net.py:Wide", CODE | {"layers.py": "size = 5\n"}).size == 6
    assert load("net.py:Wide", CODE).size == 3


def test_behind_a_function_of_the_api_an_import_gives_the_callers_own_module(tmp_path, monkeypatch):
    (tmp_path / "net.py").write_text("size = 'mine'")
    (tmp_path / "layers.py").write_text("size = 'mine too'")
    monkeypatch.syspath_prepend(str(tmp_path))
    mine = importlib.import_module("net")
    before = list(sys.meta_path)
    with callers_modules_kept():
        assert load("net.py:Wide", CODE).size == 3
        assert load("net.py:Wide", CODE | {"layers.py": "size = 5\n"}).size == 6
    assert importlib.import_module("net") is mine and sys.meta_path == before
    assert importlib.import_module("layers").size == "mine too"
    assert "parts" not in sys.modules


def test_a_folder_without_init_is_a_package_and_goes_with_its_study():
    code = {
        "net.py": "from blocks.deep.more import x\nimport blocks.conv\n",
        "blocks/conv.py": "from .deep import more\n",
        "blocks/deep/more.py": "x = 4\n",
    }
    assert load("net.py:x", code) == 4
    assert load("net.py:x", code | {"blocks/deep/more.py": "x = 5\n"}) == 5
    with pytest.raises(ModuleNotFoundError):
        load("net.py:x", {"net.py": "import blocks\nx = 1\n"})


def test_an_installed_function_is_found_by_its_path():
    assert load("math:sqrt", {})(4) == 2


def test_a_traceback_shows_the_users_line():
    with pytest.raises(ValueError) as error:
        load("net.py:fail", CODE)()
    shown = "".join(traceback.format_exception(error.value))
    assert 'File "net.py", line 8, in fail' in shown and "raise ValueError('no')" in shown
