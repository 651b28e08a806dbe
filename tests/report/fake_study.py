"""A study's folder with invented numbers of known truth, as the writing side lays it out: no training, no Ray."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import optuna

from hw2tune.records.arrays import npz
from hw2tune.records.dataset import DatasetRecord
from hw2tune.records.evaluation import Evaluation
from hw2tune.records.layout import StudyFolder
from hw2tune.records.replicates import (
    FEATURE_IMAGES,
    Candidate,
    Gallery,
    Race,
    Replicate,
    ReplicatesFolder,
    write_current,
    write_json,
    write_replicate,
    write_shared,
)
from hw2tune.records.trials.epochs import append_epoch
from hw2tune.records.trials.storage import create_optuna_study
from hw2tune.study.file import dump_study, find_study, parse_study
from hw2tune.study.schema import Study

TEST_ACCURACY = {
    "baseline": 0.90,
    "l2": 0.90,
    "tuned": 0.95,
    "tuned-no-l2": 0.94,
}  # the truth that replicates scatter about
LAYERS = {
    "mnist_cnn": {"conv1": (10, 1, 5, 5), "conv2": (20, 10, 5, 5), "fc1": (50, 320), "fc2": (10, 50)},
    "cifar10_cnn": {
        "conv1": (12, 3, 5, 5),
        "conv2": (24, 12, 5, 5),
        "fc1": (120, 600),
        "fc2": (84, 120),
        "fc3": (10, 84),
    },
}
MAPS = {
    "mnist_cnn": {"conv1": (10, 24, 24), "conv2": (20, 8, 8)},
    "cifar10_cnn": {"conv1": (12, 28, 28), "conv2": (24, 10, 10)},
}


def write_fake_study(
    results: Path,
    shipped: str = "quickstart",
    *,
    trials: int = 10,
    seeds: int = 3,
    test_size: int = 500,
    **overrides: object,
) -> StudyFolder:
    """A complete study: trials of every state, a race, and `seeds` replicates of the four variants."""
    study = parse_study(*find_study(shipped), overrides={"trials": max(trials, 2)} | overrides)
    folder = StudyFolder(results / study.name)
    folder.root.mkdir(parents=True)
    folder.study_file.write_text(dump_study(study))
    folder.environment.write_text(
        json.dumps(
            {
                "schema": 1,
                "runs": [
                    {
                        "started": "2026-11-23T10:00:00+00:00",
                        "command": f"hw2tune study {shipped}",
                        "python": "3.11.7",
                        "versions": {"hw2tune": "0.1.0", "torch": "2.15.0", "ray": "2.60.0", "optuna": "5.0.0"},
                        "commit": "abc",
                        "platform": "Linux",
                        "processor": "a processor",
                        "cores": 2,
                        "memory_gib": 24.0,
                        "seeds": {"study": 0, "split": 0, "replicates": list(range(seeds))},
                        "data": {"name": "fake", "checksum": "sha256:00", "split_checksum": "sha256:11"},
                        "resources": {"at": "2 CPUs", "trials_at_once": 2},
                    }
                ],
            }
        )
    )
    if trials:
        _write_trials(folder, study, trials)
    if seeds:
        _write_replicates(folder, study, seeds, test_size)
    return folder


def _write_trials(folder: StudyFolder, study: Study, trials: int) -> None:
    random = np.random.default_rng(0)
    optuna_study = create_optuna_study(folder, study)
    optuna_study.sampler = optuna.samplers.RandomSampler(seed=0)
    for label in ("baseline", "l2"):
        optuna_study.enqueue_trial(study.search_space.encode(study.references[label]), user_attrs={"label": label})
    for number in range(trials):
        trial = optuna_study.ask()
        study.search_space.suggest(trial)
        epochs = study.max_epochs if number < 4 or number % 3 == 0 else 1
        for epoch in range(1, epochs + 1):
            accuracy = float(0.7 + 0.2 * epoch / study.max_epochs + random.normal(0, 0.02))
            trial.report(accuracy, epoch)
            append_epoch(
                folder.trial(number),
                {
                    "epoch": epoch,
                    "train_loss": 2.0 - 0.1 * epoch,
                    "train_accuracy": accuracy,
                    "validation_loss": 1.9 - 0.1 * epoch,
                    "validation_accuracy": accuracy,
                    "train_seconds": 1.0,
                    "epoch_seconds": 1.1,
                    "images_per_second": 4000.0,
                    "timestamp": 1795419321 + 10 * number + epoch,
                    "hostname": "node",
                    "pid": 100 + number % 2,
                },
            )
        trial.set_user_attr("seconds", 1.1 * epochs)
        if number == 7:
            trial.set_user_attr("state", "diverged")
            trial.set_user_attr("reason", "diverged in epoch 2: loss nan (training), nan (validation)")
            optuna_study.tell(number, state=optuna.trial.TrialState.FAIL)
        elif epochs < study.max_epochs:
            optuna_study.tell(number, state=optuna.trial.TrialState.PRUNED)
        else:
            optuna_study.tell(number, max(trial.storage.get_trial(trial._trial_id).intermediate_values.values()))


def _write_replicates(folder: StudyFolder, study: Study, seeds: int, test_size: int) -> None:
    random = np.random.default_rng(1)
    replicates = ReplicatesFolder.of(folder)
    shape = (28, 28, 1) if study.model == "mnist_cnn" else (32, 32, 3)
    classes = (
        [str(i) for i in range(10)]
        if study.model == "mnist_cnn"
        else ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    )
    labels = np.arange(test_size) % 10
    size = min(test_size, 200)
    indices = random.permutation(test_size)[:size]
    write_json(
        folder.datasets[0],
        asdict(
            DatasetRecord(
                name=study.dataset,
                label="invented",
                classes=classes,
                image_shape=list(shape),
                mean=[0.5] * shape[2],
                std=[0.5] * shape[2],
                checksum="sha256:00",
                split_checksum="sha256:11",
                sizes={"train": 4000, "validation": 500, "test": test_size},
                source="tests",
            )
        ),
    )
    write_shared(
        replicates,
        Gallery(
            indices=indices, images=random.integers(0, 256, (size, *shape), dtype=np.uint8), labels=labels[indices]
        ),
        random.integers(0, 10_000, (shape[2], 256)),
    )
    write_current(
        replicates,
        ["fake"],
        Race(
            objective=study.objective,
            direction=study.direction,
            seeds=list(range(seeds)),
            winner=3,
            trials=list(range(study.trials)),
            candidates=[
                Candidate(
                    trial=2,
                    params={"learning_rate": 0.01, "batch_size": 32, "optimizer": "adam", "weight_decay": 1e-5},
                    search_value=0.93,
                    values=[0.91] * seeds,
                ),
                Candidate(
                    trial=3,
                    params={"learning_rate": 0.004, "batch_size": 64, "optimizer": "adamw", "weight_decay": 1e-4},
                    search_value=0.92,
                    values=[0.92] * seeds,
                ),
            ],
        ),
    )
    for variant in study.variants:
        for seed in range(seeds):
            write_replicate(
                replicates,
                *_replicate(
                    study, variant, seed, labels, np.random.default_rng([list(study.variants).index(variant), seed])
                ),
            )


def _replicate(
    study: Study, variant: str, seed: int, labels: np.ndarray, random: np.random.Generator
) -> tuple[Replicate, bytes]:
    truth = TEST_ACCURACY[variant] + 0.005 * (seed - 1)  # seeds shift all variants alike: pairing removes it
    right = random.random(len(labels)) < truth
    predicted = np.where(right, labels, (labels + random.integers(1, 10, len(labels))) % 10).astype(np.uint8)
    epochs = [
        {
            "epoch": e,
            "train_loss": 2.3 * 0.7**e + 0.01 * random.normal(),
            "train_accuracy": min(1.0, truth * (1 - 0.5**e)),
            "validation_loss": 2.3 * 0.75**e,
            "validation_accuracy": min(1.0, truth * (1 - 0.55**e)),
            "train_seconds": 1.0,
            "epoch_seconds": 1.1,
            "images_per_second": 4000.0,
        }
        for e in range(1, study.max_epochs + 1)
    ]

    def evaluation(epoch: int) -> Evaluation:
        correct = int((predicted == labels).sum())
        return Evaluation(
            split="test", epoch=epoch, loss=0.3, accuracy=correct / len(labels), correct=correct, total=len(labels)
        )

    published = {"learning_rate": 0.001, "batch_size": 100, "optimizer": "adam"}
    winner = {"learning_rate": 0.004, "batch_size": 64, "optimizer": "adamw"}  # trial 3, which wins the race
    params = {
        "baseline": published | {"weight_decay": 0.0},
        "l2": published | {"weight_decay": 1e-4},
        "tuned": winner | {"weight_decay": 1e-4},
        "tuned-no-l2": winner | {"weight_decay": 0.0},
    }[variant]
    arrays: dict[str, np.ndarray] = {
        "labels": labels.astype(np.uint8),
        "predicted": predicted,
        "last_predicted": predicted,
        "confidence": random.uniform(0.4, 1.0, len(labels)).astype(np.float32),
    }
    for layer, shape in LAYERS[study.model].items():
        arrays[f"weights/{layer}.weight"] = random.normal(0, 0.1, shape).astype(np.float32)
        arrays[f"weights/{layer}.bias"] = random.normal(0, 0.05, shape[:1]).astype(np.float32)
        arrays[f"initial_norms/{layer}.weight"] = np.float32(1.0)
        arrays[f"initial_norms/{layer}.bias"] = np.float32(0.1)
    for layer, shape in MAPS[study.model].items():
        arrays[f"features/{layer}"] = random.normal(0, 1, (FEATURE_IMAGES, *shape)).astype(np.float32)
    replicate = Replicate(
        study=study.name,
        variant=variant,
        seed=seed,
        params=params,
        model=study.model,
        loss=study.loss,
        state="complete",
        reason="",
        epochs=epochs,
        chosen=evaluation(study.max_epochs - 1),
        last=evaluation(study.max_epochs),
        seconds=1.1 * study.max_epochs,
        key="fake",
    )
    return replicate, npz(arrays)
