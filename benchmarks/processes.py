"""A whole command with all its processes: seconds, CPU seconds, memory."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

CPU_EVERY = 0.2  # seconds
MEMORY_EVERY = 1.0  # seconds; reading PSS costs the kernel milliseconds a process


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One run. CPU seconds are those of every process when last seen, so the last 0.2 s of each may be missing."""

    started: float  # of time.time
    seconds: float  # to the exit of the process
    cpu_seconds: float
    peak_mib: float  # PSS of the tree: shared pages count once


def run_measured(command: Sequence[str], *, environment: Mapping[str, str], cwd: Path, log: Path) -> Measured:
    """Runs to the end, sampling the tree. Raises CalledProcessError with the log's end where it fails."""
    cpu: dict[tuple[int, float], float] = {}
    peak = next_memory = 0.0
    started, clock = time.time(), time.perf_counter()
    with log.open("w") as output:
        child = subprocess.Popen(command, cwd=cwd, env=dict(environment), stdout=output, stderr=subprocess.STDOUT)
        while child.poll() is None:
            tree = _tree(child.pid)
            cpu |= {key: seconds for process in tree for key, seconds in _cpu(process)}
            if time.perf_counter() >= next_memory:
                peak = max(peak, sum(_pss(process) for process in tree))
                next_memory = time.perf_counter() + MEMORY_EVERY
            time.sleep(CPU_EVERY)
    seconds = time.perf_counter() - clock
    if child.returncode != 0:
        raise subprocess.CalledProcessError(child.returncode, command, output=log.read_text()[-3000:])
    return Measured(started=started, seconds=seconds, cpu_seconds=sum(cpu.values()), peak_mib=peak / 2**20)


def _tree(pid: int) -> list[psutil.Process]:
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.Error:
        return []


def _cpu(process: psutil.Process) -> list[tuple[tuple[int, float], float]]:
    try:
        times = process.cpu_times()
        return [((process.pid, process.create_time()), times.user + times.system)]
    except psutil.Error:
        return []


def _pss(process: psutil.Process) -> float:
    try:
        return float(process.memory_full_info().pss)
    except (psutil.Error, AttributeError):
        return 0.0
