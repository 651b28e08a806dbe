"""Completion in a shell, through the protocol that the shell speaks: right, and without what takes time to import."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hw2tune.records.leftovers import KINDS
from hw2tune.search.algorithms import PRUNERS, SAMPLERS
from hw2tune.study import names

SCRIPT = Path(sys.executable).with_name("hw2tune")
REPOSITORY = str(Path(__file__).parents[1])
LISTING = (
    "import atexit, sys; sys.argv[0] = 'hw2tune'\n"
    "atexit.register(lambda: print(*sys.modules, file=sys.stderr))\n"
    "from hw2tune.__main__ import main; main()"
)


def environment(**more):
    return {**os.environ, "PYTHONPATH": REPOSITORY, **more}


def complete(line, cwd, program=(SCRIPT,)):
    """What bash is offered behind a line; the modules on stderr where the program lists them."""
    words = line.split(" ")
    asked = environment(
        _HW2TUNE_COMPLETE="complete_bash", COMP_WORDS="\n".join(words), COMP_CWORD=str(len(words) - 1)
    )  # fmt: skip
    ended = subprocess.run(program, cwd=cwd, capture_output=True, text=True, env=asked)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.split(), ended.stderr


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Two studies in the results, one elsewhere, two files of one's own."""
    place = tmp_path_factory.mktemp("place")
    for study in ("ray_results/mine", "ray_results/mnist", "other/else", "ray_results/report/x"):
        (place / study).mkdir(parents=True)
        if "report" not in study:
            (place / study / "study.toml").write_text("")
    for file in ("mine.toml", "pyproject.toml", "deep/net.toml"):
        (place / file).parent.mkdir(exist_ok=True)
        (place / file).write_text("")
    return place


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("hw2tune st", ["status", "stop", "study"]),
        (
            "hw2tune study ",
            ["cifar10", "cifar10-l2", "cifar10-plus", "mnist", "mnist-l2", "quickstart", "mine", "mine.toml"],
        ),
        ("hw2tune study m", ["mnist", "mnist-l2", "mine", "mine.toml"]),
        ("hw2tune study deep", ["deep/net.toml"]),
        ("hw2tune status m", ["mine", "mnist"]),
        ("hw2tune status --results-dir other ", ["else"]),
        ("hw2tune stop --results-dir nowhere ", []),
        ("hw2tune stop --results-dir s3://bucket/x ", []),
        ("hw2tune stop --results-dir ray_results/mine ", []),
        ("hw2tune summarize mine ", ["mnist"]),
        ("hw2tune clean --only s", ["set-aside", "scratch"]),
        ("hw2tune study --warm-start mi", ["mine"]),
        ("hw2tune study --sampler g", ["grid", "gp"]),
        ("hw2tune check --pruner h", ["halving", "hyperband"]),
        ("hw2tune data fetch k", ["kmnist"]),
        ("hw2tune new mine --from q", ["quickstart"]),
        ("hw2tune status --format ", ["table", "json", "csv"]),
        ("hw2tune study --log w", ["wandb"]),
        ("hw2tune reproduce ", ["mnist", "cifar10", "all"]),
        ("hw2tune status --wa", ["--watch"]),
    ],
)
def test_a_shell_is_offered(place, line, offered):
    found, _ = complete(line, place)
    assert sorted(found) == sorted(offered)


def test_nothing_heavy_is_imported_for_a_press_of_tab(place):
    for line in ("hw2tune study ", "hw2tune data fetch ", "hw2tune status ", "hw2tune study --sampler "):
        found, err = complete(line, place, (sys.executable, "-c", LISTING))
        assert found
        heavy = {"torch", "ray", "optuna", "pandas", "numpy", "matplotlib", "scipy", "psutil"}  # Typer needs pydantic
        assert not set(err.split()) & heavy, line


def test_the_names_are_those_that_there_are():
    assert list(names.SAMPLERS) == list(SAMPLERS) and list(names.PRUNERS) == list(PRUNERS)
    assert list(names.LEFTOVERS) == list(KINDS)


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
def test_completion_is_installed_in_a_home_and_bash_uses_it(place, tmp_path):
    script = "eval \"$('" + str(SCRIPT) + "' --show-completion bash)\"; "
    asks = (
        'COMP_WORDS=(hw2tune status mi); COMP_CWORD=2; PATH="' + str(SCRIPT.parent) + ':$PATH"; '
        "_hw2tune_completion hw2tune mi status; echo ${COMPREPLY[@]}"
    )
    home = environment(HOME=str(tmp_path), SHELL="/bin/bash")
    installed = subprocess.run(
        ["bash", "-c", f"'{SCRIPT}' --install-completion; exit $?"],  # it asks which shell has started it
        capture_output=True, text=True, env=home, cwd=place,
    )  # fmt: skip
    assert installed.returncode == 0, installed.stdout + installed.stderr
    assert (
        "completion installed" in installed.stdout
        and ".bash_completions/hw2tune.sh" in (tmp_path / ".bashrc").read_text()
    )
    for begin in (f"source {tmp_path}/.bashrc; ", script):
        bash = subprocess.run(["bash", "-c", begin + asks], capture_output=True, text=True, env=home, cwd=place)
        assert bash.stdout == "mine\n", bash.stderr
