"""What is released: the wheel and the sdist, built as `uv build` does, and what is in them."""

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from hw2tune.study.documentation import SCHEMA
from hw2tune.study.file import shipped_studies

pytestmark = pytest.mark.machines
ROOT = Path(__file__).parents[1]
COMMIT = {"hw2tune/commit.txt"} if (ROOT / ".git").exists() else set()
DATA = {".j2", ".css", ".js", ".csv", ".bib", ".typed"}  # what the package holds besides code


def tool(*arguments: object) -> str:
    """A command of the environment's; its output."""
    name, *rest = map(str, arguments)
    ended = subprocess.run([Path(sys.executable).with_name(name), *rest], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> tuple[Path, Path]:
    """Wheel and sdist, the wheel from the sdist. Without a network: the build's one requirement is in uv's cache."""
    if (uv := shutil.which("uv")) is None:
        pytest.skip("uv is not installed")
    place = tmp_path_factory.mktemp("built")
    command = [uv, "build", "--offline", "--quiet", "--out-dir", place, ROOT]
    ended = subprocess.run(command, capture_output=True, text=True)
    if "hatchling" in ended.stderr and ended.returncode:
        pytest.skip("hatchling is not in uv's cache")
    assert ended.returncode == 0, ended.stderr
    return next(place.glob("*.whl")), next(place.glob("*.tar.gz"))


def names_in(wheel: Path) -> set[str]:
    return {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}


def test_the_wheel_holds_the_package_with_its_data_and_nothing_else(built):
    package = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "hw2tune").rglob("*")
        if path.suffix in {".py", *DATA} and "__pycache__" not in path.parts
    }
    studies = {f"hw2tune/shipped_studies/{name}.toml" for name in shipped_studies()}
    assert len(studies) >= 4 and "hw2tune/py.typed" in package and "hw2tune/report/templates/page.html.j2" in package
    assert names_in(built[0]) == package | studies | {f"hw2tune/{SCHEMA}"} | COMMIT


def test_the_sdist_makes_the_same_wheel_as_the_checkout_and_holds_what_tests_need(built, tmp_path):
    subprocess.run(["uv", "build", "--offline", "--quiet", "--wheel", "--out-dir", tmp_path, ROOT], check=True)
    again, wheel = (zipfile.ZipFile(path) for path in (next(tmp_path.glob("*.whl")), built[0]))
    assert sorted(again.namelist()) == sorted(wheel.namelist())

    def lines(archive: zipfile.ZipFile, name: str) -> list[bytes]:
        return sorted(archive.read(name).splitlines())  # RECORD has them in the order in which they were found

    assert not [name for name in wheel.namelist() if lines(again, name) != lines(wheel, name)]
    with tarfile.open(built[1]) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert {"tests/test_wheel.py", "studies/mnist.toml", "deploy/rayjob.yaml", "docs/tutorial.md", "LICENSE"} <= names
    assert not [name for name in names if name.startswith(("dist/", "data/", ".git/")) or name == "uv.lock"]


def test_the_registrys_own_checks_pass(built):
    assert tool("twine", "check", "--strict", *built).count("PASSED") == 2
    assert "OK" in tool("check-wheel-contents", built[0])


def test_what_the_registry_shows_is_true(built):
    from email.parser import Parser

    import hw2tune

    wheel = zipfile.ZipFile(built[0])
    (place,) = [name for name in wheel.namelist() if name.endswith("METADATA")]
    shown = Parser().parsestr(wheel.read(place).decode())
    assert (shown["Name"], shown["Version"], shown["License-Expression"]) == ("hw2tune", hw2tune.__version__, "MIT")
    supported = {line.rpartition(" ")[2] for line in shown.get_all("Classifier") if "Python :: 3." in line}
    assert supported == {"3.11", "3.12", "3.13"} and shown["Requires-Python"] == "<3.14,>=3.11"
    citation = (ROOT / "CITATION.cff").read_text()
    assert f"\nversion: {shown['Version']}\n" in citation and "\nlicense: MIT\n" in citation
