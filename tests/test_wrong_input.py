"""Whatever a user may type that cannot be: every command refuses it in words, and none calls it a fault of ours."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hw2tune.cli import app
from hw2tune.errors import Hw2tuneError, StoreError
from hw2tune.records.remote.store import open_store
from tests.report.fake_study import write_fake_study

PLACES = (
    "", " ", "a\0b", "~nobody-of-this-name/x", "file", "file/x", "loop", "loop/x", "x" * 300, "dangling/x", "\udcff",
    "/proc/x", "/dev/null",
)  # fmt: skip
URLS = ("s3://", "://", "ftp://example.org/x", "http://127.0.0.1:1/x", "file://", "s3:///x", "://x", "file:///proc/x/y")
NAMES = (
    "", " ", ".", "..", "../x", "/", "a b", "-", "nope", "x" * 300, "file", "folder", "folder.toml", "binary.toml",
    "empty.toml", "list.toml", "loop.toml", "gone.toml", "\u2603", "s3://x/y.toml", "a\nb", "a\0b", "file/x.toml",
    "null.toml", "deep.toml", "long.toml",
)  # fmt: skip
NUMBERS = ("", "x", "-1", "0", "nan", "inf", "-inf", "1e999", "0x10", "1_0", "\u0663", str(10**30))
DURATIONS = ("", "5x", "-3s", "1h1h", "nan", "inf", "s", "1e999s", "0s")
ADDRESSES = ("", " ", ":", "x", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:99999", "127.0.0.1:1", "ray://127.0.0.1:1",
             "http://", "https://127.0.0.1:1", "http://[", "ftp://x", "a\0b", "[::1]:1", "local")  # fmt: skip
NUMBER_OPTIONS = {
    "study": ("trials", "max-epochs", "seed", "cpus-per-trial", "gpus-per-trial", "concurrency", "retries"),
    "check": ("trials", "max-epochs", "seed", "cpus-per-trial", "gpus-per-trial", "concurrency"),
    "summarize": ("replicates", "most", "race", "cpus-per-trial", "gpus-per-trial", "concurrency"),
    "reproduce": ("replicates", "max-epochs", "cpus-per-trial", "gpus-per-trial", "concurrency"),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with a study in its results, and what people have lying about."""
    place = tmp_path_factory.mktemp("wrong")
    write_fake_study(place / "ray_results", trials=10, seeds=0)
    (place / "file").write_text("text")
    (place / "folder").mkdir()
    (place / "folder.toml").mkdir()
    (place / "binary.toml").write_bytes(b"\x00\xff" * 50)
    (place / "empty.toml").touch()
    (place / "list.toml").write_text("space = []\npublished = 3\nname = []\n")
    (place / "null.toml").write_bytes(b"\0" * 10)
    (place / "deep.toml").write_text("x = " + "[" * 2000 + "]" * 2000)
    (place / "long.toml").write_text("trials = " + "9" * 5000)
    for loop in ("loop", "loop.toml"):
        (place / loop).symlink_to(loop)
    (place / "dangling").symlink_to("nowhere")
    return place


def wrong() -> Iterator[tuple[str, ...]]:
    """Commands none of which can be done."""
    for name in NAMES:
        for command in ("study", "check", "status", "summarize", "reproduce"):
            yield command, "--", name
        yield "data", "fetch", "--", name
        yield "export", "--to", "x.pt2", "--", name
        yield "predict", "--", name, "file"
        yield "rerun", "--", name, "0"
        yield "compare", "--", name, "quickstart"
        yield "paper", "--to", "paper", "--", name
    for where in (*PLACES, *URLS):
        for command in (("study", "nope"), ("check", "nope"), ("status", "nope"), ("summarize", "nope")):
            yield *command, "--results-dir", where
    for where in PLACES:
        yield "check", "nope", "--data-dir", where
        yield "summarize", "nope", "--data-dir", where
        yield "summarize", "nope", "--output", where
        yield "summarize", "--from-files", where
        yield "data", "fetch", "nope", "--data-dir", where
        yield "export", "quickstart", "--to", where
        if where != "\udcff":  # which a disk takes
            yield "paper", "quickstart", "--to", where
        yield "export", "quickstart", "--to", f"{where}/x.onnx"
    for where in URLS:
        yield "summarize", "--from-files", where
    for command, options in NUMBER_OPTIONS.items():
        for option in options:
            for number in NUMBERS:
                target = () if command == "summarize" else ("mnist",) if command == "reproduce" else ("nope",)
                if number in ("-1", "", "x", "nan", "-inf") or option == "cpus-per-trial":
                    yield command, *target, f"--{option}", number, "--results-dir", "file"
    for duration in DURATIONS:
        yield "study", "nope", "--time-budget", duration
    for address in ADDRESSES:
        yield "study", "quickstart", "--trials", "12", "--address", address
        yield "summarize", "quickstart", "--address", address
    yield from [("study", "quickstart", "--attach"), ("study", "quickstart", "--logs"), ("status", "--json", "nope")]


SLOW = ("study", "summarize")  # 200 inputs and more


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(command, marks=[pytest.mark.matrix] if command in SLOW else [])
        for command in sorted({words[0] for words in wrong()})
    ],
)
def test_what_cannot_be_done_is_refused_in_words(place, command, monkeypatch):
    monkeypatch.chdir(place)
    faults = []
    for words in wrong():
        if words[0] != command:
            continue
        ended = CliRunner().invoke(app, words)
        known = isinstance(ended.exception, Hw2tuneError) or ended.exit_code == 2
        text = str(ended.exception) if isinstance(ended.exception, Hw2tuneError) else ended.output
        if not known or not text.strip() or "Traceback" in text or "our fault" in text:
            faults.append((words, ended.exit_code, repr(ended.exception)[:300]))
    assert not faults, "\n".join(map(str, faults))


def test_a_url_without_a_bucket_is_refused_at_once():
    with pytest.raises(StoreError) as refused:
        open_store("s3://")
    assert str(refused.value) == "s3://: names no bucket; write s3://bucket/studies"
