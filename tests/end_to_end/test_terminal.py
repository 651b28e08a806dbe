"""A whole study with its report on a terminal: the live display draws over nothing that was printed."""

import os
import pty
import re
import threading

import pytest

from tests.end_to_end.command import Command
from tests.end_to_end.test_study import STUDY

pytestmark = [pytest.mark.ray, pytest.mark.matrix]


def test_outcome_and_claims_are_printed_behind_the_display(tmp_path):
    (tmp_path / "tiny.toml").write_text(STUDY)
    ours, its = pty.openpty()
    command = Command(
        "study", "tiny.toml", "--trials", 3, "--max-epochs", 2, "--summarize", "--replicates", 1, cwd=tmp_path,
        stdout=its, stderr=its, env={"TERM": "xterm", "COLUMNS": "200"},
    )  # fmt: skip
    os.close(its)
    shown: list[bytes] = []
    reader = threading.Thread(target=_read, args=(ours, shown))
    reader.start()
    assert command.process.wait(240) == 0
    reader.join()
    os.close(ours)
    left = "\n".join(screen(b"".join(shown).decode()))
    for pattern in (
        r"trial +validation +epoch.*\nbest +#\d.*\nbaseline +#0.*\nl2 +#1.*\n",
        r"files: ray_results/tiny\nnext: .*searches on\n",
        r"\n- Single run: L2 1e-4 changes.*\n- Single run: tuning .*\n- Single run: in the tuned .*"
        r"\nreport: ray_results/tiny/report/index.html",
    ):
        assert re.search(pattern, left), left


def screen(written: str) -> list[str]:
    """What stands on a terminal in the end: lines, carriage returns, and the moves and erasures of a live display."""
    lines, row, column = [""], 0, 0
    for part in re.findall(r"\x1b\[[?\d;]*[A-Za-z]|\r|\n|[^\x1b\r\n]+", written):
        if part == "\n":
            row, column = row + 1, 0
            lines += [""] * (row + 1 - len(lines))
        elif part == "\r":
            column = 0
        elif part.startswith("\x1b"):
            if part.endswith("A"):
                row = max(0, row - int(part[2:-1] or 1))
            elif part.endswith("K"):
                lines[row] = ""
        else:
            lines[row] = lines[row][:column].ljust(column) + part + lines[row][column + len(part) :]
            column += len(part)
    return lines


def _read(terminal: int, shown: list[bytes]) -> None:
    while True:
        try:
            content = os.read(terminal, 65536)
        except OSError:  # the other side is closed
            return
        if not content:
            return
        shown.append(content)
