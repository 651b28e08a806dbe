"""What a study ran on."""

import json
import subprocess
import sys
from types import SimpleNamespace

import pytest

from hw2tune.records import environment
from hw2tune.records.environment import ReplicatesRun, add_run, commit, planned, replicates_runs, runs
from hw2tune.records.layout import StudyFolder
from hw2tune.study.schema import Claim


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


def test_the_commit_is_that_of_the_checkout_else_of_the_wheel_else_what_pip_noted(tmp_path, monkeypatch):
    package = tmp_path / "hw2tune"
    package.mkdir()
    monkeypatch.setattr(environment.resources, "files", lambda name: package)
    noted = SimpleNamespace(read_text=lambda name: None, version="9")
    monkeypatch.setattr(environment.metadata, "distribution", lambda name: noted)
    assert commit() is None
    noted.read_text = lambda name: '{"url": "https://example.org/x.whl"}'  # of an archive: it names none
    assert commit() is None
    noted.read_text = lambda name: json.dumps({"vcs_info": {"vcs": "git", "commit_id": "0123456789abcdef0123"}})
    assert commit() == "0123456789ab"
    (package / "commit.txt").write_text("fedcba987654+\n")
    assert commit() == "fedcba987654+"
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "first"]):
        who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", "-C", str(tmp_path), *who, *command], check=True)
    head = subprocess.run(["git", "-C", str(tmp_path), "rev-parse", "HEAD"], capture_output=True, text=True).stdout
    assert commit() == head[:12]
    (package / "commit.txt").write_text("changed")
    assert commit() == head[:12] + "+"
    assert environment.version_text("1.2").startswith(f"hw2tune 1.2 (commit {head[:12]}+)\nPython ")


def test_runs_of_replicates_say_what_was_asked_for_and_those_of_earlier_versions_had_as_many_seeds(tmp_path):
    claim = {"a": {"of": "l2"}, "b": {"of": "baseline"}}
    entries = [
        {"started": "2026-11-23", "seeds": {"study": 0, "split": 0}},  # a search
        {"started": "2026-11-24", "seeds": {"split": 0, "replicates": [1, 2, 3]}},  # the first version
        {"seeds": {"replicates": [1, 2]}, "study": {"claims": [claim]}, "replicates": {"asked": 2, "most": None}},
        {"started": "2026-11-28", "seeds": {"replicates": [1, 2, 3]}, "replicates": {"asked": "auto", "most": 3}},
        {"seeds": {"replicates": 3}},  # damaged
    ]
    assert replicates_runs(entries) == [
        ReplicatesRun(started="2026-11-24", asked=3, most=None, seeds=(1, 2, 3), claims=None),
        ReplicatesRun(started="", asked=2, most=None, seeds=(1, 2), claims=(Claim.model_validate(claim),)),
        ReplicatesRun(started="2026-11-28", asked="auto", most=3, seeds=(1, 2, 3), claims=None),
    ]


def test_a_number_was_fixed_only_if_every_run_asked_for_it_in_the_same_unit():
    """Seven searches are no seven seeds, and seeds added to each of seven searches are a second look at them."""

    def run(asked, each=None):
        noted = {"asked": asked, "most": None} | ({} if each is None else {"each": each})
        return {"seeds": {"replicates": [1]}, "replicates": noted}

    assert planned([run(7), run(7, 0)], []) == (0, 7)
    assert planned([run(7, 1), run(7, 1)], []) == (0, 7)
    assert planned([run(7, 0), run(7, 1)], []) == planned([run(7, 1), run(7, 3)], []) == (0, None)


def asked(number, claims=None, **noted):
    entry = {"seeds": {"replicates": [1, 2, 3]}, "replicates": {"asked": number, "most": None} | noted}
    return entry if claims is None else entry | {"study": {"claims": claims}}


L2 = {"a": "l2", "b": "baseline"}
TUNED = {"a": "tuned", "b": "baseline"}
NOW = [Claim.model_validate(L2)]


def test_a_claim_is_one_claim_whatever_its_sides_are_called_and_in_whatever_order_they_stand():
    without = {"of": "tuned", "with": {"weight_decay": 0.0}}
    runs = [asked(5, [L2, {"a": "tuned", "b": without}]), asked(5, [{"a": "baseline", "b": "l2"}])]
    assert planned(runs, [*NOW, Claim.model_validate({"a": without | {"name": "tuned-no-l2"}, "b": "tuned"})]) == (2, 5)
    assert planned(runs, [Claim.model_validate(TUNED)]) == (3, None)


def test_claims_that_came_after_a_run_without_any_end_the_fixed_number():
    assert planned([asked(5, [])], NOW) == (1, None)
    assert planned([asked(5)], NOW) == (1, 5)  # the first version noted none, whatever there were


def test_a_number_that_was_changed_before_anything_was_seen_is_the_fixed_one():
    """Ctrl-C, and the same with another number: nothing had been tested."""
    runs = [asked(8, [L2, TUNED], there=0), asked(5, [L2], there=0)]
    assert planned(runs, NOW) == (1, 5)
    assert planned([runs[0], asked(5, [L2], there=1)], NOW) == (2, None)


def test_without_the_record_of_what_was_asked_first_no_number_was_fixed():
    assert planned([asked(8, [L2], there=16)], NOW) == (1, None)


@pytest.mark.parametrize("number", [None, "many", 5.5, [5], {"n": 5}, True])
def test_a_damaged_record_of_what_was_asked_fixes_no_number(number):
    damaged = [{"seeds": 3}, {"replicates": [], "study": 1}, 7, {"seeds": {"replicates": [1]}, "replicates": "five"}]
    entry = asked(number, [{"a": 3}], most="all", each=[], there={}, winners=[7])
    assert planned([*damaged, entry, entry], NOW) == (1, None)
    assert replicates_runs([entry])[0] == ReplicatesRun(
        started="", asked="auto", most=None, seeds=(1, 2, 3), claims=None
    )
