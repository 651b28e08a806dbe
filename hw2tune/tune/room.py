"""What the machines have room for: how many trials at once. Without Ray, so that `check` can ask as well."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hw2tune.errors import ResourceError


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What the user asked for; None where hw2tune chooses."""

    cpus_per_trial: float = 1.0
    gpus_per_trial: float | None = None
    concurrency: int | None = None
    address: str | None = None


@dataclass(frozen=True, kw_only=True)
class Room:
    """What each trial gets, and how many run at once."""

    cpus_per_trial: float
    gpus_per_trial: float
    concurrency: int
    words: str

    @property
    def threads(self) -> int:
        """Threads of a trial's process."""
        return max(1, int(self.cpus_per_trial))


def room(totals: Sequence[Mapping[str, float]], wish: Wish) -> Room:
    """How many trials fit on nodes with these resources (`CPU`, `GPU`), each on one node. Raises ResourceError."""
    gpus = sum(total.get("GPU", 0.0) for total in totals)
    cpus = sum(total.get("CPU", 0.0) for total in totals)
    # Networks this small leave a GPU mostly idle, so trials share one unless told otherwise.
    per_gpu = wish.gpus_per_trial if wish.gpus_per_trial is not None else (0.25 if gpus else 0.0)
    fits = sum(_fits(total, wish.cpus_per_trial, per_gpu) for total in totals)
    there = f"{_number(cpus)} CPUs and {_number(gpus)} GPUs on {len(totals)} node{'s' * (len(totals) != 1)}"
    if fits == 0:
        raise ResourceError(
            f"a trial needs {_number(wish.cpus_per_trial)} CPUs and {_number(per_gpu)} GPUs on one node, but there are "
            f"{there}; lower --cpus-per-trial or --gpus-per-trial"
        )
    if wish.concurrency is not None and wish.concurrency > fits:
        raise ResourceError(
            f"--concurrency {wish.concurrency} needs room for as many trials, but {fits} fit: {there}, "
            f"{_number(wish.cpus_per_trial)} CPUs a trial; lower --concurrency or --cpus-per-trial"
        )
    return Room(
        cpus_per_trial=wish.cpus_per_trial,
        gpus_per_trial=per_gpu,
        concurrency=wish.concurrency or fits,
        words=there + (f", Ray at {wish.address}" if wish.address else ", Ray started here"),
    )


def _fits(total: Mapping[str, float], cpus: float, gpus: float) -> int:
    by_cpu = total.get("CPU", 0.0) / cpus if cpus else float("inf")
    if not gpus:
        return int(by_cpu) if cpus else 0
    per_gpu = int(1 / gpus) if gpus <= 1 else 1 / gpus  # a fraction lies on one GPU
    return int(min(by_cpu, total.get("GPU", 0.0) * per_gpu))


def _number(value: float) -> str:
    return f"{value:g}"


def this_machine() -> dict[str, float]:
    """The CPUs and GPUs of this machine, as Ray counts them."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {"CPU": float(cpus), "GPU": float(_gpus())}


def _gpus() -> int:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([device for device in visible.split(",") if device.strip() not in ("", "-1")])
    if shutil.which("nvidia-smi") is None:
        return 0
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False)
    return sum(line.startswith("GPU ") for line in listed.stdout.splitlines())
