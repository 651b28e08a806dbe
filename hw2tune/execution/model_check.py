"""What must be known of a study's network before anything is launched: that it can be trained, size and speed."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hw2tune.data.dataset import Dataset, Split
from hw2tune.errors import ModelError
from hw2tune.study.hyperparameters import Hyperparameters, Value, is_number
from hw2tune.study.names import MODELS, ModelSpec
from hw2tune.study.objectives import OBJECTIVES
from hw2tune.study.schema import Study
from hw2tune.study.space import applies
from hw2tune.text.plain import last_line
from hw2tune.train.task import ProbeRequest, TrialData, task_of

IMAGES = 256  # of the training images, for the pass: a batch or more
MOST_NETWORKS = 8
AT_MOST = 600  # seconds


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """The number of parameters, the speed of training on one core, and notes for the user."""

    parameters: int
    images_per_second: float
    notes: tuple[str, ...] = ()


def model_facts(study: Study, data: Dataset) -> ModelFacts:
    """Of a network that hw2tune ships from its table; of the user's own from a pass in a process of its own.

    Raises ModelError where it cannot be trained on these images, naming file and line.
    """
    if study.model in MODELS:
        refuse_misfit(MODELS[study.model], data)
    if study.model in MODELS and study.objective in OBJECTIVES:
        spec = MODELS[study.model]
        return ModelFacts(parameters=spec.parameters, images_per_second=spec.images_per_second)
    tasks = [task_of(study, one, study.seed) for one in configurations(study)]
    answer = _asked(pickle.dumps(ProbeRequest(tasks=tasks, batch_sizes=batch_sizes(study), data=_some(data))))
    if "error" in answer:
        raise ModelError(answer["error"])
    return ModelFacts(**answer)


def refuse_misfit(spec: ModelSpec, data: Dataset) -> None:
    """Raise ModelError if a network that hw2tune ships does not fit the size or the classes of these images."""
    takes = (*spec.input_shape, spec.classes)
    has = (*data.info.image_shape, len(data.info.classes))
    if takes != has:
        form = "{}x{}x{} in {} classes".format
        raise ModelError(
            f"{spec.name}: takes images of {form(*takes)}, but {data.label} has {form(*has)}; use a network of your "
            "own (`hw2tune new`)"
        )


def configurations(study: Study) -> list[Hyperparameters]:
    """References, and the two corners of the space: those that build different networks."""
    given = [*study.references.values(), *study.enqueue, corner(study, 0), corner(study, -1)]
    found = {str(sorted(one.model.items())): one for one in map(study.hyperparameters, given)}
    return list(found.values())[:MOST_NETWORKS]


def corner(study: Study, which: int) -> dict[str, Value]:
    """The configuration of all smallest or first (0) or all largest or last (-1) values."""
    drawn: dict[str, Value] = {}
    for name, distribution in study.search_space.distributions.items():
        if applies(distribution, drawn):
            values = distribution.extremes()
            drawn[name] = (sorted(values) if all(map(is_number, values)) else values)[which]
    return drawn


def batch_sizes(study: Study) -> list[int]:
    """Return the smallest and the largest batch size of references, queue and space."""
    given = [*study.references.values(), *study.enqueue, corner(study, 0), corner(study, -1)]
    sizes = {one.batch_size for one in map(study.hyperparameters, given)}
    return [min(sizes), max(sizes)]


def _some(data: Dataset) -> TrialData:
    """A few training images, of as many classes as there are, and none else."""
    order = np.random.default_rng(0).permutation(len(data.train))[:IMAGES]
    none = np.arange(0)
    empty = Split(images=data.train.images[none], labels=data.train.labels[none])
    return TrialData(info=data.info, train=data.train.take(order), validation=empty)


def _asked(request: bytes) -> dict[str, Any]:
    given = os.environ.get("PYTHONPATH")
    places = [Path(__file__).parents[2], *map(Path, given.split(os.pathsep) if given else [])]
    path = os.pathsep.join(str(place.absolute()) for place in places)
    try:
        with tempfile.TemporaryDirectory(prefix="hw2tune-") as empty:  # as a trial, whose folder is Tune's
            ended = subprocess.run(
                [sys.executable, "-P", "-m", "hw2tune.train.probe"], input=request, capture_output=True,
                timeout=AT_MOST, cwd=empty, env={**os.environ, "PYTHONPATH": path, "CUDA_VISIBLE_DEVICES": ""},
            )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise ModelError(f"model: one pass over {IMAGES} images took more than {AT_MOST} s") from None
    if ended.returncode != 0 or not ended.stdout:
        last = last_line(ended.stderr.decode(errors="replace"), "it said nothing")
        raise ModelError(f"model: the process that tried it ended with code {ended.returncode}: {last}")
    answer: dict[str, Any] = json.loads(ended.stdout)
    return answer
