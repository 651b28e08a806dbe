"""Every console block of the documents is run: here in an empty folder, or by a test that a comment names.

<!-- run by: tests/end_to_end/test_study.py::test_name -->    before a block that another test runs
<!-- not run: a reason -->                                    before one that nothing runs
    <!-- every block run by: ... -->, <!-- every block not run: ... -->    on a page whose blocks are all of one kind
"""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from hw2tune.cli import app
from tests.docs.pages import PAGES, ROOT, blocks

CHEAP = {"new", "check", "status", "data", "doctor", "--help", "--version"}
CONSOLE = [block for page in PAGES for block in blocks(page) if block.is_console]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_that_no_comment_speaks_of_run_in_an_empty_folder(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HW2TUNE_CACHE", str(tmp_path / "cache"))  # other tests' folders are gone
    monkeypatch.delenv("HW2TUNE_DATA", raising=False)  # the real data sets would be decoded for nothing
    write_files(page, tmp_path)
    for block in blocks(page):
        for words in block.commands if block.is_console and block.mark is None else []:
            arguments = cheap_arguments(words)
            assert arguments is not None, (
                f"{block.place}: `{' '.join(words)}` is run by nothing; a comment before the block says what runs it, "
                "or why nothing does: see tests/docs/test_blocks.py"
            )
            ended = CliRunner().invoke(app, arguments)
            assert ended.exit_code == 0, f"{block.place}: {' '.join(words)}: {ended.exception!r}\n{ended.output}"


@pytest.mark.parametrize("block", [one for one in CONSOLE if one.mark], ids=lambda block: block.place)
def test_a_comment_names_a_test_that_is_there_or_a_reason(block):
    if block.mark == "run by":
        file, _, name = block.reason.partition("::")
        text = (ROOT / file).read_text()
        assert f"def {name}" in text, f"{block.place}: {file} has no test {name}"
    else:
        assert len(block.reason.split()) >= 3, f"{block.place}: `{block.reason}` is no reason"


def test_blocks_are_found_with_their_comments(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "a\n<!-- not run: it is too long -->\n```console\nx --y \\\n  z  # why\n```\n```sh\n$ a\nb\n$ c\n```\n"
    )
    marked, session = blocks(page)
    assert (marked.line, marked.mark, marked.reason, marked.commands) == (
        3, "not run", "it is too long", [["x", "--y", "z"]],
    )  # fmt: skip
    assert session.mark is None and session.commands == [["a"], ["c"]]
    page.write_text("<!-- every block run by: tests/test_cli.py -->\n" + page.read_text())
    assert [(one.mark, one.reason) for one in blocks(page)] == [
        ("not run", "it is too long"), ("run by", "tests/test_cli.py"),
    ]  # fmt: skip


def write_files(page: Path, folder: Path) -> None:
    """The files that a page tells the reader to write: blocks with a title."""
    for block in blocks(page):
        if block.title:
            (folder / block.title).write_text(block.text)


def cheap_arguments(words: list[str]) -> list[str] | None:
    """The arguments of a command of hw2tune that takes no longer than a moment; None for any other."""
    words = words[2:] if words[:2] == ["uv", "run"] else words
    cheap = words[0] == "hw2tune" and len(words) > 1 and words[1] in CHEAP and "fetch" not in words
    return words[1:] if cheap else None
