"""The command line without Ray: help, refusals and exit codes, reading commands."""

import json
import platform
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from hw2tune.data.catalog import DATASETS
from hw2tune.events import Listeners
from hw2tune.records.trials.storage import create_optuna_study
from hw2tune.search.failures import Failure
from hw2tune.search.recorder import Recorder
from hw2tune.study.file import parse_study
from tests.command_line import hw2tune
from tests.report.fake_study import write_fake_study


def run_and_list_imports(*arguments: str, cwd: Path) -> tuple[str, set[str]]:
    """A command's stdout and the modules that it imported."""
    code = (
        f"import atexit, sys; sys.argv = ['hw2tune', *{arguments!r}]\n"
        "atexit.register(lambda: print(*sys.modules))\n"
        "from hw2tune.console import main; main()"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=cwd)
    assert shown.returncode == 0, shown.stderr
    *lines, modules = shown.stdout.splitlines()
    return "\n".join(lines), set(modules.split())


def test_help_imports_nothing_heavy(tmp_path):
    shown, modules = run_and_list_imports("--help", cwd=tmp_path)
    assert "study" in shown and "status" in shown
    assert not modules & {"torch", "ray", "optuna", "pandas", "matplotlib", "numpy", "pydantic"}


def test_status_reads_a_study_without_torch_and_ray(tmp_path):
    write_fake_study(tmp_path / "ray_results", trials=10)
    shown, modules = run_and_list_imports("status", "quickstart", cwd=tmp_path)
    assert not modules & {"torch", "ray", "pandas", "matplotlib"}
    assert "quickstart: complete, 10 of 10 trials finished" in shown
    assert "diverged in epoch 2: loss nan (training), nan (validation)" in shown


def test_status_lists_all_studies_and_speaks_json(tmp_path):
    write_fake_study(tmp_path / "ray_results", trials=10)
    write_fake_study(tmp_path / "ray_results", "cifar10", trials=3)
    listed = hw2tune("status", cwd=tmp_path).stdout
    assert [line.split()[0] for line in listed.splitlines()] == ["study", "cifar10", "quickstart"]
    studies = json.loads(hw2tune("status", "--json", cwd=tmp_path).stdout)
    assert [(study["name"], study["trials_finished"]) for study in studies] == [("cifar10", 3), ("quickstart", 10)]
    one = json.loads(hw2tune("status", "quickstart", "--json", cwd=tmp_path).stdout)
    assert one["best"]["number"] == 3 and len(one["trials"]) == 10


def test_status_where_there_is_nothing_says_what_to_do(tmp_path):
    shown = hw2tune("status", cwd=tmp_path)
    assert (shown.returncode, shown.stdout) == (
        0,
        "no studies in ray_results yet; `hw2tune study quickstart` makes one\n",
    )
    shown = hw2tune("status", "mnist", cwd=tmp_path)
    assert shown.returncode == 1
    assert shown.stderr == (
        "hw2tune: ray_results: no study `mnist`; it holds none yet; `hw2tune study NAME` makes one\n"
    )


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("study", "nope"), 1, "hw2tune: no study `nope`: hw2tune ships cifar10, cifar10-l2, cifar10-plus, "
                               "mnist, mnist-l2, quickstart; a file of your own goes by its path, "
                               "for example `hw2tune study ./nope.toml`\n"),
        (("study", "wrong.toml"), 1, "hw2tune: wrong.toml: name: is missing\n"),
        (("study", "quickstart", "--name", "../out"), 1, "hw2tune: studies/quickstart.toml: name: must be 1 to 64"),
        (("study", "quickstart", "--trials", "1"), 1, "trials: must be 2 or more, as the references are"),
        (("study", "quickstart", "--sampler", "grid"), 1, "sampler: grid goes through all values, and"),
        (("study",), 2, "Missing argument 'STUDY'"),
        (("data", "fetch", "imagenet"), 1, "hw2tune: "),
        (("check", "quickstart", "--concurrency", "999"), 1, "--concurrency 999 needs room for as many trials"),
    ],
)  # fmt: skip
def test_what_a_user_can_mend_is_said_in_words_with_its_exit_code(tmp_path, arguments, code, message):
    (tmp_path / "wrong.toml").write_text('dataset = "mnist"\n')
    refused = hw2tune(*arguments, cwd=tmp_path)
    assert refused.returncode == code
    assert message in refused.stderr
    assert "Traceback" not in refused.stderr
    assert refused.stdout == ""


def test_debug_shows_the_traceback(tmp_path):
    command = [sys.executable, "-m", "hw2tune", "study", "nope", "--debug"]
    assert "Traceback" in subprocess.run(command, cwd=tmp_path, capture_output=True, text=True).stderr


def test_a_fault_of_our_own_is_one_line_too(tmp_path):
    folder = write_fake_study(tmp_path / "ray_results", trials=2, seeds=0)
    folder.environment.write_text("[]")
    folder.study_file.write_bytes(b"\xff\xfe")
    shown = hw2tune("status", "quickstart", cwd=tmp_path)
    assert shown.returncode == 1
    assert shown.stderr.startswith("hw2tune: ") and len(shown.stderr.splitlines()) == 1


def test_check_tells_plan_and_cost_and_writes_nothing(tmp_path):
    shown = hw2tune("check", "quickstart", cwd=tmp_path)
    assert shown.returncode == 0
    for words in ("4,000 train, 500 validation, 500 test", "momentum: 0..0.99 when optimizer = sgd", "12 trials of at",
                  "if the pruner stops trials as planned", "all checks passed; nothing was trained"):  # fmt: skip
        assert words in shown.stdout
    assert not (tmp_path / "ray_results").exists()


def test_check_refuses_a_study_whose_folder_holds_another(tmp_path):
    write_fake_study(tmp_path / "ray_results", trials=2, seeds=0)
    refused = hw2tune("check", "quickstart", "--max-epochs", "9", cwd=tmp_path)
    assert refused.returncode == 1
    assert "holds a different study (max_epochs: 5 -> 9)" in refused.stderr


@pytest.mark.parametrize("command", ["study", "check"])
def test_the_order_of_a_study_that_has_begun_does_not_change(command, tmp_path):
    folder = write_fake_study(tmp_path / "ray_results", trials=2, seeds=0, name="mine", order="virtual", slots=3)
    there = folder.root.relative_to(tmp_path)
    refused = hw2tune(command, "mine", "--order", "arrival", cwd=tmp_path)
    assert (refused.returncode, refused.stderr) == (
        1,
        f"hw2tune: {there}: holds a different study (order: virtual -> arrival); continue that one (`hw2tune study "
        f"{there}/study.toml`), use another --name, or move it aside with --fresh\n",
    )


def test_data_lists_each_data_set_and_the_way_to_get_it(tmp_path):
    shown = hw2tune("data", cwd=tmp_path, HW2TUNE_DATA="", HW2TUNE_CACHE=str(tmp_path / "cache"))
    assert shown.returncode == 0
    names = [line.split()[0] for line in shown.stdout.splitlines()[1:]]
    assert names == list(DATASETS)
    assert "hw2tune data fetch mnist" in shown.stdout


def test_the_version_names_commit_and_versions_and_imports_none_of_what_it_names(tmp_path):
    shown, modules = run_and_list_imports("--version", cwd=tmp_path)
    ours, under = shown.splitlines()
    assert re.fullmatch(r"hw2tune 0\.1\.0 \(commit ([0-9a-f]{12}\+?|not known)\)", ours), ours
    versions = [f"{name} {metadata.version(name)}" for name in ("torch", "ray", "optuna")]
    assert under == ", ".join([f"Python {platform.python_version()}", *versions])
    assert not modules & {"torch", "ray", "optuna"}


def test_a_study_whose_every_trial_failed_ends_with_exit_code_3_and_the_reason(tmp_path):
    folder = write_fake_study(tmp_path / "ray_results", trials=2, seeds=0)
    folder.journal.unlink()
    shutil.rmtree(folder.trial(0).root.parent)
    study = parse_study(folder.study_file.read_text(), "x")
    recorder = Recorder(study, create_optuna_study(folder, study), folder, Listeners())
    recorder.enqueue_references()
    for _ in range(2):
        recorder.close_failed(recorder.open_trial(), Failure(state="diverged", reason="diverged in epoch 1: loss nan"))
    ended = hw2tune("study", "quickstart", "--trials", "2", cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (3, "")
    assert ended.stderr == (
        "hw2tune: ray_results/quickstart: every one of 2 trials failed, the last one `diverged in epoch 1: loss nan`; "
        "hw2tune status quickstart shows each\n"
    )


def test_a_finished_study_is_told_again_without_starting_ray(tmp_path):
    write_fake_study(tmp_path / "ray_results", trials=10, seeds=0)
    shown, modules = run_and_list_imports("study", "quickstart", "--trials", "10", cwd=tmp_path)
    assert "best      #3" in shown
    assert not modules & {"torch", "ray"}
