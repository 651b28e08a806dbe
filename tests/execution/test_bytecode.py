"""Where Python keeps no bytecode, the workers of a command keep theirs while it runs."""

import os
import subprocess
import sys

import pytest

from hw2tune.execution.bytecode import is_kept, kept_in


@pytest.fixture
def nothing_compiled(tmp_path, monkeypatch):
    """As in a container that sets PYTHONDONTWRITEBYTECODE: no bytecode beside packages, and none is to be written."""
    monkeypatch.setattr(sys, "pycache_prefix", str(tmp_path / "none"))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")


def test_what_a_worker_imports_is_compiled_once_for_all(tmp_path, nothing_compiled):
    before = dict(os.environ)
    with kept_in(tmp_path):
        subprocess.run([sys.executable, "-c", "import json"], check=True)
    assert os.environ == before
    assert list(tmp_path.glob("bytecode/**/json/decoder*.pyc"))


def test_bytecode_that_lies_beside_its_package_is_used(tmp_path, nothing_compiled, monkeypatch):
    assert not is_kept()
    monkeypatch.setattr(sys, "dont_write_bytecode", False)  # it is written at the first import
    assert is_kept()
    with kept_in(tmp_path):
        assert os.environ["PYTHONDONTWRITEBYTECODE"] == "1" and "PYTHONPYCACHEPREFIX" not in os.environ


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_packages_of_somebody_elses_count_as_not_kept(tmp_path, monkeypatch):
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").touch()
    (tmp_path / "torch").chmod(0o500)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    assert not is_kept()
