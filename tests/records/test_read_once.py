"""A command parses a study file, and reads its journal, once: what it has read is handed on."""

import shutil
import tomllib
from collections import Counter
from importlib import metadata
from pathlib import Path

import pytest
from optuna.storages.journal import JournalFileBackend

from hw2tune import api
from hw2tune.events import Listeners
from hw2tune.execution.request import Request
from hw2tune.integrations.dashboard.folders import ShownFolders
from hw2tune.records.layout import StudyFolder
from hw2tune.records.overview import read_overview
from hw2tune.resources import ResourceRequest
from tests.command_line import hw2tune as command
from tests.execution.test_arms import FILE, Executor, run
from tests.without_ray import WithoutRay

WRITTEN = Path(__file__).parents[1] / "version_83dc8fd"
TORCH = "2.15.0"  # with which its replicates were trained


@pytest.fixture
def results(tmp_path) -> Path:
    for name in ("tiny", "shared"):
        shutil.copytree(WRITTEN / name, tmp_path / name)
    return tmp_path


@pytest.fixture
def reads(monkeypatch) -> Counter[str]:
    """How often a study file was parsed, and a journal read."""
    count, parse, read = Counter[str](), tomllib.loads, JournalFileBackend.read_logs

    def counted_parse(text):
        count["study file"] += 1
        return parse(text)

    def counted_read(self, start):
        count["journal"] += 1
        return read(self, start)

    monkeypatch.setattr(tomllib, "loads", counted_parse)
    monkeypatch.setattr(JournalFileBackend, "read_logs", counted_read)
    return count


@pytest.mark.parametrize(("names", "studies"), [(["tiny"], 1), ([], 2)])
def test_status_reads_each_study_once(results, reads, names, studies):
    assert command("status", *names, "--results-dir", results, cwd=results).returncode == 0
    assert reads == {"study file": studies, "journal": studies}


def test_summarize_reads_a_study_once_when_nothing_is_to_be_trained(results, reads, monkeypatch):
    version = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: TORCH if name == "torch" else version(name))
    with WithoutRay(ResourceRequest(), Listeners()) as connection:
        api.replicate_study("tiny", replicates=2, race=3, results_dir=results, connection=connection)
    assert reads == {"study file": 1, "journal": 1}


@pytest.fixture
def file(results) -> Path:
    """The study file of the user who ran `tiny`."""
    shutil.copy(results / "tiny" / "code" / "net.py", results)
    return shutil.copy(results / "tiny" / "study.toml", results / "again.toml")


def test_check_parses_the_users_file_the_studys_own_and_those_of_other_studies_once_each(results, file, reads):
    """The replicates of `shared` could tell how much differences spread."""
    api.check_study(Request(study=str(file), overrides={"name": "tiny"}, results=results))
    assert reads == {"study file": 3, "journal": 1}


def test_so_does_the_run_of_a_finished_study(results, file, reads):
    assert api.run_study(file, name="tiny", results_dir=results).state == "complete"
    assert reads == {"study file": 2, "journal": 1}


def test_the_run_of_an_unfinished_study_reads_its_whole_journal_to_look_at_it_and_to_write_to_it(tmp_path, monkeypatch):
    """Afterwards it reads what was added."""
    text, read, whole = FILE[: FILE.index("[arms")], JournalFileBackend.read_logs, list[int]()
    run(tmp_path, Executor(ends_at=2), text=text)

    def counted(self, start):
        whole.extend([1] * (start == 0))
        return read(self, start)

    monkeypatch.setattr(JournalFileBackend, "read_logs", counted)
    result = run(tmp_path, Executor(), text=text)
    assert len(whole) == 2
    assert [row.state for row in result.overview.rows] == 3 * ["complete"]
    assert result.overview == read_overview(result.overview.folder)


def test_the_dashboard_reads_a_study_once_until_it_changes(results, reads):
    shown = ShownFolders(results, ["tiny"])
    for _ in range(2):
        assert [folder.name for folder in shown()] == ["tiny"]
    assert reads == {"study file": 1, "journal": 1}


def test_what_is_handed_on_is_read_again_after_a_change(results, reads):
    folder = StudyFolder(results / "tiny")
    known = read_overview(folder)
    assert read_overview(folder, known) is known
    assert reads == {"study file": 1, "journal": 1}
    lines = folder.journal.read_bytes().splitlines(keepends=True)
    folder.journal.write_bytes(b"".join(lines[: len(lines) // 2]))
    fewer = read_overview(folder, known)
    assert len(fewer.finished) < len(known.finished) and fewer.study is known.study
    folder.study_file.write_text(folder.study_file.read_text().replace("trials = 3", "trials = 13"))
    assert read_overview(folder, fewer).study.trials == 13
    assert read_overview(folder, read_overview(StudyFolder(results / "shared"))).folder == folder


def test_what_another_machine_wrote_is_read_again_though_its_attributes_are_remembered(results, monkeypatch):
    """A network file system answers `stat` from its memory for seconds; who opens a file gets its present state."""
    folder, stat = StudyFolder(results / "tiny"), Path.stat
    known = read_overview(folder)
    before = {path: stat(path) for path in (folder.study_file, folder.journal)}
    monkeypatch.setattr(Path, "stat", lambda path, **how: before.get(path) or stat(path, **how))
    lines = folder.journal.read_bytes().splitlines(keepends=True)
    folder.journal.write_bytes(b"".join(lines[: len(lines) // 2]))
    assert len(read_overview(folder, known).finished) < len(known.finished)
