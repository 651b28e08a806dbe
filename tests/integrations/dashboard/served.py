"""A dashboard over a results folder, asked as a browser asks it: over HTTP."""

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hw2tune.integrations.dashboard.folders import ShownFolders
from hw2tune.integrations.dashboard.server import serving

AT_MOST = 60  # seconds; the server reads trials anew after two, and a page asks for them after ten


class Served:
    """What the server answers."""

    def __init__(self, url: str) -> None:
        self.page, self.base = url, url.removesuffix("/dashboard")

    def get(self, path: str) -> bytes:
        """The body of an answer."""
        with urllib.request.urlopen(self.base + path, timeout=AT_MOST) as answer:
            return bytes(answer.read())

    def json(self, path: str) -> Any:
        """The same, parsed."""
        return json.loads(self.get(path))

    def send(self, method: str, path: str, content: dict[str, Any] | None = None) -> tuple[int, bytes]:
        """Status and body of what a browser does when somebody presses a button."""
        request = urllib.request.Request(
            self.base + path, method=method, data=json.dumps(content or {}).encode(),
            headers={"Content-Type": "application/json"},
        )  # fmt: skip
        try:
            with urllib.request.urlopen(request, timeout=AT_MOST) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def study_ids(self) -> dict[str, int]:
        """The studies by name."""
        return {one["study_name"]: one["study_id"] for one in self.json("/api/studies")["study_summaries"]}

    def study(self, name: str) -> dict[str, Any]:
        """One study with its trials."""
        return dict(self.json(f"/api/studies/{self.study_ids()[name]}"))


def attributes(of: dict[str, Any]) -> dict[str, str]:
    """User attributes as the page shows them."""
    return {one["key"]: one["value"] for one in of["user_attrs"]}


def wait_until(ready: Callable[[], object]) -> None:
    deadline = time.monotonic() + AT_MOST
    while not ready():
        assert time.monotonic() < deadline
        time.sleep(0.2)


@contextmanager
def served(results: str | Path, *names: str) -> Iterator[Served]:
    with serving(ShownFolders(results, names)) as url:
        yield Served(url)


@contextmanager
def running_elsewhere(folder: Path) -> Iterator[Callable[[], int]]:
    """Another process that runs the study: each call adds a trial and returns its number."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.integrations.dashboard.writer", str(folder)], text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin and process.stdout
    assert process.stdout.readline() == "ready\n"

    def add() -> int:
        process.stdin.write("\n")
        process.stdin.flush()
        return int(process.stdout.readline())

    try:
        yield add
    finally:
        process.stdin.close()
        process.wait(timeout=AT_MOST)
        process.stdout.close()
