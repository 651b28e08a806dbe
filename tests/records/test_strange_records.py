"""Records that hw2tune does not write, as in a stranger's folder: they cost their own study a line, no other."""

import io
import json
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from hw2tune.cli import app
from hw2tune.console import _tell
from hw2tune.errors import StudyFileError
from hw2tune.events import Noted
from hw2tune.integrations.dashboard.folders import ShownFolders
from hw2tune.records.atomic import dump_record
from hw2tune.records.layout import StudyFolder
from hw2tune.records.lock import this_process
from hw2tune.terminal.formats import PlainConsole
from hw2tune.terminal.progress import Lines
from hw2tune.terminal.upkeep import _line, look_at
from tests.report.fake_study import write_fake_study

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_subnormal=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)
Look = Callable[[StudyFolder], dict[str, str]]
DEEP = b"[" * 100_000
# A network of this source ends Python's own parser with a MemoryError.
MINUSES = "x = " + "-" * 200_000 + "1\n"


@pytest.fixture(scope="module")
def strange(tmp_path_factory) -> StudyFolder:
    """A study beside a sound one, `mnist`."""
    results = tmp_path_factory.mktemp("results")
    write_fake_study(results, "mnist", trials=2, seeds=0)
    return write_fake_study(results, trials=2, seeds=0)


def faults_of(folder: StudyFolder, forms: Sequence[str] = ("table", "json", "csv")) -> dict[str, str]:
    """Look at all studies in every way; return why some cannot be read. The sound one must be there each time."""
    results = str(folder.root.parent)
    for form in forms:
        one = CliRunner().invoke(app, ["status", "quickstart", "--results-dir", results, "--format", form])
        assert one.exception is None or str(one.exception).startswith(f"{folder.root}"), one.exception
        every = CliRunner().invoke(app, ["status", "--results-dir", results, "--format", form])
        assert every.exception is None and "mnist" in every.output, every.exception
    overviews, faults = look_at(results, None)
    assert {"mnist", "quickstart"} == {one.folder.name for one in overviews if _line(one)} | faults.keys()
    shown = ShownFolders(results)
    assert "mnist" in {one.name for one in shown()} and shown.faults.keys() == faults.keys()
    return dict(faults)


def at_a_glance(folder: StudyFolder) -> dict[str, str]:
    return faults_of(folder, ["table"])


def with_strange(folder: StudyFolder, path: Path, content: bytes, look: Look = faults_of) -> dict[str, str]:
    before = path.read_bytes() if path.exists() else None
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    try:
        return look(folder)
    finally:
        path.unlink() if before is None else path.write_bytes(before)


def with_lines(folder: StudyFolder, change: Callable[[list[dict]], None], look: Look = faults_of) -> dict[str, str]:
    entries = [json.loads(line) for line in folder.journal.read_bytes().splitlines()]
    change(entries)
    return with_strange(folder, folder.journal, b"".join(json.dumps(one).encode() + b"\n" for one in entries), look)


def set_attributes(entries: list[dict], attributes: dict) -> None:
    for entry in entries:
        for kind in entry.keys() & {"user_attrs", "user_attr"}:  # of a new trial, and one that is set later
            entry[kind].update(
                {name: attributes[name] for name in attributes if kind[-1] == "s" or name in entry[kind]}
            )


@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_a_strange_value_anywhere_in_the_journal(strange, data):
    def change(entries: list[dict]) -> None:
        entry = entries[data.draw(st.integers(0, len(entries) - 1))]
        name = data.draw(st.sampled_from(sorted(entry)))
        if isinstance(entry[name], dict) and entry[name]:  # an attribute: its value
            entry, name = entry[name], data.draw(st.sampled_from(sorted(entry[name])))
        entry[name] = data.draw(VALUES)

    with_lines(strange, change, at_a_glance)


@pytest.mark.parametrize("values", [None, [], ["a"], [None, 1]])
def test_strange_values_of_complete_trials_hide_their_study_from_nobody(strange, values):
    def change(entries: list[dict]) -> None:
        for entry in entries:
            if entry.get("values"):
                entry["values"] = values

    assert with_lines(strange, change, at_a_glance) == {}


@settings(max_examples=10, deadline=None)
@given(field=st.sampled_from(["host", "pid", "started", "boot", "namespace", "since"]), value=VALUES)
def test_a_strange_value_in_the_record_of_who_runs_it(strange, field, value):
    record = json.loads(dump_record(this_process())) | {field: value}
    with_strange(strange, strange.root / "running.json", json.dumps(record).encode(), at_a_glance)


@pytest.mark.parametrize("attribute", [{"label": ["a"]}, {"label": {}}, {"reason": [1]}, {"seconds": "long"}])
def test_an_attribute_of_another_type_is_named(strange, attribute):
    (fault,) = with_lines(strange, lambda entries: set_attributes(entries, attribute)).values()
    assert fault.startswith(f"{strange.root}: holds a record that hw2tune does not write (")
    assert fault.endswith("); put a copy in its place, or set the study aside with --fresh")


@settings(max_examples=10, deadline=None)
@given(control=st.characters(categories=["Cc"], exclude_characters="\t\n"))
def test_no_control_character_of_a_record_reaches_the_terminal(strange, control):
    text = f"\x1b]52;c;cm0gLXJm\x07\x1b[2K\u202e{control}"  # clipboard, line, direction of writing
    told = io.StringIO()
    Lines(PlainConsole(file=told, width=200))(Noted(text=text))

    def change(entries: list[dict]) -> None:
        set_attributes(entries, {"reason": text, "label": text})

    def look(folder: StudyFolder) -> dict[str, str]:
        for words in ((), ("quickstart",), ("quickstart", "--format", "csv")):
            told.write(CliRunner().invoke(app, ["status", *words, "--results-dir", str(folder.root.parent)]).output)
        return {}

    owner = dump_record(replace(this_process(), host=text, boot=text, since=text)).encode()
    with_strange(strange, strange.root / "running.json", owner, look=lambda _: with_lines(strange, change, look=look))
    strays = {one for one in told.getvalue() if unicodedata.category(one) in ("Cc", "Cf")} - {"\n"}
    assert told.getvalue().count("]52;c;") >= 4 and not strays


def test_an_errors_line_holds_no_control_character(capsys):
    _tell(StudyFileError("x.toml: unknown key `\x1b]0;title\x07`\nx.toml: second line"))
    told = capsys.readouterr().err
    assert told == "hw2tune: x.toml: unknown key `\ufffd]0;title\ufffd`\nx.toml: second line\n"


def test_a_line_nested_too_deeply_is_named(strange):
    faults = with_strange(strange, strange.journal, strange.journal.read_bytes() + DEEP + b"\n")
    assert faults["quickstart"].startswith(f"{strange.root}: holds a record that hw2tune does not write (Recursion")


@pytest.mark.parametrize("content", [DEEP, b'{"host": 1, "pid": -5, "started": 0, "boot": ""}'])
def test_a_record_of_who_runs_it_that_cannot_be_one_is_none(strange, content):
    assert with_strange(strange, strange.root / "running.json", content) == {}


def test_code_that_pythons_parser_gives_up_on_ends_no_status(strange):
    toml = strange.study_file.read_text()
    assert 'model = "mnist_cnn"' in toml
    (strange.code).mkdir()
    (strange.code / "net.py").write_text(MINUSES)
    faults = with_strange(strange, strange.study_file, toml.replace('"mnist_cnn"', '"net.py:Net"').encode())
    (strange.code / "net.py").unlink()
    strange.code.rmdir()
    assert set(faults) <= {"quickstart"}  # read, or named; never an end for all
