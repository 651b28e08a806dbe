"""README's two pictures from a real run: `uv run python -m benchmarks.pictures`; needs Chromium.

`quickstart` runs in a temporary folder with hw2tune's own live display; docs/terminal.svg is that display in the last
moment at which every slot had a trial with an epoch behind it, docs/report.png the top of the report.
"""

from __future__ import annotations

import contextlib
import io
import re
import subprocess
import tempfile
from pathlib import Path

from PIL import Image
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

import hw2tune
from hw2tune.events import EpochFinished, Event, StudyStarted
from hw2tune.terminal.plan import print_plan
from hw2tune.terminal.progress import Display

DOCS = Path(__file__).parents[1] / "docs"
COMMAND = "hw2tune study quickstart --summarize"
WIDTH = 104  # columns
PAGE = (1120, 700)  # CSS pixels of the window
TOP = 600  # of the picture, which ends before the sentences
CHROMIUM = (
    "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip


class Camera:
    """A listener that keeps the live display's picture of the last busy moment."""

    def __init__(self) -> None:
        self.display = Display(Console(file=io.StringIO(), highlight=False, markup=False))
        self.plan: StudyStarted | None = None
        self.svg = ""

    def __call__(self, event: Event) -> None:
        self.display(event)
        if isinstance(event, StudyStarted):
            self.plan = event
        running, records = self.display.board.running, self.display.board.records
        slots = self.plan.capacity.concurrency if self.plan else 0
        if isinstance(event, EpochFinished) and len(running) == slots and running.keys() <= records.keys():
            self.svg = self._picture()

    def _picture(self) -> str:
        """What the terminal shows now. Without rich's fonts, which a reader's browser would fetch from elsewhere."""
        screen = Console(
            record=True, file=io.StringIO(), width=WIDTH, force_terminal=True, color_system="truecolor",
            highlight=False, markup=False,
        )  # fmt: skip
        screen.print(Text(f"$ {COMMAND}", style="bold"))
        assert self.plan is not None, "no study has started"
        print_plan(self.plan, screen)
        screen.print(self.display.board)
        svg = screen.export_svg(title="hw2tune", theme=MONOKAI, unique_id="hw2tune")
        return re.sub(r"@font-face \{[^}]*\}\s*", "", svg)


def photograph(page: Path, picture: Path) -> None:
    """The top of a page as PNG."""
    with tempfile.TemporaryDirectory() as profile:
        subprocess.run(
            [*CHROMIUM, f"--user-data-dir={profile}", f"--window-size={PAGE[0]},{PAGE[1]}",
             f"--screenshot={picture}", page.as_uri()],
            check=True, capture_output=True,
        )  # fmt: skip
    with Image.open(picture) as whole:
        whole.crop((0, 0, whole.width, TOP)).save(picture, optimize=True)


def main() -> None:
    with tempfile.TemporaryDirectory() as place, contextlib.chdir(place):
        camera = Camera()
        hw2tune.run_study("quickstart", listeners=[camera])
        assert camera.svg, "no moment at which every slot had a trial with an epoch behind it"
        (DOCS / "terminal.svg").write_text(camera.svg + "\n")
        report = hw2tune.replicate_study("quickstart")
        photograph(report.page.resolve(), DOCS / "report.png")
        print(report.markdown.read_text().partition("\n| ")[0])  # the sentences, for README


if __name__ == "__main__":
    main()
