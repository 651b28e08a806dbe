"""One forward and one backward pass of a study's own network on real images: `python -m hw2tune.train.probe`.

In a process of its own, so that nothing the user's code does ends us: a pickled `ProbeRequest` comes in on stdin,
one line of JSON goes out on stdout.
"""

from __future__ import annotations

import contextlib
import json
import math
import pickle
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hw2tune.errors import ModelError
from hw2tune.study.task import ProbeRequest, Task, TrialData
from hw2tune.train.batches import on_device
from hw2tune.train.loss import LOSSES
from hw2tune.train.metrics import metric_of
from hw2tune.train.models import build_model
from hw2tune.train.optimizers import build_optimizers, step_of

STEPS = 3  # that are timed, behind one that is not
CPU = torch.device("cpu")


def probe(request: ProbeRequest) -> dict[str, float]:
    """`parameters` (the largest network's) and `images_per_second` (the slowest's). Raises ModelError."""
    facts = [_probe(task, request.data) for task in request.tasks]
    return {
        "parameters": max(parameters for parameters, _ in facts),
        "images_per_second": min(speed for _, speed in facts),
    }


def _probe(task: Task, data: TrialData) -> tuple[int, float]:
    split, name = on_device(data.train, data.info, CPU), task.model
    with _named(task):
        torch.manual_seed(task.seed)
        model = build_model(task.blueprint(data.info), CPU)
        images, labels = next(split.batches(min(task.hyperparameters.batch_size, len(split))))
        model.train()
        logits = model(images)
    _check_logits(name, logits, len(labels), len(data.info.classes))
    with _named(task):
        loss = LOSSES[task.loss](logits, labels)
        loss.backward()  # type: ignore[no-untyped-call]
    _check_gradients(name, model, loss)
    with _named(task):
        if (metric := metric_of(task.objective, task.code)) is not None:
            value = metric(logits.detach(), labels)[task.objective]
            if not math.isfinite(value):
                raise ModelError(f"{task.objective}: must return a finite number, but returned {value}")
        model.eval()
        with torch.inference_mode():
            model(images)
    return sum(p.numel() for p in model.parameters()), _speed(task, model, images, labels)


def _check_logits(name: str, logits: object, images: int, classes: int) -> None:
    if not isinstance(logits, Tensor):
        raise ModelError(f"{name}: must return a tensor of logits, but returned a {type(logits).__name__}")
    if tuple(logits.shape) != (images, classes):
        right = f"({images}, {classes}), a row of {classes} classes for each of {images} images"
        raise ModelError(f"{name}: must return logits of shape {right}, but returned {tuple(logits.shape)}")
    if not logits.is_floating_point() or not torch.isfinite(logits).all():
        raise ModelError(f"{name}: its logits hold a value that is no finite number, before any training")


def _check_gradients(name: str, model: nn.Module, loss: Tensor) -> None:
    trained = {key: parameter for key, parameter in model.named_parameters() if parameter.requires_grad}
    if not trained:
        raise ModelError(f"{name}: has no parameter that is trained")
    for key, parameter in trained.items():
        if parameter.grad is None:
            raise ModelError(
                f"{name}: the loss does not depend on parameter `{key}`; use it in forward, or freeze it "
                "(requires_grad = False)"
            )
        if not torch.isfinite(parameter.grad).all():
            raise ModelError(f"{name}: the gradient of `{key}` is no finite number, at a loss of {loss.item():g}")


def _speed(task: Task, model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Images a second of training steps."""
    model.train()
    steps = [step_of(optimizer) for optimizer in build_optimizers(model, task.hyperparameters)]
    started = 0.0
    for number in range(STEPS + 1):
        if number == 1:
            started = time.perf_counter()
        model.zero_grad(set_to_none=True)
        LOSSES[task.loss](model(images), labels).backward()  # type: ignore[no-untyped-call]
        for step in steps:
            step()
    return STEPS * len(labels) / (time.perf_counter() - started)


@contextlib.contextmanager
def _named(task: Task) -> Any:
    """What the user's code raises, with its file and line."""
    try:
        yield
    except ModelError:
        raise
    except Exception as error:
        model = task.hyperparameters.model
        given = f" with {', '.join(f'{name} = {value!r}' for name, value in model.items())}" if model else ""
        text = str(error).strip().splitlines()[0] if str(error).strip() else "no message"
        raise ModelError(f"{_place(error, task)}{type(error).__name__}: {text}{given}") from error


def _place(error: BaseException, task: Task) -> str:
    """`net.py, line 12: ` where the error came from: in the study's own files, else outside of PyTorch and of us."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename in task.code]
    inside = (str(Path(torch.__file__).parent), str(Path(__file__).parents[1]), "<frozen")
    others = [frame for frame in frames if not frame.filename.startswith(inside)]
    chosen = own or others
    return f"{chosen[-1].filename}, line {chosen[-1].lineno}: " if chosen else f"{task.model}: "


def main() -> None:
    """Reads a request, writes a line."""
    out, sys.stdout = sys.stdout, sys.stderr  # what the user's code prints is no answer
    torch.set_num_threads(1)
    try:
        answer: dict[str, Any] = probe(pickle.load(sys.stdin.buffer))  # written by the very program that started us
    except ModelError as error:
        answer = {"error": str(error)}
    out.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
