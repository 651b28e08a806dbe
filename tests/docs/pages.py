"""The documents as tests read them: pages, their code blocks, and the comments that say what runs a block."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "benchmarks" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>not run|run by): (?P<reason>.+?) -->\n+)?"
    r"^(?P<fence>```+)(?P<language>[\w-]*)(?P<options>[^\n]*)\n(?P<text>.*?)^(?P=fence)$",
    re.DOTALL | re.MULTILINE,
)
WHOLE_PAGE = re.compile(r"^<!-- every block (?P<mark>not run|run by): (?P<reason>.+?) -->$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block. `mark` is `not run`, `run by` or None, `reason` what the comment says behind it."""

    page: Path
    line: int
    language: str
    title: str
    text: str
    mark: str | None
    reason: str

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def is_console(self) -> bool:
        return self.language in ("console", "sh", "bash", "shell")

    @property
    def commands(self) -> list[list[str]]:
        """Its commands in words; where lines begin with `$ ` the others are what was printed."""
        lines = self.text.replace("\\\n", " ").splitlines()
        if any(line.startswith("$ ") for line in lines):
            lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
        return [words for line in lines if (words := shlex.split(line, comments=True))]


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in its order."""
    text = page.read_text()
    whole = WHOLE_PAGE.search(text)
    mark, reason = (whole["mark"], whole["reason"]) if whole else (None, "")
    return [
        Block(
            page=page, line=text.count("\n", 0, found.start("fence")) + 1, language=found["language"],
            title="".join(re.findall(r'title="(.+?)"', found["options"])), text=found["text"],
            mark=found["mark"] or mark, reason=found["reason"] or reason,
        )
        for found in BLOCK.finditer(text)
    ]  # fmt: skip
