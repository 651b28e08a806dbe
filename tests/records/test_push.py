"""What a push to a URL reads, holds and writes of a large study."""

import dataclasses
import json
import sys
import time
import tracemalloc
from pathlib import Path

import pytest

from hw2tune.records.atomic import write_atomically
from hw2tune.records.layout import StudyFolder
from hw2tune.records.remote import working_copy
from hw2tune.records.remote.runs import Manifest
from hw2tune.records.remote.store import Store, open_store
from hw2tune.records.remote.working_copy import Mirror
from hw2tune.records.trials.epochs import DIGEST, append_epoch, digest, find_checkpoint, write_checkpoint

MB = 1_000_000


@pytest.fixture
def mirror(tmp_path: Path) -> Mirror:
    """A run of study `tiny`, which has pushed nothing."""
    mirror = Mirror(open_store(f"file://{tmp_path}/store"), "tiny", tmp_path / "work")
    mirror.claim()
    mirror.fetch()
    return mirror


def there(mirror: Mirror) -> StudyFolder:
    """The files of the run in the store."""
    store: Store = mirror.study.store
    return StudyFolder(Path(store.base, "tiny/runs", mirror.run.id, "tiny"))


def test_a_push_holds_a_part_of_one_file_at_a_time(mirror, monkeypatch):
    monkeypatch.setattr(working_copy, "PART_BYTES", MB)
    for number in range(3):
        trial = mirror.folder.trial(number)
        for epoch in (1, 2):
            write_checkpoint(trial, bytes(20 * MB))
            append_epoch(trial, {"epoch": epoch, DIGEST: digest(bytes(20 * MB))})
    mirror.folder.journal.write_bytes(b"1\n" * (10 * MB))
    tracemalloc.start()
    mirror.push()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * MB  # of 140 that are written
    assert there(mirror).journal.read_bytes() == b"1\n" * (10 * MB)
    for number in range(3):
        for path in ("last.pt", "previous.pt", "result.json"):
            pushed, here = (folder.trial(number).root / path for folder in (there(mirror), mirror.folder))
            assert pushed.read_bytes() == here.read_bytes()


def test_a_file_that_is_replaced_within_a_second_is_pushed_though_its_version_is_the_same(mirror):
    """As on file systems that keep whole seconds."""
    second, last = int(time.time()) + 60, mirror.folder.trial(0).last  # however slow this machine is
    for content in (b"state 1", b"state 2"):
        write_atomically(last, content, modified=second * 10**9)
        mirror.push()
        assert there(mirror).trial(0).last.read_bytes() == content
    pushes = mirror.run.push
    mirror.looked = (second + 3) * 10**9
    mirror.push()
    assert mirror.run.push == pushes  # what is older is not written once more


def test_checkpoint_and_journal_that_go_on_while_a_push_writes_stay_behind_the_lines(mirror, monkeypatch):
    trial, write = mirror.folder.trial(0), Store.write

    def epoch(number: int) -> None:
        content = b"state %d" % number
        append_epoch(trial, {"epoch": number, DIGEST: digest(content)})
        write_checkpoint(trial, content)
        with mirror.folder.journal.open("ab") as journal:
            journal.write(b"%d\n" % number)

    def write_and_go_on(store, key, content):
        write(store, key, content)
        if key.endswith("result.json"):
            epoch(2)
            epoch(3)

    epoch(1)
    monkeypatch.setattr(Store, "write", write_and_go_on)
    mirror.push()
    assert find_checkpoint(there(mirror).trial(0)).content == b"state 1"
    assert there(mirror).journal.read_bytes() == b"1\n"
    monkeypatch.setattr(Store, "write", write)
    mirror.push()
    assert find_checkpoint(there(mirror).trial(0)).content == b"state 3"
    assert there(mirror).journal.read_bytes() == b"1\n2\n3\n"


def test_looking_for_changes_takes_few_calls_a_file(mirror):
    files = 2000
    for number in range(files // 4):
        trial = mirror.folder.trial(number)
        trial.root.mkdir(parents=True)
        for name in ("params.json", "result.json", "best.npz", "error.txt"):
            (trial.root / name).write_text("1")
    mirror.push()
    mirror.looked += working_copy.COARSE  # where times are whole seconds, files of this moment would count as changed
    (mirror.folder.trial(7).root / "result.json").write_text("12")
    calls = 0

    def count(frame, event, argument):
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        mirror.push()
    finally:
        sys.setprofile(None)
    assert (there(mirror).trial(7).root / "result.json").read_text() == "12"
    assert calls < 15 * files  # 256 with pathlib's walk, a pattern a file and copies of the list as dataclasses


def test_files_of_this_place_and_half_written_ones_are_not_pushed(mirror, tmp_path):
    for path in ("lock", "running.json", "a.part", "x.part/a", "arms/one/lock"):
        (mirror.folder.root / path).parent.mkdir(parents=True, exist_ok=True)
        (mirror.folder.root / path).write_text("1")
    for path in ("study.toml", "logs/lock/events", "arms/one/study.toml"):
        (mirror.folder.root / path).parent.mkdir(parents=True, exist_ok=True)
        (mirror.folder.root / path).write_text("1")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/a").write_text("1")
    (mirror.folder.root / "link").symlink_to(tmp_path / "elsewhere")
    mirror.push()
    pushed = {path.relative_to(there(mirror).root).as_posix() for path in there(mirror).root.rglob("*")}
    assert {path for path in pushed if (there(mirror).root / path).is_file()} == {
        "study.toml", "logs/lock/events", "arms/one/study.toml",
    }  # fmt: skip
    manifest = json.loads((there(mirror).root.parent / "files.json").read_text())
    assert manifest == json.loads(json.dumps(dataclasses.asdict(mirror.synced)))
    assert manifest.keys() == {field.name for field in dataclasses.fields(Manifest)}
