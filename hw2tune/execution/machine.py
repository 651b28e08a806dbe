"""Processors, memory and GPUs that the machine grants us, and the output of `hw2tune doctor`. Without Ray."""

from __future__ import annotations

import locale
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

import psutil

from hw2tune.data.load import list_datasets
from hw2tune.errors import Hw2tuneError
from hw2tune.execution.scratch import temporary_place
from hw2tune.records.environment import PACKAGES, installed_version, processor
from hw2tune.text.plain import without_secrets
from hw2tune.variables import entry_for, removed

NVIDIA_SECONDS = 10  # a broken driver makes nvidia-smi wait for ever
SECRETS = ("TOKEN", "KEY", "SECRET", "PASSWORD", "PASS", "CREDENTIAL")
EVERYWHERE = ("HOME", "TERM", "COLUMNS", "LINES", "LANG", "NO_PROXY", "no_proxy")  # say nothing
SMALL_MEMORY = 2e9  # bytes; a driver and two workers take 1.5 GB
SMALL_SHARED = 1e8  # bytes of /dev/shm; Docker gives 64 MB


def this_machine() -> dict[str, float]:
    """The CPUs and GPUs that trials can have here, as Ray is started with: whole CPUs, and one at least."""
    return {"CPU": float(max(1, int(granted_cpus()))), "GPU": float(gpus())}


def granted_cpus(root: Path = Path("/")) -> float:
    """The processors granted to this process, by affinity and by the quota of its control group; may be a fraction.

    Ray 2.60 counts neither affinity nor the quota of cgroup v2. `root` is where /proc and /sys are found.
    """
    granted = [float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)]
    for group, second in _control_groups(root, "cpu"):
        files = ["cpu.max"] if second else ["cpu.cfs_quota_us", "cpu.cfs_period_us"]
        numbers = " ".join(_read(group / file) for file in files).split()
        if len(numbers) == 2 and all(map(str.isdigit, numbers)) and int(numbers[1]):  # "max" and -1 are no quota
            granted.append(int(numbers[0]) / int(numbers[1]))
    return min(granted)


def memory_limit(root: Path = Path("/")) -> float:
    """Bytes of memory granted to this process: the machine's, or less by its control groups."""
    groups = _control_groups(root, "memory")
    texts = [_read(group / ("memory.max" if second else "memory.limit_in_bytes")).strip() for group, second in groups]
    return min([float(psutil.virtual_memory().total), *(float(text) for text in texts if text.isdigit())])


def _control_groups(root: Path, controller: str) -> Iterator[tuple[Path, bool]]:
    """Yield each control group above this process, and whether it is of cgroup v2.

    In a container a group's own path may lie outside of what is mounted.
    """
    for line in _read(root / "proc/self/cgroup").splitlines():
        number, controllers, place = line.split(":", 2)
        if second := number == "0":
            top = root / "sys/fs/cgroup"
        elif controller in controllers.split(","):
            top = root / "sys/fs/cgroup" / controllers
        else:
            continue
        group = top / place.strip("/")
        yield group, second
        while group != top and group.is_relative_to(top):
            group = group.parent
            yield group, second


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def gpus() -> int:
    """The GPUs that a driver lists and that CUDA_VISIBLE_DEVICES does not hide."""
    return len(visible_gpus())


def visible_gpus() -> list[str]:
    """Their names in CUDA_VISIBLE_DEVICES: numbers where it is not set."""
    try:
        listed = sum(line.startswith("GPU ") for line in _asked_nvidia("-L"))
    except (OSError, subprocess.TimeoutExpired):
        return []
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return [str(number) for number in range(listed)]

    def known(name: str) -> bool:
        return int(name) < listed if re.fullmatch("[0-9]+", name) else re.match("(GPU|MIG)-.", name) is not None

    # CUDA stops reading at the first name that it does not know, such as -1 or NoDevFiles; a repeated one hides all.
    names = list(takewhile(known, map(str.strip, visible.split(","))))[:listed]
    return names if len({*names}) == len(names) else []


def _nvidia_smi() -> str | None:
    """NVIDIA's program: on PATH, or where WSL 2 keeps it, which cron's PATH lacks."""
    return shutil.which("nvidia-smi", path=os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/lib/wsl/lib"]))


def _asked_nvidia(*options: str) -> list[str]:
    program = _nvidia_smi()
    if program is None:
        return []
    command = [program, *options]
    answer = subprocess.run(
        command, capture_output=True, text=True, errors="replace", check=False, timeout=NVIDIA_SECONDS
    )
    return answer.stdout.splitlines()


def machine_notes(root: Path = Path("/")) -> Iterator[str]:
    """Yield a note for a grant below one processor, and for a GPU that cannot be counted."""
    granted = granted_cpus(root)
    if granted < 1:
        yield f"this machine grants {granted:g} of a CPU (quota of its control group): trials run singly and slowly"
    device = next((path for path in (root / "dev/nvidia0", root / "dev/dxg") if path.exists()), None)  # dxg: WSL 2
    if device is not None and os.environ.get("CUDA_VISIBLE_DEVICES") is None and gpus() == 0:
        yield f"{device} exists, but nvidia-smi lists no GPU: trials run on CPUs; add nvidia-smi to PATH to use the GPU"


def machine_facts(data_dir: Path | None = None) -> list[tuple[str, str]]:
    """Facts of the machine, by name. Home folders and secrets are omitted, so that anybody may see them."""
    data = [f"{one.name}: {one.problem or one.source}" for one in list_datasets(data_dir=data_dir)]
    seen = {"variables": variables() or ["none that matters"], "data": data}
    shown_on = f"{shutil.get_terminal_size().columns} columns" if sys.stderr.isatty() else "none (a pipe or a file)"
    try:
        place = temporary_place()
        temporary = f"{place}, {shutil.disk_usage(place).free / 1e9:.1f} GB free"
    except Hw2tuneError as error:
        temporary = str(error)
    rows = [
        ("system", f"{platform.platform()}, Python {platform.python_version()}"),
        ("packages", ", ".join(f"{name} {version}" for name in PACKAGES if (version := installed_version(name)))),
        ("processor", f"{processor()}, {os.cpu_count()} cores, {granted_cpus():g} granted (affinity and quota)"),
        ("memory", _memory()),
        ("GPUs", _gpus()),
        ("temporary", temporary),
        ("terminal", f"{shown_on}, {sys.stderr.encoding}, locale {locale.setlocale(locale.LC_CTYPE)}"),
        *((name if n == 0 else "", line) for name, lines in seen.items() for n, line in enumerate(lines)),
    ]
    home = os.environ.get("HOME", "")
    public = [(name, without_secrets(text)) for name, text in rows]
    return [(name, text.replace(home, "~") if len(home) > 1 else text) for name, text in public]


def machine_problems() -> list[str]:
    """Problems that would stand in a study's way, each with the way out."""
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
    missing = [name for name in ("torch", "ray", "optuna") if not installed_version(name)]
    return found + [f"{name} is not installed: pip install . in hw2tune's checkout" for name in missing]


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
    there, shared = psutil.virtual_memory(), _free("/dev/shm")
    return (
        f"{there.total / 2**30:.1f} GiB, {memory_limit() / 2**30:.1f} granted, {there.available / 2**30:.1f} free"
        + (f"; /dev/shm {shared / 2**30:.1f} GiB free" if shared is not None else "; no /dev/shm")
    )


def _gpus() -> str:
    if _nvidia_smi() is None:
        return "none (no nvidia-smi)"
    try:
        lines = _asked_nvidia("--query-gpu=name,driver_version,memory.total", "--format=csv,noheader")
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"none: nvidia-smi does not answer ({type(error).__name__})"
    return f"{count} to be used: {'; '.join(lines).strip('; ')}" if (count := gpus()) else "none"


def _free(folder: str) -> int | None:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None
