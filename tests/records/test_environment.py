"""What a study ran on."""

import sys

from hw2tune.records.environment import add_run, runs
from hw2tune.records.layout import StudyFolder


def test_each_run_adds_an_entry_with_versions_hardware_and_command(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/somewhere/bin/hw2tune", "study", "my study.toml"])
    folder = StudyFolder(tmp_path)
    assert runs(folder) == []
    add_run(folder, print, seeds={"study": 0})
    add_run(folder, print, seeds={"study": 1})
    first, second = runs(folder)
    assert (first["seeds"], second["seeds"]) == ({"study": 0}, {"study": 1})
    assert first["command"] == "hw2tune study 'my study.toml'"
    assert {"torch", "ray", "optuna", "hw2tune"} <= first["versions"].keys()
    assert first["python"] == ".".join(map(str, sys.version_info[:3]))
    assert first["cores"] >= 1 and first["memory_gib"] > 0
