"""Paths that a user gives, in every command that takes one."""

import json
import re
from pathlib import Path

import pytest

from hw2tune.errors import PathError
from hw2tune.execution import cleaning
from hw2tune.paths import existing_folder, expand, folder, refuse_links_out, refuse_unwritable, results_folder
from hw2tune.records.leftovers import LAST, WEIGHTS
from hw2tune.records.lock import locked
from hw2tune.report.write import write_report
from tests.command_line import hw2tune
from tests.report.fake_study import write_fake_study


def refusal(call, *arguments) -> str:
    with pytest.raises(PathError) as refused:
        call(*arguments)
    return str(refused.value)


def test_home_is_expanded_and_a_relative_path_stays_one(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert expand("~/a b/\u00fc", "x") == tmp_path / "a b" / "\u00fc"
    assert str(expand("some/where", "x")) == "some/where"


def test_what_is_no_path_is_refused_with_the_option(tmp_path):
    assert refusal(expand, "", "--output") == "--output '': is no path; leave it out, or name a folder"
    assert refusal(expand, "a\0b", "--output") == "--output 'a\\x00b': is no path; leave it out, or name a folder"
    assert refusal(expand, "~nobody-of-this-name/x", "--data-dir") == (
        "--data-dir ~nobody-of-this-name/x: there is no home folder of this name; write the whole path"
    )
    assert refusal(existing_folder, tmp_path / "gone", "--data-dir") == (
        f"--data-dir {tmp_path}/gone: no such folder; look at how it is written, or make it"
    )


def test_a_file_in_a_folders_place_is_named_wherever_it_stands(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below" / "it"):
        assert refusal(folder, path, "--output") == f"--output {path}: {tmp_path}/file is a file; name a folder"


def test_a_studys_own_folder_is_one_level_too_deep_for_results(tmp_path):
    study = write_fake_study(tmp_path, trials=2, seeds=0)
    assert refusal(results_folder, study.root) == (
        f"--results-dir {study.root}: is a study's folder; name the one above it, {tmp_path}"
    )


def test_the_folder_of_a_studys_arms_is_two_levels_too_deep_for_results(tmp_path):
    arms = write_fake_study(tmp_path, trials=2, seeds=0).arms
    arms.mkdir()
    assert refusal(results_folder, arms) == (
        f"--results-dir {arms}: is a study's folder; name the one above it, {tmp_path}"
    )


def test_a_place_that_cannot_be_written_is_known_before(tmp_path):
    (tmp_path / "file").write_text("")
    refuse_unwritable(tmp_path / "new" / "deep", "report")
    assert not (tmp_path / "new").exists()
    assert refusal(refuse_unwritable, tmp_path / "file", "report") == (
        f"report: {tmp_path}/file is a file, and a folder is wanted there; move it away"
    )
    assert refusal(refuse_unwritable, Path("/proc/x"), "report").startswith("report: /proc cannot be written to (")


@pytest.mark.parametrize(
    "command",
    [("study", "quickstart"), ("check", "quickstart"), ("status",), ("summarize",), ("reproduce", "mnist")],
)
def test_each_command_says_the_same_of_the_same_path(tmp_path, command):
    (tmp_path / "file").write_text("")
    told = hw2tune(*command, "--results-dir", "file/x", cwd=tmp_path)
    assert (told.returncode, told.stdout) == (1, "")
    assert told.stderr == "hw2tune: --results-dir file/x: file is a file; name a folder\n"
    if command != ("status",):
        told = hw2tune(*command, "--data-dir", "gone", cwd=tmp_path)
        assert (told.returncode, told.stdout) == (1, "")
        assert told.stderr == ("hw2tune: --data-dir gone: no such folder; look at how it is written, or make it\n")


def test_a_report_that_could_not_be_written_is_said_before_anything_starts(tmp_path):
    study = write_fake_study(tmp_path / "ray_results", trials=10, seeds=0)
    for record in (study.environment, *study.datasets):  # of images that nobody has
        record.unlink(missing_ok=True)
    (study.root / "report").write_text("not a folder")
    for command in (("check", "quickstart", "--trials", 12), ("study", "quickstart", "--trials", 12), ("summarize",)):
        told = hw2tune(*command, cwd=tmp_path)
        assert told.returncode == 1
        assert told.stderr.splitlines()[-1].startswith("hw2tune: report: ")
        assert told.stderr.endswith("is a file, and a folder is wanted there; move it away\n")


def test_a_long_name_in_a_deep_folder_with_blanks_and_quotes_works(tmp_path):
    deep = tmp_path / 'it\'s "my" folder' / "\u00fcml\u00e4ut \u96ea"
    deep.mkdir(parents=True)
    write_fake_study(deep / "re sults", trials=3, seeds=0)
    told = hw2tune("status", "--results-dir", "re sults", cwd=deep)
    assert (told.returncode, told.stderr) == (0, "")
    assert "quickstart" in told.stdout


@pytest.mark.parametrize(
    "place", ["report", "report/figures", "report/tables", "trials/3", "trials/3/result.json", "logs/wandb"]
)
def test_a_link_out_of_a_study_is_refused_by_whatever_writes_or_removes(tmp_path, place):
    study = write_fake_study(tmp_path / "results", trials=3, seeds=0)
    mine = tmp_path / "Pictures"
    mine.mkdir()
    (mine / "holiday.png").write_text("mine")
    (mine / "last.pt").write_text("mine")
    link = study.root / place
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(mine / "last.pt" if link.suffix else mine)
    (study.root / "report").mkdir(exist_ok=True)
    summary = {"studies": [{"figures": [{"png": "figures/holiday.png"}], "tables": {}}]}
    (study.root / "report" / "summary.json").write_text(json.dumps(summary))
    (mine / "summary.json").unlink(missing_ok=True)
    refusal = re.escape(f"{link}: is a link out of {study.root}, to {mine}")
    with pytest.raises(PathError, match=refusal):
        write_report([study])
    with pytest.raises(PathError, match=refusal), locked(study):
        pass
    assert cleaning.remove(cleaning.find(study.root.parent, kinds=[LAST, WEIGHTS])).found == ()
    assert sorted(path.name for path in mine.iterdir()) == ["holiday.png", "last.pt"]
    assert {path.read_text() for path in mine.iterdir()} == {"mine"}


def test_links_within_a_folder_and_a_folder_that_is_itself_a_link_are_left_alone(tmp_path):
    real, link = tmp_path / "real", tmp_path / "link"
    (real / "runs" / "run-1").mkdir(parents=True)
    (real / "latest").symlink_to("runs/run-1")
    (real / "round").symlink_to("round")
    (real / "logs" / "wandb" / "run-1").mkdir(parents=True)
    (real / "logs" / "wandb" / "run-1" / "debug-core.log").symlink_to("/elsewhere/core-debug.log")  # as W&B 0.31 does
    (real / "logs" / "wandb.part" / "run-2").mkdir(parents=True)  # a kill came while W&B wrote
    (real / "logs" / "wandb.part" / "run-2" / "debug-core.log").symlink_to("/elsewhere/core-debug.log")
    link.symlink_to(real)
    refuse_links_out(link)
    (real / "out").symlink_to("../other")
    with pytest.raises(PathError) as refused:
        refuse_links_out(link)
    assert str(refused.value) == f"{link}/out: is a link out of {link}, to ../other; put what it names in its place"
