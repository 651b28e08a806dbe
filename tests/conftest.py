"""What the suite owes the machine: when it is over nothing of it runs and no scratch or session folder is left."""

import os
import shutil
import signal
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from hw2tune.variables import settle

if TYPE_CHECKING:
    from hw2tune.report.write import ReportFiles

settings.register_profile("any machine", deadline=None)  # one may be paused, or busy
settings.load_profile("any machine")
MARK = "HW2TUNE_TESTS"  # in the environment of every process that a test starts
OURS = ("hw2tune-", "ray", "session_", "matplotlib-")  # what a command of hw2tune's might leave
RAY, REPORT = "Ray", "report"
LINGERING = 100  # seconds: Ray's agents outlive a raylet that was killed by a minute


@pytest.fixture(scope="session", autouse=True)
def nothing_is_left_behind() -> Iterator[None]:
    """Give the suite a temporary folder and a cache of its own, short enough for sockets, and look at it at its end."""
    place = Path(tempfile.mkdtemp(prefix="h", dir="/tmp"))
    for number in (signal.SIGINT, signal.SIGHUP):  # ignored in a shell's background job, and inherited
        signal.signal(number, signal.default_int_handler)
    with pytest.MonkeyPatch.context() as changed:
        changed.setenv(MARK, uuid.uuid4().hex)
        changed.setenv("TMPDIR", str(place))
        changed.setenv("HW2TUNE_CACHE", str(place / "cache"))  # the user's own may hold anything
        if os.environ.get("PYTHONDONTWRITEBYTECODE"):  # hundreds of processes would compile PyTorch and Ray anew
            changed.delenv("PYTHONDONTWRITEBYTECODE")
            changed.setenv("PYTHONPYCACHEPREFIX", str(place / "bytecode"))
        tempfile.tempdir = None  # asks again
        settle()  # as every command does, before Ray is imported
        yield
        deadline = time.monotonic() + LINGERING
        while (running := marked(os.environ[MARK])) and time.monotonic() < deadline:
            time.sleep(0.5)
    left = sorted(path.name for path in place.iterdir() if path.name.startswith(OURS))
    tempfile.tempdir = None
    shutil.rmtree(place, ignore_errors=True)
    assert not running, f"still running: {[process.info for process in running]}"
    assert not left, f"left in the temporary folder: {left}"


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> "ReportFiles":
    """The report of a complete study, `quickstart`; drawing it takes seconds, so it is drawn once and only read."""
    from hw2tune.report.write import write_report
    from tests.report.fake_study import write_fake_study

    return write_report([write_fake_study(tmp_path_factory.mktemp("results"))])


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """A file stays in one process, Ray's tests, which mostly wait, in one together, and those of one drawn report.

    (xdist 3.8's `--dist loadgroup` groups nothing under pytest 9.2, whose node ids cannot be changed.)
    """

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group(nodeid)

    return ByFile(config, log)


def group(nodeid: str) -> str:
    """The tests that stay in one process."""
    file = nodeid.partition("::")[0]
    if file.startswith(("tests/end_to_end/", "tests/execution/")):
        return RAY
    return REPORT if file.startswith("tests/report/test_") or file.endswith("/test_dashboard.py") else file


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Ray's tests first: its agents outlive a killed raylet by a minute, in which others run. Then a report's."""
    order = {RAY: 0, REPORT: 1}
    items.sort(key=lambda item: order.get(group(item.nodeid), len(order)))


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
