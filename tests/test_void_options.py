"""Options that have no effect beside others, or without them: refused, with the value and the way out."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from hw2tune.cli import app
from tests.report.fake_study import write_fake_study

REDRAWN = ("summarize", "--from-files", "ray_results")
NOTHING_TRAINED = "has no effect with --from-files, which draws again what is there; leave one of them out"
NO_REPORT = "has no effect with --plan, which trains nothing and writes no report; leave one of them out"
VOID = [
    (("study", "quickstart", "--replicates", "7"), "--replicates 7: goes with --summarize; add --summarize"),
    (("study", "quickstart", "--most", "3"), "--most 3: goes with --summarize; add --summarize, or leave --most out"),
    (("submit", "quickstart", "--array", "2", "--time", "1h", "--most", "3"), "--most 3: goes with --summarize"),
    *(
        ((*REDRAWN, option, *value), f"{' '.join((option, *value))}: {NOTHING_TRAINED}".replace(" timm", ""))
        for option, *value in (
            ("--replicates", "7"), ("--replicates", "auto"), ("--most", "3"), ("--splits", "4"), ("--race", "12"),
            ("--each-finalist", "2"), ("--results-dir", "other"), ("--data-dir", "."), ("--trust", "timm"),
            ("--cpus-per-trial", "1.0"), ("--gpus-per-trial", "0.0"), ("--concurrency", "2"), ("--address", "auto"),
            ("--log", "wandb"), ("--plan",),
        )
    ),
    (("summarize", "--plan", "--open"), f"--open: {NO_REPORT}"),
    (("summarize", "--plan", "--log", "wandb"), f"--log wandb: {NO_REPORT}"),
    (("summarize", "--plan", "--output", "new"), f"--output new: {NO_REPORT}"),
    (("status", "--every", "5"), "--every 5.0: goes with --watch; add --watch, or leave --every out"),
    (("clean", "--dry-run", "--yes"), "--yes: has no effect with --dry-run, which removes nothing; leave one of them"),
    (("doctor", "--data-dir", "."), "--data-dir .: goes with --machine; add --machine, or leave --data-dir out"),
    (("doctor", "--results-dir", "x"), "--results-dir x: goes with the name of a study; add the name of a study"),
    (("doctor", "--machine", "--results-dir", "x"), "--results-dir x: goes with the name of a study"),
    (("doctor", "quickstart", "--data-dir", "."), "--data-dir .: has no effect with the name of a study, which is "),
    (("data", "--data-dir", ".", "fetch", "mnist"), "--data-dir .: has no effect before `fetch`, which takes --data-d"),
    (("data", "--verify", "fetch", "mnist"), "--verify: has no effect before `fetch`, which"),
    (("data", "--json", "fetch", "mnist"), "--json: has no effect before `fetch`, which"),
]  # fmt: skip


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = write_fake_study(tmp_path / "ray_results", trials=3, seeds=0).root
    shutil.copytree(folder, folder.with_name("second"))
    return folder.parent


def run(*typed: str) -> Result:
    return CliRunner().invoke(app, typed)


@pytest.mark.parametrize(("typed", "words"), VOID, ids=lambda one: " ".join(one) if isinstance(one, tuple) else "")
def test_an_option_without_effect_is_refused_with_its_value(typed: tuple[str, ...], words: str, results: Path) -> None:
    before = sorted(results.rglob("*"))
    ended = run(*typed)
    assert ended.exit_code == 2, ended.output
    assert f"Invalid value: {words}" in " ".join(ended.stderr.split())
    assert sorted(results.rglob("*")) == before


def test_names_choose_among_the_studies_of_from_files(results: Path) -> None:
    ended = run("summarize", "second", "--from-files", str(results), "--json", "--quiet")
    assert ended.exit_code == 0, ended.output
    assert [study["name"] for study in json.loads(ended.stdout)["studies"]] == ["second"]
    assert not (results / "quickstart" / "report").exists()


@pytest.mark.parametrize("place", ["ray_results", "ray_results/quickstart"])
def test_a_name_that_from_files_does_not_hold_is_refused(place: str, results: Path) -> None:
    ended = run("summarize", "third", "--from-files", place)
    there = "quickstart, second" if place == "ray_results" else "quickstart"
    assert ended.exit_code == 1 and str(ended.exception) == f"{place}: no study `third`; it holds {there}"
    assert not list(results.glob("*/report"))
