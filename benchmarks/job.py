"""What every contestant of the study benchmark is given: data, study file, the list of configurations."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import optuna
from PIL import Image

from benchmarks.contestants.tutorial import Job
from hw2tune.data.dataset import Dataset, Split
from hw2tune.data.load import load_dataset
from hw2tune.records.opening import opened
from hw2tune.records.trials.rows import LABEL
from hw2tune.records.trials.storage import create_optuna_study
from hw2tune.study.file import dump_study, find_study, parse_study
from hw2tune.study.published import RUNS
from hw2tune.study.schema import Study

VALIDATION = 1_000  # images beside a limited number of training images


def prepared(scratch: Path, name: str, epochs: int, trials: int, images: int | None) -> tuple[Job, Path]:
    """The job and its file. Learning rates end at 0.01, so that no training diverges and is over before the others."""
    overrides: dict[str, Any] = {
        "name": "benchmark", "trials": trials, "max_epochs": epochs, "pruner.name": "none",
        "space.learning_rate.high": 0.01,
    }  # fmt: skip
    if images is not None:
        overrides["validation_size"] = VALIDATION
    study = parse_study(*find_study(name), overrides=overrides)
    (scratch / "study.toml").write_text(dump_study(study))
    data = _data(study, scratch, images)
    configurations = _configurations(study, trials)
    _enqueue(study, scratch / "results", configurations)
    (scratch / "records").mkdir()
    job = Job(
        study=str(scratch / "study.toml"),
        configurations=configurations,
        model=study.model,
        loss=study.loss,
        epochs=epochs,
        mean=list(data.info.mean),
        std=list(data.info.std),
        images=str(scratch / "images.npz"),
        records=str(scratch / "records"),
        scratch=str(scratch),
        slots=len(os.sched_getaffinity(0)),
        gpus_per_trial=_gpus_per_trial(),
    )
    path = scratch / "job.json"
    path.write_text(json.dumps(asdict(job)))
    return job, path


def _configurations(study: Study, count: int) -> list[dict[str, Any]]:
    """The published two, then a random draw that is always the same."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    random = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    drawn = [study.search_space.suggest(random.ask()) for _ in range(count - len(RUNS))]
    return [*(dict(study.references[label]) for label in RUNS), *drawn]


def _enqueue(study: Study, results: Path, configurations: list[dict[str, Any]]) -> None:
    """Makes hw2tune's study with the list waiting in its storage; `hw2tune study` then continues it."""
    labels = [*RUNS, *[None] * (len(configurations) - len(RUNS))]
    with opened(results, study) as folder:
        storage = create_optuna_study(folder, study)
        for label, configuration in zip(labels, configurations, strict=True):
            attributes = {LABEL: label} if label else None
            storage.enqueue_trial(study.search_space.encode(configuration), user_attrs=attributes)


def _data(study: Study, scratch: Path, images: int | None) -> Dataset:
    """Writes the images for the others; where they are limited, as a folder of PNGs for hw2tune too.

    The PNGs are decoded here, into the cache that hw2tune will look in, so that no contestant pays for it.
    """
    (scratch / "data").mkdir()
    data = load_dataset(study.dataset, validation_size=study.validation_size, split_seed=study.split_seed)
    if images is not None:
        _write_folder(data, scratch / "data" / study.dataset, images + VALIDATION)
        with mock.patch.dict(os.environ, HW2TUNE_CACHE=str(scratch / "cache")):
            data = load_dataset(
                study.dataset, data_dir=scratch / "data", validation_size=VALIDATION, split_seed=study.split_seed
            )
    np.savez(
        scratch / "images.npz",
        train_images=data.train.images,
        train_labels=data.train.labels,
        validation_images=data.validation.images,
        validation_labels=data.validation.labels,
    )
    return data


def _write_folder(data: Dataset, folder: Path, count: int) -> None:
    for part, split, size in (("train", data.train, count), ("test", data.test, 100)):
        for label, name in enumerate(data.info.classes):
            (folder / part / name).mkdir(parents=True)
            _write_class(split, label, folder / part / name, size // len(data.info.classes))


def _write_class(split: Split, label: int, folder: Path, count: int) -> None:
    for index in np.flatnonzero(split.labels == label)[:count]:
        Image.fromarray(split.images[index].squeeze()).save(folder / f"{index:05}.png")


def _gpus_per_trial() -> float:
    import torch

    return 0.25 if torch.cuda.is_available() else 0.0
