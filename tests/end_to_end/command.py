"""A command of hw2tune's as a process, with all that it starts, ended in whatever way a test wants."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

AT_MOST = 240  # seconds to wait for anything


class Command:
    """One command. `processes` are all that were seen below it."""

    def __init__(
        self, *arguments: object, cwd: Path, prefix: Sequence[str] = (), script: bool = False, **more: object
    ) -> None:
        program = [Path(sys.executable).with_name("hw2tune")] if script else [sys.executable, "-m", "hw2tune"]
        environment = {**os.environ, "COLUMNS": "120", **more.pop("env", {})}
        self.process = subprocess.Popen(
            [*prefix, *program, *map(str, arguments)], cwd=cwd, text=True, env=environment,
            start_new_session=True, **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more},
        )  # fmt: skip
        self.processes: dict[int, psutil.Process] = {}
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while self.process.poll() is None:
            try:
                for child in psutil.Process(self.process.pid).children(recursive=True):
                    self.processes[child.pid] = child
            except psutil.Error:
                continue
            time.sleep(0.1)

    def wait_until(self, ready: Callable[[], object]) -> None:
        """Waits for something to be seen; the command must not end before."""
        deadline = time.monotonic() + AT_MOST
        while not ready():
            assert time.monotonic() < deadline and self.process.poll() is None, self.process.communicate()
            time.sleep(0.05)

    def hears(self, number: int) -> bool:
        """Whether it has a handler for a signal, or has ended."""
        with contextlib.suppress(OSError):
            status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
            [caught] = re.findall(r"^SigCgt:\s*([0-9a-f]+)", status, re.MULTILINE) or ["0"]  # a bit per signal
            return bool(int(caught, 16) >> (number - 1) & 1)
        return True

    def signal_group(self, number: int) -> None:
        """As `timeout`, a scheduler or a terminal does; nothing if it has ended."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def signal_everybody(self, number: int = signal.SIGTERM) -> None:
        """As systemd and SLURM do: every process, wherever it has gone."""
        self.signal_group(number)
        for child in list(self.processes.values()):
            with contextlib.suppress(psutil.NoSuchProcess):
                child.send_signal(number)

    def finish(self, within: float = AT_MOST) -> tuple[int, str, str]:
        """Exit code, stdout, stderr of a command that must end in so many seconds."""
        out, err = self.process.communicate(timeout=within)
        return self.process.returncode, out, err

    def left_running(self) -> list[str]:
        """Names of what runs still; to be asked when the command has ended."""
        names = []
        for child in self.processes.values():
            try:
                if child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
                    names.append(child.name())
            except psutil.Error:
                continue
        return names
