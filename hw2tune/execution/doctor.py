"""`hw2tune doctor`: what hw2tune sees of this machine, and what would stand in a study's way."""

from __future__ import annotations

import locale
import os
import platform
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import psutil

from hw2tune.data.load import list_datasets
from hw2tune.errors import Hw2tuneError
from hw2tune.execution.machine import NVIDIA_SECONDS, gpus, granted_cpus, machine_notes, memory_limit, nvidia_smi
from hw2tune.execution.scratch import temporary_place
from hw2tune.records.environment import PACKAGES, processor
from hw2tune.text.plain import without_secrets
from hw2tune.variables import entry_for, removed

SECRETS = ("TOKEN", "KEY", "SECRET", "PASSWORD", "PASS", "CREDENTIAL")
EVERYWHERE = ("HOME", "TERM", "COLUMNS", "LINES", "LANG", "NO_PROXY", "no_proxy")  # say nothing
SMALL_MEMORY = 2e9  # bytes; a driver and two workers take 1.5 GB
SMALL_SHARED = 1e8  # bytes of /dev/shm; Docker gives 64 MB


def facts(data_dir: Path | None = None) -> list[tuple[str, str]]:
    """What there is, by name. Home folders and secrets are omitted, so that it can be shown to anybody."""
    versions = ", ".join(f"{name} {version}" for name in PACKAGES if (version := _version(name)))
    data = [f"{one.name}: {one.problem or one.source}" for one in list_datasets(data_dir=data_dir)]
    seen = {"variables": variables() or ["none that matters"], "data": data}
    rows = [
        ("system", f"{platform.platform()}, Python {platform.python_version()}"),
        ("packages", versions),
        ("processor", f"{processor()}, {os.cpu_count()} cores, {granted_cpus():g} granted (affinity and quota)"),
        ("memory", _memory()),
        ("GPUs", _gpus()),
        ("temporary", _temporary()),
        ("terminal", _terminal()),
        *((name if n == 0 else "", line) for name, lines in seen.items() for n, line in enumerate(lines)),
    ]
    return [(name, _public(text)) for name, text in rows]


def problems() -> list[str]:
    """What would stand in a study's way, each with the way out."""
    found = list(machine_notes())
    if (memory := memory_limit()) < SMALL_MEMORY:
        found.append(f"{memory / 1e9:.1f} GB of memory are granted, and a study with two trials at once takes 2 GB")
    shared = _free("/dev/shm")
    if shared is not None and shared < SMALL_SHARED:
        found.append(
            f"/dev/shm has {shared / 1e6:.0f} MB, so data are kept in slower memory; start the container with a larger "
            "one (`docker run --shm-size 1g`)"
        )
    try:
        temporary_place()
    except Hw2tuneError as error:
        found.append(str(error))
    found += [
        f"{name} is not installed: pip install . in hw2tune's checkout"
        for name in ("torch", "ray", "optuna")
        if not _version(name)
    ]
    return found


def variables() -> list[str]:
    """Variables that are set and that hw2tune has a word on, with what is done about each."""
    lines = []
    for name, value in sorted((os.environ | removed).items()):
        entry = entry_for(name)
        if entry is not None and entry.handling != "set" and name not in EVERYWHERE:
            shown = "..." if any(secret in name.upper() for secret in SECRETS) else without_secrets(value)
            lines.append(f"{name}={shown} ({entry.handling})")
    return lines


def _memory() -> str:
    shared = _free("/dev/shm")
    limit = memory_limit()
    return (
        f"{psutil.virtual_memory().total / 2**30:.1f} GiB, {limit / 2**30:.1f} granted, "
        f"{psutil.virtual_memory().available / 2**30:.1f} free"
        + (f"; /dev/shm {shared / 2**30:.1f} GiB free" if shared is not None else "; no /dev/shm")
    )


def _gpus() -> str:
    program = nvidia_smi()
    if program is None:
        return "none (no nvidia-smi)"
    query = [program, "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        shown = subprocess.run(
            query, capture_output=True, text=True, errors="replace", check=False, timeout=NVIDIA_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"none: nvidia-smi does not answer ({type(error).__name__})"
    return f"{gpus()} to be used: " + "; ".join(shown.stdout.split("\n")).strip("; ") if gpus() else "none"


def _temporary() -> str:
    try:
        place = temporary_place()
    except Hw2tuneError as error:
        return str(error)
    return f"{place}, {shutil.disk_usage(place).free / 1e9:.1f} GB free"


def _terminal() -> str:
    width = shutil.get_terminal_size().columns
    kind = f"{width} columns" if sys.stderr.isatty() else "none (a pipe or a file)"
    return f"{kind}, {sys.stderr.encoding}, locale {locale.setlocale(locale.LC_CTYPE)}"


def _public(text: str) -> str:
    text, home = without_secrets(text), os.environ.get("HOME", "")
    return text.replace(home, "~") if len(home) > 1 else text


def _free(folder: str) -> int | None:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
