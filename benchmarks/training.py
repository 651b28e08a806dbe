"""Images a second of one trial on one core: `uv run python -m benchmarks.training`.

`ours` is hw2tune's loop, `tutorial` the pattern of PyTorch's and Ray Tune's CIFAR-10 tutorials, `bare` a loop with
nothing but forward, backward and step on batches prepared beforehand. Every measurement is a fresh process on the same
core; contestants alternate. An untimed pass over part of the images comes first. Memory is the process's ru_maxrss.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.results import print_table, write_results
from hw2tune.data.catalog import dataset_info
from hw2tune.data.load import load_dataset
from hw2tune.study.file import find_study, parse_study

CONTESTANTS = ("ours", "tutorial", "bare")
STUDIES = ("mnist", "cifar10")
OTHER_BATCH_SIZE = 128
WARM_UP = 1_000  # images


def main() -> None:
    options = _options()
    if options.one:
        print(json.dumps(_measure(*options.one, images=Path(options.images))))
        return
    size = 1_000 if options.quick else options.size
    found = []
    with tempfile.TemporaryDirectory() as scratch:
        for name in STUDIES:
            study = parse_study(*find_study(name))
            images = _subset(name, size, Path(scratch))
            for batch_size in (int(study.references["baseline"]["batch_size"]), OTHER_BATCH_SIZE):
                found.append(_compare(name, batch_size, images, 1 if options.quick else options.rounds))
    print_table([_row(result) for result in found])
    write_results(
        "training.quick" if options.quick else "training",
        {"images": size, "memory": "ru_maxrss of the process", "comparisons": found},
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", type=int, default=15_000, help="training images of a measurement")
    parser.add_argument("--quick", action="store_true", help="one round, few images: does it run?")
    parser.add_argument("--one", nargs=3, metavar=("CONTESTANT", "STUDY", "BATCH"), help=argparse.SUPPRESS)
    parser.add_argument("--images", help=argparse.SUPPRESS)
    return parser.parse_args()


def _subset(name: str, size: int, scratch: Path) -> Path:
    """The same random images for everybody, in a file."""
    train = load_dataset(name).train
    chosen = np.random.default_rng(0).permutation(len(train))[:size]
    path = scratch / f"{name}.npz"
    np.savez(path, images=train.images[chosen], labels=train.labels[chosen])
    return path


def _compare(name: str, batch_size: int, images: Path, rounds: int) -> dict[str, Any]:
    runs: dict[str, list[dict[str, float]]] = {contestant: [] for contestant in CONTESTANTS}
    for number in range(rounds):
        for contestant in CONTESTANTS[number % 3 :] + CONTESTANTS[: number % 3]:
            arguments = ["--one", contestant, name, str(batch_size), "--images", str(images)]
            command = [sys.executable, "-m", "benchmarks.training", *arguments]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            runs[contestant].append(json.loads(done.stdout))
    medians = {
        contestant: {key: statistics.median(run[key] for run in measured) for key in measured[0]}
        for contestant, measured in runs.items()
    }
    return {"study": name, "batch_size": batch_size, "medians": medians, "runs": runs}


def _row(result: dict[str, Any]) -> dict[str, Any]:
    speed = {name: medians["images_per_second"] for name, medians in result["medians"].items()}
    memory = {f"{name} MiB": medians["peak_mib"] for name, medians in result["medians"].items()}
    ratios = {f"ours/{name}": speed["ours"] / speed[name] for name in ("tutorial", "bare")}
    return {"study": result["study"], "batch": result["batch_size"]} | speed | ratios | memory


def _measure(contestant: str, name: str, batch_size: str, *, images: Path) -> dict[str, float]:
    """In a fresh process: one contestant, one pass."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    with np.load(images) as arrays:
        pixels, labels = arrays["images"], arrays["labels"]
    run, finish = PREPARE[contestant](name, int(batch_size), pixels, labels)
    run(WARM_UP)
    finish()
    started = time.perf_counter()
    run(len(labels))
    finish()
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"images_per_second": len(labels) / seconds, "peak_mib": peak}


Prepared = tuple[Callable[[int], None], Callable[[], None]]


def _ours(name: str, batch_size: int, pixels: np.ndarray, labels: np.ndarray) -> Prepared:
    from hw2tune.data.dataset import Split
    from hw2tune.train.device import on_device
    from hw2tune.train.loop import train_epoch

    study, state, device, finish = _trained(name)

    def run(size: int) -> None:
        split = on_device(Split(images=pixels[:size], labels=labels[:size]), dataset_info(study.dataset), device)
        configuration = replace(study.reference("baseline"), batch_size=batch_size)
        train_epoch(state, split, configuration, loss=study.loss, max_epochs=study.max_epochs)

    return run, finish


def _bare(name: str, batch_size: int, pixels: np.ndarray, labels: np.ndarray) -> Prepared:
    from hw2tune.data.dataset import Split
    from hw2tune.train.device import on_device
    from hw2tune.train.metrics import LOSSES

    study, state, device, finish = _trained(name)
    split = on_device(Split(images=pixels, labels=labels), dataset_info(study.dataset), device)
    batches = list(split.batches(batch_size))
    model, optimizer, loss = state.model.train(), state.optimizers[0], LOSSES[study.loss]

    def run(size: int) -> None:
        for inputs, targets in batches[: -(-size // batch_size)]:
            optimizer.zero_grad(set_to_none=True)
            loss(model(inputs), targets).backward()  # type: ignore[no-untyped-call]
            optimizer.step()

    return run, finish


def _trained(name: str) -> tuple[Any, Any, Any, Callable[[], None]]:
    """Study, a new state of its baseline, the device, and what waits for it."""
    import torch

    from hw2tune.train.device import prepare_process
    from hw2tune.train.state import new_state
    from hw2tune.train.task import Blueprint

    device = prepare_process(1, gpu=torch.cuda.is_available())
    study = parse_study(*find_study(name))
    state = new_state(Blueprint(model=study.model), study.reference("baseline"), seed=0, device=device)
    return study, state, device, torch.cuda.synchronize if device.type == "cuda" else lambda: None


def _tutorial(name: str, batch_size: int, pixels: np.ndarray, labels: np.ndarray) -> Prepared:
    import torch
    from torch.utils.data import DataLoader

    from benchmarks.contestants import tutorial
    from hw2tune.train.metrics import LOSSES

    torch.set_num_threads(1)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    study = parse_study(*find_study(name))
    info = dataset_info(study.dataset)
    model = tutorial.NETS[study.model]().to(device)
    optimizer = tutorial.plain_optimizer(model, study.references["baseline"])

    def run(size: int) -> None:
        data = tutorial.Images(pixels[:size], labels[:size], list(info.mean), list(info.std))
        loader = DataLoader(data, batch_size=batch_size, shuffle=True, num_workers=0)
        tutorial.train_epoch(model, loader, LOSSES[study.loss], optimizer, device)

    return run, torch.cuda.synchronize if device.type == "cuda" else lambda: None


PREPARE: dict[str, Callable[..., Prepared]] = {"ours": _ours, "tutorial": _tutorial, "bare": _bare}


if __name__ == "__main__":
    main()
