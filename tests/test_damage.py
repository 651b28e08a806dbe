"""Every file that is read back, in every state in which a crash or a stranger may leave it, under every command."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hw2tune.cli import app
from hw2tune.data.load import load_dataset
from hw2tune.errors import Hw2tuneError
from tests.report.fake_study import write_fake_study

FILES = (
    "study.toml", "optuna.journal", "environment.json", "running.json", "mirror.json", "trials.csv", "lock",
    "trials/0/result.json", "trials/0/params.json", "trials/0/last.pt", "trials/0/best.pt", "replicates/current.json",
    "replicates/race.json", "dataset.json", "replicates/gallery.npz", "replicates/pixels.npz",
    "replicates/tuned/1/replicate.json", "replicates/tuned/1/arrays.npz",
)  # fmt: skip
NAMED = ("study.toml", "optuna.journal")  # nothing can be said of a study without them
COMMANDS = (
    ("status",), ("status", "quickstart"), ("status", "--json"), ("check", "quickstart", "--trials", "10"),
    ("study", "quickstart", "--trials", "10"),
)  # fmt: skip


def empty(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: max(1, path.stat().st_size // 2)])


def rubbish(path: Path) -> None:
    path.write_bytes(b"\xff\xfe\x00\x81" * 40)


def another_shape(path: Path) -> None:
    path.write_text("[[]]\n")


def a_later_version(path: Path) -> None:
    if path.suffix == ".json" and path.name != "result.json":
        path.write_text(json.dumps(json.loads(path.read_text()) | {"schema": 99, "later": {"than": "we"}}))


def a_folder(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.mkdir()


def a_link_to_nowhere(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to("nowhere")


@pytest.fixture(scope="module")
def two_studies(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("sound")
    folder, data = write_fake_study(place / "ray_results", trials=10), load_dataset("mnist-5k", download=False)
    for path in (folder.environment, folder.datasets[0]):  # the study goes on with the images that it had
        text = path.read_text().replace("sha256:00", data.checksum).replace("sha256:11", data.split_checksum)
        path.write_text(text)
    write_fake_study(place / "ray_results", "mnist", trials=3)
    return place


def faults_under(place: Path, file: str, damage: Callable[[Path], None]) -> Iterator[str]:
    for command in COMMANDS:
        if command[0] == "study" and (file, damage) == ("optuna.journal", cut):
            continue  # the trials whose end is lost are trained again
        what = f"{' '.join(command)} with {file} {damage.__name__}"
        told = CliRunner().invoke(app, command)
        said = told.output + str(told.exception)
        if told.exception and not isinstance(told.exception, Hw2tuneError | SystemExit):
            yield f"{what}: {told.exception!r}"
        elif told.exception and file in NAMED and damage is not a_later_version and file not in said:
            yield f"{what}: not named: {said}"
        elif command == ("status",) and ("mnist" not in said or told.exit_code):
            yield f"{what}: hides the other study: {said}"


@pytest.mark.parametrize(
    "damages",
    [
        pytest.param((cut,), id="the likeliest"),
        pytest.param(
            (another_shape, empty, rubbish, a_later_version, a_folder, a_link_to_nowhere),
            id="others",
            marks=pytest.mark.matrix,
        ),
    ],
)
@pytest.mark.parametrize("file", FILES)
def test_no_damaged_file_stops_more_than_its_own_study(two_studies, monkeypatch, file, damages):
    monkeypatch.chdir(two_studies)
    path = two_studies / "ray_results" / "quickstart" / file
    before = path.read_bytes() if path.exists() else None
    faults = []
    for damage in damages:
        path.write_bytes(b"{}" if before is None else before)
        damage(path)
        faults += faults_under(two_studies, file, damage)
        path.rmdir() if path.is_dir() else path.unlink()
    if before is not None:
        path.write_bytes(before)
    assert not faults, "\n".join(faults)
