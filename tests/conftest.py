"""What the suite owes the machine: when it is over nothing of it runs and no scratch or session folder is left."""

import os
import shutil
import signal
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

MARK = "HW2TUNE_TESTS"  # in the environment of every process that a test starts
OURS = ("hw2tune-", "ray", "session_", "matplotlib-")  # what a command of hw2tune's might leave
LINGERING = 100  # seconds: Ray's agents outlive a raylet that was killed by a minute


@pytest.fixture(scope="session", autouse=True)
def nothing_is_left_behind() -> Iterator[None]:
    """Gives the suite a temporary folder of its own, short enough for sockets, and looks at both at its end."""
    place = Path(tempfile.mkdtemp(prefix="h", dir="/tmp"))
    before = {name: os.environ.get(name) for name in (MARK, "TMPDIR")}
    for number in (signal.SIGINT, signal.SIGHUP):  # ignored in a shell's background job, and inherited
        signal.signal(number, signal.default_int_handler)
    os.environ.update({MARK: uuid.uuid4().hex, "TMPDIR": str(place)})
    tempfile.tempdir = None  # asks again
    yield
    deadline = time.monotonic() + LINGERING
    while (running := marked(os.environ[MARK])) and time.monotonic() < deadline:
        time.sleep(0.5)
    left = sorted(path.name for path in place.iterdir() if path.name.startswith(OURS))
    for name, value in before.items():
        os.environ.pop(name) if value is None else os.environ.update({name: value})
    tempfile.tempdir = None
    shutil.rmtree(place, ignore_errors=True)
    assert not running, f"still running: {[process.info for process in running]}"
    assert not left, f"left in the temporary folder: {left}"


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in its own
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Ray's tests run one after another, for they mostly wait; of the others a file stays in one process."""
    items.sort(key=lambda item: item.get_closest_marker("ray") is None)  # the longest first
    for item in items:
        group = "ray" if item.get_closest_marker("ray") else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))


def marked(mark: str) -> list[psutil.Process]:
    """The processes but this one whose environment holds the suite's mark."""
    found = []
    for process in psutil.process_iter(["pid", "name", "cmdline"]):
        try:
            if process.pid != os.getpid() and process.environ().get(MARK) == mark and process.is_running():
                found += [process] if process.status() != psutil.STATUS_ZOMBIE else []
        except psutil.Error:
            continue
    return found
