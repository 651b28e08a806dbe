"""What this machine grants us: processors by affinity and quota, GPUs that are really there. Without Ray."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil

NVIDIA_SECONDS = 10  # a broken driver makes nvidia-smi wait for ever


def this_machine() -> dict[str, float]:
    """The CPUs and GPUs that trials can have here, as Ray is started with: whole CPUs, and one at least."""
    return {"CPU": float(max(1, int(granted_cpus()))), "GPU": float(gpus())}


def granted_cpus(root: Path = Path("/")) -> float:
    """The processors granted to this process, by affinity and by the quota of its control group; may be a fraction.

    Ray 2.60 counts neither affinity nor the quota of cgroup v2. `root` is where /proc and /sys are found.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min([float(allowed), *_quotas(root)])


def machine_notes(root: Path = Path("/")) -> Iterator[str]:
    """Yield a note for a grant below one processor, and for a GPU that cannot be counted."""
    granted = granted_cpus(root)
    if granted < 1:
        yield f"this machine grants {granted:g} of a CPU (quota of its control group): trials run singly and slowly"
    device = next((path for path in (root / "dev/nvidia0", root / "dev/dxg") if path.exists()), None)  # dxg: WSL 2
    if device is not None and os.environ.get("CUDA_VISIBLE_DEVICES") is None and gpus() == 0:
        yield f"{device} exists, but nvidia-smi lists no GPU: trials run on CPUs; add nvidia-smi to PATH to use the GPU"


def _quotas(root: Path) -> Iterator[float]:
    """Processors by the quota of each control group above this process, where there is one."""
    for line in _read(root / "proc/self/cgroup").splitlines():
        number, controllers, place = line.split(":", 2)
        if number == "0":  # cgroup v2
            for group in _upwards(root / "sys/fs/cgroup", place):
                yield from _quota(*_read(group / "cpu.max").split())
        elif "cpu" in controllers.split(","):
            for group in _upwards(root / "sys/fs/cgroup" / controllers, place):
                yield from _quota(_read(group / "cpu.cfs_quota_us"), _read(group / "cpu.cfs_period_us"))


def memory_limit(root: Path = Path("/")) -> float:
    """Bytes of memory granted to this process: the machine's, or less by its control groups."""
    limits = [float(psutil.virtual_memory().total)]
    for line in _read(root / "proc/self/cgroup").splitlines():
        number, controllers, place = line.split(":", 2)
        if number == "0":
            files = [group / "memory.max" for group in _upwards(root / "sys/fs/cgroup", place)]
        elif "memory" in controllers.split(","):
            files = [g / "memory.limit_in_bytes" for g in _upwards(root / "sys/fs/cgroup" / controllers, place)]
        else:
            continue
        limits += [float(text) for file in files if (text := _read(file).strip()).isdigit()]
    return min(limits)


def _upwards(top: Path, place: str) -> Iterator[Path]:
    """The group and those above it. In a container its own path may lie outside of what is mounted."""
    group = top / place.strip("/")
    while True:
        yield group
        if group == top or not group.is_relative_to(top):
            return
        group = group.parent


def _quota(*numbers: str) -> Iterator[float]:
    if len(numbers) == 2 and all(text.strip().isdigit() for text in numbers) and int(numbers[1]):
        yield int(numbers[0]) / int(numbers[1])  # "max" and -1 are no quota


def gpus() -> int:
    """The GPUs that a driver lists and that CUDA_VISIBLE_DEVICES does not hide."""
    listed = _listed_gpus()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return listed
    named = [device.strip() for device in visible.split(",")]
    if "-1" in named:  # CUDA stops reading at the first that it does not know
        named = named[: named.index("-1")]
    return min(listed, len([device for device in named if device]))


def nvidia_smi() -> str | None:
    """Return the path of NVIDIA's program, or None: on PATH, or where WSL 2 keeps it, which cron's PATH lacks."""
    return shutil.which("nvidia-smi", path=os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/lib/wsl/lib"]))


def _listed_gpus() -> int:
    program = nvidia_smi()
    if program is None:
        return 0
    try:
        listed = subprocess.run(
            [program, "-L"], capture_output=True, text=True, errors="replace", check=False, timeout=NVIDIA_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return 0
    return sum(line.startswith("GPU ") for line in listed.stdout.splitlines())


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
