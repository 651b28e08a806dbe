"""Where a report is written: paths of every kind, an earlier report, and what may go wrong while it is drawn."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hw2tune.cli import app
from hw2tune.errors import NotWritableError, PathError
from hw2tune.records.atomic import write_atomically
from hw2tune.records.layout import StudyFolder
from hw2tune.report import outputs
from hw2tune.report.outputs import default_target, refuse_foreign, refuse_unwritable, replacing
from hw2tune.report.write import ReportFiles, write_report
from tests.report.fake_study import write_fake_study
from tests.report.html import parse

ODD = "my report #1 100% a&b? 'ä' \"日本\""


def summary(*figures: str) -> str:
    return json.dumps({"schema": 1, "studies": [{"tables": {}, "figures": [{"png": name} for name in figures]}]})


def written(target: Path, page: str, *figures: str) -> None:
    """A report in miniature: a page, its summary, its figures."""
    with replacing(target) as scratch:
        for name in figures:
            write_atomically(scratch / name, page)
        write_atomically(scratch / "summary.json", summary(*figures))
        write_atomically(scratch / "index.html", page)


def content(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


# An earlier report


def test_a_new_report_takes_the_place_of_the_earlier_one_and_leaves_the_users_files(tmp_path: Path) -> None:
    written(tmp_path, "first", "figures/a.png", "figures/b.png")
    (tmp_path / "figures" / "mine.png").write_text("mine")
    written(tmp_path, "second", "figures/b.png", "figures/c.png")
    assert content(tmp_path) == {
        "index.html": "second", "summary.json": summary("figures/b.png", "figures/c.png"),
        "figures/b.png": "second", "figures/c.png": "second", "figures/mine.png": "mine",
    }  # fmt: skip


def test_a_full_disk_in_mid_drawing_leaves_the_earlier_report_whole_and_says_so(tmp_path: Path) -> None:
    written(tmp_path, "first", "figures/a.png")
    before = content(tmp_path)
    with pytest.raises(NotWritableError) as raised, replacing(tmp_path) as scratch:
        write_atomically(scratch / "figures" / "a.png", "second")
        (scratch / "index.html").mkdir()  # in the way of a file, as a full disk is
        write_atomically(scratch / "index.html", "second")
    assert str(raised.value) == (
        f"{tmp_path}/index.html: cannot be written (Is a directory); an earlier report there stays as it was"
    )
    assert content(tmp_path) == before and not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_in_mid_drawing_leaves_the_earlier_report_whole(tmp_path: Path, stop: signal.Signals) -> None:
    written(tmp_path, "first", "figures/a.png")
    before = content(tmp_path)
    program = (
        "import signal, sys, time\nfrom pathlib import Path\nfrom hw2tune.report.outputs import replacing\n"
        "for number in (signal.SIGINT, signal.SIGTERM):  # as the console script does\n"
        "    signal.signal(number, signal.default_int_handler)\n"
        "with replacing(Path(sys.argv[1])) as scratch:\n"
        "    (scratch / 'index.html').write_text('second')\n    print('drawing', flush=True)\n    time.sleep(60)\n"
    )
    drawing = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert drawing.stdout is not None and drawing.stdout.readline() == b"drawing\n"
    written(tmp_path / "other", "another", "figures/a.png")
    drawing.send_signal(stop)
    drawing.communicate()
    left = {name: text for name, text in content(tmp_path).items() if not name.startswith((".drawing-", "other"))}
    assert left == before
    assert len(list(tmp_path.glob(".drawing-*"))) == (1 if stop == signal.SIGKILL else 0)
    written(tmp_path, "third", "figures/a.png")
    assert not list(tmp_path.glob(".drawing-*")) and (tmp_path / "index.html").read_text() == "third"


def test_two_that_draw_at_once_leave_each_other_alone(tmp_path: Path) -> None:
    with replacing(tmp_path) as scratch:
        write_atomically(scratch / "index.html", "first")
        write_atomically(scratch / "summary.json", summary())
        written(tmp_path, "second")
        assert scratch.is_dir()
    assert (tmp_path / "index.html").read_text() == "first"


def test_ctrl_c_while_files_are_moved_moves_them_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, "first", "figures/a.png", "figures/b.png")
    replace, calls = os.replace, []

    def interrupted_once(*paths: Path) -> None:
        calls.append(paths)
        if len(calls) == 5:  # three parts of files become files, then a figure is moved
            raise KeyboardInterrupt
        replace(*paths)

    monkeypatch.setattr(os, "replace", interrupted_once)
    with pytest.raises(KeyboardInterrupt):
        written(tmp_path, "second", "figures/b.png", "figures/c.png")
    monkeypatch.undo()
    assert content(tmp_path) == {
        "index.html": "second", "summary.json": summary("figures/b.png", "figures/c.png"),
        "figures/b.png": "second", "figures/c.png": "second",
    }  # fmt: skip


@pytest.mark.parametrize("earlier", [True, False])
def test_a_kill_between_two_moves_leaves_what_the_next_call_knows_as_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, earlier: bool
) -> None:
    for moves in range(1, 5):
        target = tmp_path / str(moves)
        if earlier:
            written(target, "first", "figures/a.png")
        killed_after(monkeypatch, moves, lambda at=target: written(at, "second", "figures/b.png", "figures/c.png"))
        there = content(target)
        if there.get("index.html") == "second":  # a page never names a figure that is not there
            assert {"figures/b.png", "figures/c.png"} <= there.keys()
        refuse_foreign(target)
        written(target, "third", "figures/d.png")
        assert content(target).keys() == {"index.html", "summary.json", "figures/d.png"}


def killed_after(monkeypatch: pytest.MonkeyPatch, moves: int, write: Callable[[], None]) -> None:
    """Writes a report in a process of its own that dies after so many files were put in their place."""
    if child := os.fork():
        assert os.waitpid(child, 0)[1] == 0
        return
    done: list[int] = []
    replace = os.replace

    def counted(source: Path, target: Path) -> None:
        if not str(source).endswith(f"{Path(target).name}.part"):  # not a part that becomes its file
            if len(done) == moves:
                os._exit(0)
            done.append(1)
        replace(source, target)

    monkeypatch.setattr(outputs.os, "replace", counted)
    write()
    os._exit(0)


# Paths


def refusal(folder: Path, output: str) -> str:
    """What `summarize --output` says; nothing is drawn."""
    done = CliRunner().invoke(app, ["summarize", "--from-files", str(folder / "quickstart"), "--output", output])
    assert isinstance(done.exception, PathError), done.exception
    return str(done.exception)


@pytest.fixture
def studied(tmp_path: Path) -> Path:
    write_fake_study(tmp_path, seeds=0, trials=2)
    return tmp_path


def test_a_folder_with_other_things_is_refused_and_nothing_in_it_is_touched(studied: Path) -> None:
    before = content(studied)
    told = "and a report is not mixed with other files; name a new or an empty folder"
    assert refusal(studied, str(studied)) == f"--output {studied}: holds no report but quickstart, {told}"
    study = studied / "quickstart"
    assert refusal(studied, str(study)) == (
        f"--output {study}: holds no report but environment.json, optuna.journal, study.toml and 1 more, {told}"
    )
    assert content(studied) == before


def test_a_file_a_file_above_and_a_link_to_nowhere_are_refused(studied: Path) -> None:
    toml, link = studied / "quickstart" / "study.toml", studied / "link"
    link.symlink_to(studied / "nowhere")
    for path in (toml, toml / "a" / "b"):
        assert refusal(studied, str(path)) == f"--output {path}: {toml} is a file; name a folder"
    assert refusal(studied, str(link)) == (
        f"report: {link} is a link to nowhere, and a folder is wanted there; move it away"
    )


def test_a_place_that_cannot_be_written_is_refused_before_anything_is_drawn(studied: Path) -> None:
    assert refusal(studied, "/proc/report") == (
        "report: /proc cannot be written to (No such file or directory); make it writable, or name another place"
    )


def test_no_name_the_home_of_nobody_and_a_name_that_is_too_long_are_refused(studied: Path) -> None:
    assert refusal(studied, "") == "--output '': is no path; leave it out, or name a folder"
    assert refusal(studied, "~nobody-at-all/r").startswith("--output ~nobody-at-all/r: there is no home folder")
    path = studied / ("x" * 300)
    assert refusal(studied, str(path)) == f"--output {path}: {path} cannot be looked into (File name too long)"


def test_a_folder_where_a_part_of_the_report_is_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "figures").write_text("")
    with pytest.raises(PathError, match=f"report: {tmp_path}/figures is a file, and a folder is wanted there"):
        refuse_unwritable(tmp_path)


def test_too_little_space_is_known_before_drawing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs, "SPACE", 10**18)
    with pytest.raises(PathError, match=r"a report takes about 1000000000000 MB, and [\d.]+ MB are free; make room"):
        refuse_unwritable(tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_looking_leaves_nothing_and_a_failure_removes_the_folders_it_made(tmp_path: Path) -> None:
    refuse_unwritable(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "a" / "b"):
        _ = 1 / 0
    assert list(tmp_path.iterdir()) == []


def test_thirty_studies_have_a_folder_that_the_file_system_takes(tmp_path: Path) -> None:
    folders = [StudyFolder(tmp_path / f"a-study-with-a-rather-long-name-{number}") for number in range(30)]
    names = {default_target(folders).name, default_target(folders[::-1]).name}
    assert len(names) == 2 and all(name.startswith("report-on-30-studies-") for name in names)


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ReportFiles]:
    """Two studies of odd folder names on one page in a folder of an odd name, through a relative path."""
    results = tmp_path_factory.mktemp("results")
    folder = write_fake_study(results, seeds=0, trials=2)
    shutil.copytree(folder.root, results / ODD)
    here = Path.cwd()
    os.chdir(results.parent)
    try:
        files = write_report([folder, StudyFolder(results / ODD)], Path(ODD))
    finally:
        os.chdir(here)
    return results, files


def test_a_report_elsewhere_has_links_that_lead_to_its_files(elsewhere: tuple[Path, ReportFiles]) -> None:
    from urllib.parse import unquote, urljoin, urlsplit

    results, files = elsewhere
    page = results.parent / files.page
    links = [link.attributes["href"] for link in parse(page.read_text(encoding="utf-8")).all("a")]
    links = [link for link in links if not link.startswith("#")]
    assert len(links) > 8
    for link in links:  # as a browser reads them
        address = urlsplit(urljoin(page.as_uri(), link))
        assert not address.query and not address.fragment and Path(unquote(address.path)).is_file(), link


def test_a_report_elsewhere_leaves_the_study_as_it_was_and_names_no_path_of_the_machine(
    elsewhere: tuple[Path, ReportFiles],
) -> None:
    results, files = elsewhere
    assert not list(results.glob("**/report*"))
    for name in ("index.html", "summary.json", "summary.md"):
        assert str(results) not in (results.parent / files.page.parent / name).read_text(encoding="utf-8")


def test_summarize_writes_where_output_says_through_a_tilde(studied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(studied / "home"))
    arguments = ["summarize", "--from-files", str(studied / "quickstart"), "--output", "~/a b/r", "--json"]
    for _ in range(2):  # the second call finds the report of the first
        done = CliRunner().invoke(app, arguments)
        assert done.exception is None and json.loads(done.stdout)["schema"] == 2
    assert (studied / "home" / "a b" / "r" / "index.html").is_file()
    assert not (studied / "quickstart" / "report").exists()
