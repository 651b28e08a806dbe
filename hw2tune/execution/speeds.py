"""The speed of networks on this machine: measured with all its slots busy, as by a study, and kept for `check`.

What is kept holds for this processor, its granted cores and this PyTorch.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pickle
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from hw2tune.data.catalog import DATASETS
from hw2tune.data.dataset import Split
from hw2tune.errors import ModelError
from hw2tune.execution.machine import gpus, granted_cpus, this_machine, visible_gpus
from hw2tune.paths import cache_dir
from hw2tune.records.atomic import write_atomically
from hw2tune.records.environment import installed_version, processor
from hw2tune.resources import Capacity, ResourceRequest, find_capacity
from hw2tune.study.hyperparameters import Hyperparameters
from hw2tune.study.names import MODELS
from hw2tune.study.speed import Speed
from hw2tune.text.plain import last_line
from hw2tune.train.task import ProbeRequest, Task, TrialData

AT_MOST = 600  # seconds
SECONDS = 1.0  # of each network, on a device
BATCH_SIZES = (32, 256)  # the smallest and the largest of the shipped studies
IMAGES = 2048  # of a shipped network's measurement
BUSY = 0.8  # of a processor: a slot that got less shared it with other programs
ALONE = Capacity(cpus_per_trial=1, gpus_per_trial=0, concurrency=1, text="")


@dataclass(frozen=True, kw_only=True)
class Probed:
    """A network that was tried: its trained numbers, notes, its speed, and the part of a processor that a slot got."""

    parameters: int
    notes: tuple[str, ...]
    speed: Speed
    share: float


@dataclass(frozen=True, kw_only=True)
class MachineSpeed:
    """The speed of a shipped network on one kind of device, with `slots` trainings at once."""

    model: str
    device: str  # cpu or gpu
    slots: int
    speed: Speed
    share: float
    date: str  # 2026-11-29

    @property
    def images_per_second(self) -> dict[str, float]:
        """By batch size, and in evaluation."""
        trained = {f"batch {size}": self.speed.images_per_second(size) for size in BATCH_SIZES}
        return trained | {"evaluation": 1 / self.speed.evaluation_seconds}

    @property
    def source(self) -> str:
        """`measured on this machine on 2026-11-29, 2 at once`, and if other programs were busy."""
        return f"measured on this machine on {self.date}, {self.slots} at once{busy(self.share, self.device)}"


def busy(share: float, device: str) -> str:
    """Return the end of a sentence if other programs took much of the processors; of a GPU it is not known."""
    if device == "gpu" or share >= BUSY:
        return ""
    return f", while other programs took {1 - share:.0%} of its processors"


def measure_machine() -> list[MachineSpeed]:
    """Measure the shipped networks on the CPUs, and on the GPUs if there are any; keep it. Raises ModelError."""
    there = this_machine()
    at = {"cpu": find_capacity([{"CPU": there["CPU"]}], ResourceRequest())}
    if there["GPU"]:
        at["gpu"] = find_capacity([there], ResourceRequest())
    date, found = time.strftime("%Y-%m-%d"), list[MachineSpeed]()
    for device, capacity in at.items():
        for name in MODELS:
            one = probed(_request(name), capacity)
            found.append(
                MachineSpeed(
                    model=name, device=device, slots=capacity.concurrency, speed=one.speed, share=one.share, date=date
                )
            )
    write_atomically(_file(), json.dumps([asdict(one) for one in found], indent=1) + "\n")
    return found


def kept_speeds() -> list[MachineSpeed]:
    """Return what the last `measure_machine` found on this machine as it is now; nothing if there is none to read."""
    try:
        kept = json.loads(_file().read_text(encoding="utf-8"))
        return [MachineSpeed(**one | {"speed": Speed(**one["speed"])}) for one in kept]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _file() -> Path:
    """Return the file of this machine, which may share its cache with others."""
    described = [platform.node(), processor(), granted_cpus(), gpus(), installed_version("torch")]
    digest = hashlib.sha256(json.dumps(described).encode()).hexdigest()[:16]
    return cache_dir() / "machines" / f"{digest}.json"


def _request(model: str) -> ProbeRequest:
    """Return a shipped network's request, on random images."""
    info = next(one for one in DATASETS.values() if one.image_shape == MODELS[model].input_shape)
    drawn = np.random.default_rng(0)
    images = drawn.integers(0, 256, (IMAGES, *info.image_shape), dtype=np.uint8)
    split = Split(images=images, labels=drawn.integers(0, len(info.classes), IMAGES))
    task = Task(
        model=model, loss="cross_entropy", seed=0, max_epochs=1, objective="validation_accuracy",
        hyperparameters=Hyperparameters(learning_rate=0.001, batch_size=BATCH_SIZES[0], optimizer="adam"),
    )  # fmt: skip
    data = TrialData(info=info, train=split, validation=split.take(np.arange(0)))
    return ProbeRequest(tasks=[task], batch_sizes=BATCH_SIZES, data=data, seconds=SECONDS)


def probed(request: ProbeRequest, at: Capacity = ALONE) -> Probed:
    """Try the networks in as many processes as there are slots, which measure their speed at the same time.

    Raises ModelError where one cannot be trained, naming file and line.
    """
    request = replace(request, threads=at.threads, gpu=bool(at.gpu_slots))
    with contextlib.ExitStack() as stack:
        # As of a trial, whose folder is Tune's.
        empty = stack.enter_context(tempfile.TemporaryDirectory(prefix="hw2tune-"))
        processes = [_Process(empty, number, gpu=request.gpu) for number in range(at.concurrency)]
        for one in processes:
            stack.callback(one.end)
        late = f"one pass over {len(request.data.train)} images took more than {AT_MOST} s"
        overdue = threading.Timer(AT_MOST, _kill, [processes, late])
        overdue.start()
        stack.callback(overdue.cancel)
        for one in processes:
            one.send(pickle.dumps(request))
        tried = [one.line() for one in processes]  # an empty line, or at once an error
        for one in processes:
            one.send(b"\n")
        answers = [one.answer(line) for one, line in zip(processes, tried, strict=True)]
    for answer in answers:
        if "error" in answer:
            raise ModelError(answer["error"])
    return Probed(
        parameters=answers[0]["parameters"],
        notes=tuple(answers[0]["notes"]),
        speed=Speed.mean([Speed(**answer["speed"]) for answer in answers]),
        share=fmean(answer["share"] for answer in answers),
    )


def _kill(processes: Sequence[_Process], why: str) -> None:
    for one in processes:
        one.killed = why
        one.process.kill()


class _Process:
    """A process of `hw2tune.train.probe`, on the GPU of its turn or on none."""

    def __init__(self, folder: str, number: int, *, gpu: bool) -> None:
        given = os.environ.get("PYTHONPATH")
        places = [Path(__file__).parents[2], *map(Path, given.split(os.pathsep) if given else [])]
        path = os.pathsep.join(str(place.absolute()) for place in places)
        devices = visible_gpus() if gpu else [""]
        seen = {"PYTHONPATH": path, "CUDA_VISIBLE_DEVICES": devices[number % len(devices)]}
        self.killed = ""  # and why, by us
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115  # a pipe that nobody reads may be full
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "hw2tune.train.probe"], cwd=folder, env={**os.environ, **seen},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors,
        )  # fmt: skip

    def send(self, content: bytes) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended, and its answer says why
            self.process.stdin.write(content)
            self.process.stdin.flush()

    def line(self) -> bytes:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def answer(self, first: bytes) -> dict[str, Any]:
        """Return its answer: its first line, unless that is empty. Raises ModelError if it ended without one."""
        line = first.strip() or self.line()
        if code := self.process.wait() or not line:
            self.errors.seek(0)
            last = last_line(self.errors.read().decode(errors="replace"), "it said nothing")
            said = self.killed or f"the process that tried it ended with code {int(code)}: {last}"
            raise ModelError(f"model: {said}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()
        self.errors.close()
