"""A study while it runs, in a notebook: one output that changes in place, and a table when it is over."""

from __future__ import annotations

import io
import sys
import time
from pathlib import Path

from rich.console import Console

from hw2tune.events import (
    EpochFinished,
    Event,
    ReplicationFinished,
    ReplicationStarted,
    StudyFinished,
    StudyStarted,
    TrainingEpochFinished,
    TrainingFinished,
)
from hw2tune.records.layout import StudyFolder
from hw2tune.records.overview import Overview, read_study
from hw2tune.terminal.progress import Display
from hw2tune.terminal.tables import print_status

WIDTH = 120  # characters; a cell scrolls where it is narrower
SECONDS = 0.5  # between two pictures of epochs; trials that begin and end are shown at once
# The notebook's own colours: what rich has no colour for takes those of the page, light or dark.
PAGE = (
    '<pre style="white-space:pre;overflow-x:auto;line-height:normal;'
    "font-family:Menlo,'DejaVu Sans Mono',consolas,'Courier New',monospace\">{code}</pre>"
)


def in_notebook() -> bool:
    """Return whether a notebook's kernel runs this process: Jupyter's, Colab's, or a run without a page."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")


class NotebookDisplay(Display):
    """A listener for `run_study` and the like, which take one by themselves in a notebook where none is given."""

    def __init__(self) -> None:
        super().__init__(_text_console())
        self._shown: object = None  # IPython's handle on the output; None before there is one
        self._last = float("-inf")
        self._trained = self._left = 0  # trainings of replicates
        self._over: str | None = None  # what stands there when nothing runs any more

    def __call__(self, event: Event) -> None:
        """Show what an event says."""
        super().__call__(event)
        match event:
            case StudyStarted():
                self._over = None
            case StudyFinished():
                folder, console = StudyFolder(Path(event.folder)), _text_console()
                overview = Overview(folder=folder, study=read_study(folder), rows=[*event.rows], running=None)
                print_status(overview, console)
                self._over = _text(console)
            case ReplicationStarted(total=total, done=done):
                self._left = total - done
                self._over = None if self._left else self._trainings()
            case TrainingFinished():
                self._trained, self._left = self._trained + 1, self._left - 1
                if not self._left:  # of trainings as published no event says that they are over
                    self._over = self._trainings()
            case ReplicationFinished():  # a race may have taken fewer than it might
                self._over = self._trainings()
        epoch = isinstance(event, EpochFinished | TrainingEpochFinished)
        if not epoch or time.monotonic() - self._last > SECONDS:
            self._show()

    def _trainings(self) -> str:
        return f"{self._trained} training{'s' * (self._trained != 1)} finished"

    def _show(self) -> None:
        from IPython.display import display

        self._last = time.monotonic()
        page = self._page()
        if self._shown is None:
            self._shown = display(page, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._shown.update(page, raw=True)  # type: ignore[attr-defined]

    def _page(self) -> dict[str, str]:
        console = Console(
            file=io.StringIO(), record=True, width=WIDTH, highlight=False, markup=False, force_jupyter=False,
            force_terminal=True, color_system="truecolor",
        )  # fmt: skip
        console.print(_text(self.console), end="", soft_wrap=True)
        console.print(self.board if self._over is None else self._over, soft_wrap=self._over is not None)
        html = console.export_html(inline_styles=True, code_format=PAGE, clear=False)
        return {"text/html": html, "text/plain": console.export_text()}


def _text_console() -> Console:
    # In a kernel rich would make an output of each line by itself.
    return Console(
        file=io.StringIO(), width=WIDTH, highlight=False, markup=False, color_system=None, force_jupyter=False
    )


def _text(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()
