"""A trial of a study's network in small: `python -m hw2tune.train.probe`.

In a process of its own, so that nothing the user's code does ends us, and in an empty folder, as a trial. A pickled
ProbeRequest comes in on stdin. An empty line on stdout says that the network was tried, and one on stdin that all
processes beside this one have said so; then the speed is measured, and a line of JSON goes out.
"""

from __future__ import annotations

import contextlib
import json
import math
import pickle
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hw2tune.errors import Hw2tuneError, ModelError
from hw2tune.study.speed import Speed
from hw2tune.text.numbers import listed
from hw2tune.text.plain import first_line
from hw2tune.train.device import DeviceSplit, TrainingData, on_device, prepare_process
from hw2tune.train.draws import seeded
from hw2tune.train.loop import evaluation_batch
from hw2tune.train.metrics import LOSSES, metric_of
from hw2tune.train.models import initial_network
from hw2tune.train.speed import measure_speed
from hw2tune.train.task import Blueprint, ProbeRequest, Task, TrialData

CPU = torch.device("cpu")


def probe(tasks: Sequence[Task], batch_sizes: Sequence[int], data: TrialData) -> dict[str, Any]:
    """`parameters` (the largest network's) and `notes`. Raises ModelError."""
    split = on_device(data.train, data.info, CPU)
    classes, parameters, notes = len(data.info.classes), [], []
    for task in tasks:
        blueprint = task.blueprint(data.info)
        with _named(task):
            model = initial_network(blueprint, task.seed, CPU)
        for key, value in model.state_dict().items():
            if not isinstance(value, Tensor):
                raise ModelError(
                    f"{task.model}: `{key}` in its state_dict is a {type(value).__name__}, and weights are kept as "
                    "tensors; use register_buffer"
                )
        largest, *smaller = sorted({min(size, len(split)) for size in batch_sizes}, reverse=True)
        for size, where in [(largest, ""), *((size, f" on a batch of {size}") for size in smaller)]:
            notes += _training_notes(task, model, next(split.batches(size)), classes, where)
        notes += _evaluation_notes(task, model, split, classes)
        notes += _rebuilding_notes(task, blueprint, model, split.normalised(split.images[:16]))
        parameters.append(sum(p.numel() for p in model.parameters()))
    return {"parameters": max(parameters), "notes": list(dict.fromkeys(notes))}


def measured(request: ProbeRequest, device: torch.device) -> dict[str, Any]:
    """`speed`, the mean of the networks', and `share`, the part of a processor that this process got meanwhile."""
    train, validation = (on_device(one, request.data.info, device) for one in (request.data.train,) * 2)
    data, speeds = TrainingData(train=train, validation=validation, info=request.data.info), list[Speed]()
    wall, processor = time.perf_counter(), time.process_time()
    for task in request.tasks:
        with _named(task):
            speeds.append(measure_speed(task, data, request.batch_sizes, device, request.seconds / len(request.tasks)))
    share = (time.process_time() - processor) / (time.perf_counter() - wall) / request.threads
    return {"speed": asdict(Speed.mean(speeds)), "share": min(1.0, share)}


def _training_notes(task: Task, model: nn.Module, batch: tuple[Tensor, Tensor], classes: int, where: str) -> list[str]:
    """Run a forward and a backward pass in training mode; return a note if the loss misses parameters."""
    images, labels = batch
    model.train().zero_grad()
    with _named(task, where):
        logits = model(images)
        _check_logits(task.model, logits, (len(labels), classes), where)
        loss = LOSSES[task.loss](logits, labels)
        loss.backward()  # type: ignore[no-untyped-call]
    trained = {key: parameter for key, parameter in model.named_parameters() if parameter.requires_grad}
    if not trained:
        raise ModelError(f"{task.model}: has no parameter that is trained")
    for key, parameter in trained.items():
        if parameter.grad is not None and not torch.isfinite(parameter.grad).all():
            raise ModelError(
                f"{task.model}: the gradient of `{key}` is no finite number{where}, at a loss of {loss.item():g}"
            )
    missed = [key for key, parameter in trained.items() if parameter.grad is None]
    if not missed:
        return []
    if len(missed) == len(trained):
        raise ModelError(f"{task.model}: the loss depends on none of its parameters{where}")
    more = f" and {len(missed) - 1} more" if missed[1:] else ""
    return [f"{task.model}: the loss does not depend on `{missed[0]}`{more}, so training leaves it as it is"]


def _evaluation_notes(task: Task, model: nn.Module, split: DeviceSplit, classes: int) -> list[str]:
    """Run a batch as large as validation's and one image alone in evaluation mode; return notes on both."""
    where = " in evaluation mode"
    chosen = torch.arange(evaluation_batch(split)) % len(split)
    images, labels = split.normalised(split.images[chosen]), split.labels[chosen]
    model.eval()
    with _named(task, where), torch.inference_mode():
        logits = model(images)
        _check_logits(task.model, logits, (len(labels), classes), where)
    sums = torch.allclose(logits.sum(1), torch.ones(len(logits)).to(logits), atol=1e-4)
    notes = [f"{task.model}: {_SOFTMAX[task.loss]}"] if sums and bool((logits >= 0).all()) else []
    with _named(task), torch.inference_mode():
        if (metric := metric_of(task.objective, task.code)) is not None:
            value = metric(logits, labels)[task.objective]
            if not math.isfinite(value):
                notes.append(f"{task.objective}: is {value} before any training; such an epoch is never the best")
    try:
        with torch.inference_mode():
            _check_logits(task.model, model(images[:1]), (1, classes), "")
    except Exception as error:  # whatever the user's code raises: training never sends one image alone
        notes.append(
            f"{task.model}: one image alone does not pass ({first_line(error).removeprefix(f'{task.model}: ')}); is "
            "there a squeeze() without its axis? hw2tune works without it, but an exported file will refuse one image"
        )
    return notes


def _rebuilding_notes(task: Task, blueprint: Blueprint, model: nn.Module, images: Tensor) -> list[str]:
    """Build the network again, from its seed and from another one; return a note if its weights do not make it whole.

    The logits tell, and tensors and arrays that are attributes. `images` are (N, C, H, W).
    """

    def logits(network: nn.Module) -> Tensor:
        with _named(task, _AGAIN), seeded(task.seed), torch.inference_mode():
            found: Tensor = network.eval()(images)
            return found

    with _named(task, _AGAIN):
        again, other = (initial_network(blueprint, seed, CPU) for seed in (task.seed, task.seed + 1))
        again.load_state_dict(model.state_dict())
        try:
            other.load_state_dict(model.state_dict())
        except RuntimeError:  # the seed decides its layers
            return [f"{task.model}: {_NOT_KEPT.format('')}"]
    changed, drawn = _different(model, again), _different(again, other)  # before a pass: it may leave images behind
    expected = logits(model)
    if not torch.allclose(logits(again), expected, rtol=1e-3, atol=1e-5):
        named = f" ({listed(changed)} {'differ' if changed[1:] else 'differs'})" if changed else ""
        return [f"{task.model}: {_NOT_AGAIN.format(named)}"]
    if drawn or not torch.allclose(logits(other), expected, rtol=1e-3, atol=1e-5):
        named = f"{listed(drawn)}, " if drawn else ""
        return [f"{task.model}: {_NOT_KEPT.format(named)}"]
    return []


_AGAIN = " when it is built again with its weights"
_NOT_AGAIN = (
    "built again from its seed and weights it returns other logits{}, and it is built again for the test, for export "
    "and when a trial resumes; use register_buffer for what training changes, and draw from torch, random and "
    "numpy.random alone"
)
_NOT_KEPT = (
    "its constructor draws {}numbers that are not in its state_dict; hw2tune draws them again from the seed, and other "
    "programs that load the weights have others: use register_buffer"
)


def _different(one: nn.Module, other: nn.Module) -> list[str]:
    """Return the names of tensors and arrays that two networks have with different values, parameters apart."""
    found = []
    for (path, module), twin in zip(one.named_modules(), other.modules(), strict=False):
        for name, value in {**vars(module), **module._buffers}.items():
            also: Any = getattr(twin, name, None)
            if type(value) is not type(also) or not isinstance(value, Tensor | np.ndarray):
                continue
            same = torch.equal(value, also) if isinstance(value, Tensor) else np.array_equal(value, also)
            if not same:
                found.append(f"`{path}.{name}`" if path else f"`{name}`")
    return found


_SOFTMAX = {
    "cross_entropy": "rows of its outputs sum to 1, and cross_entropy takes logits: leave the softmax out, or set "
    'loss = "double_softmax" if a second softmax is meant',
    "double_softmax": "rows of its outputs sum to 1, and double_softmax adds two softmaxes to them: leave it out",
}


def _check_logits(name: str, logits: object, shape: tuple[int, int], where: str) -> None:
    if not isinstance(logits, Tensor):
        raise ModelError(f"{name}: must return a tensor of logits{where}, but returned a {type(logits).__name__}")
    if tuple(logits.shape) != shape:
        right = f"{shape}, a row of {shape[1]} classes for each of {shape[0]} images"
        raise ModelError(f"{name}: must return logits of shape {right}{where}, but returned {tuple(logits.shape)}")
    if logits.dtype not in (torch.float32, torch.float64):
        kind = str(logits.dtype).removeprefix("torch.")
        raise ModelError(f"{name}: must return float32 logits{where}, but returned {kind}; end with .float()")
    if not torch.isfinite(logits).all():
        raise ModelError(f"{name}: its logits hold a value that is no finite number{where}, before any training")


@contextlib.contextmanager
def _named(task: Task, where: str = "") -> Iterator[None]:
    """Turn what the user's code raises into a ModelError with its file and line."""
    try:
        yield
    except Hw2tuneError:
        raise
    except Exception as error:  # the user's code may raise anything
        model = task.hyperparameters.model
        given = f" with {', '.join(f'{name} = {value!r}' for name, value in model.items())}" if model else ""
        text = f"{_place(error, task)}{type(error).__name__}: {first_line(error)}{given}{where}"
        name = error.filename if isinstance(error, FileNotFoundError) else None
        if isinstance(name, str) and Path(name).absolute().is_relative_to(Path.cwd()):
            text += (
                "; only Python modules travel with a study: give the file's absolute path, or read it in data.py:load"
            )
        raise ModelError(text) from error


def _place(error: BaseException, task: Task) -> str:
    """`net.py, line 12: ` where the error came from: in the study's own files, else outside of PyTorch and of us."""
    frames = traceback.extract_tb(error.__traceback__)
    inside = (str(Path(torch.__file__).parent), str(Path(__file__).parents[1]), "<frozen")
    own = [frame for frame in frames if frame.filename in task.code]
    chosen = own or [frame for frame in frames if not frame.filename.startswith(inside)]
    return f"{chosen[-1].filename}, line {chosen[-1].lineno}: " if chosen else f"{task.model}: "


def main() -> None:
    """Read a request, try its networks, wait for the other processes, measure, and write a line."""
    out, sys.stdout = sys.stdout, sys.stderr  # what the user's code prints is no answer
    try:
        request: ProbeRequest = pickle.load(sys.stdin.buffer)  # written by the very program that started us
        device = prepare_process(request.threads, gpu=request.gpu)
        answer = probe(request.tasks, request.batch_sizes, request.data)
        out.write("\n")
        out.flush()
        sys.stdin.buffer.readline()
        answer |= measured(request, device)
    except Hw2tuneError as error:
        answer = {"error": f"model: {error}" if isinstance(error, ModelError) else str(error)}
    out.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
