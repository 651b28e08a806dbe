"""A study's folder as a run leaves it, with networks that were really trained: in this process, without Ray."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from optuna.trial import TrialState

from hw2tune.data.dataset import Dataset
from hw2tune.events import Listeners
from hw2tune.execution.request import load_for
from hw2tune.records.arrays import npz
from hw2tune.records.environment import add_run
from hw2tune.records.evaluation import Evaluation
from hw2tune.records.layout import StudyFolder
from hw2tune.records.opening import opened
from hw2tune.records.replicates import (
    Candidate,
    Race,
    Replicate,
    ReplicatesFolder,
    Training,
    write_current,
    write_replicate,
    write_training,
)
from hw2tune.records.trials.epochs import DIGEST, digest
from hw2tune.records.trials.storage import create_optuna_study
from hw2tune.replication.replicate import write_shared_records
from hw2tune.replication.train import Context
from hw2tune.search.failures import failure_of
from hw2tune.search.recorder import Recorder
from hw2tune.study.file import parse_study
from hw2tune.study.schema import Study
from hw2tune.train.device import on_device
from hw2tune.train.evaluate import evaluate_network
from hw2tune.train.task import TrialData, task_of
from hw2tune.train.trainer import Trainer

STUDY = """
name = "{name}"
dataset = "{dataset}"
model = "{model}"
objective = "{objective}"
max_epochs = {epochs}
trials = 2
seed = 3
[training]
batch_size = 64
optimizer = "adam"
{training}
[space]
learning_rate = {{ low = 1e-4, high = 1e39, log = true }}
[references.baseline]
learning_rate = {rate}
{baseline}
[references.large]
learning_rate = {large}
{claims}
"""


def write_trained_study(
    results: Path,
    *,
    name: str = "small",
    dataset: str = "mnist-5k",
    model: str = "mnist_cnn",
    objective: str = "validation_accuracy",
    epochs: int = 1,
    rate: float = 0.002,
    large: float = 0.004,
    seeds: tuple[int, ...] = (4, 5),
    beside: Path | None = None,
    training: str = "",
    baseline: str = "",
    claims: str = "",
) -> tuple[StudyFolder, Dataset]:
    """Two trials, and the `tuned` and `baseline` replicates on `seeds`. Own code lies in the folder `beside`.

    `training`, `baseline` and `claims` are further lines of the study file.
    """
    text = STUDY.format(
        name=name,
        dataset=dataset,
        model=model,
        objective=objective,
        epochs=epochs,
        rate=rate,
        large=large,
        training=training,
        baseline=baseline,
        claims=claims,
    )
    study = parse_study(text, str((beside or results) / "study.toml"))
    data = load_for(study, None, Listeners())
    trainer = Trainer(
        TrialData(info=data.info, train=data.train, validation=data.validation), threads=1, gpu=False
    )  # fmt: skip
    with opened(results, study, data) as folder:
        add_run(
            folder,
            print,
            seeds={"study": study.seed, "split": study.split_seed},
            data={"name": data.label, "checksum": data.checksum, "split_checksum": data.split_checksum},
            resources={"threads": 1, "gpus_per_trial": 0.0},
        )
        recorder = Recorder(study, create_optuna_study(folder, study), folder, Listeners())
        recorder.enqueue_references()
        for _ in range(2):
            _run_trial(study, recorder, trainer)
        if seeds:
            _replicate(study, folder, data, trainer, seeds)
    return folder, data


def _run_trial(study: Study, recorder: Recorder, trainer: Trainer) -> None:
    trial = recorder.open_trial()
    session = trainer.open(task_of(study, study.hyperparameters(recorder.configuration(trial)), study.seed))
    try:
        while not session.finished:
            record, content, best = session.step(), session.checkpoint(), session.best
            recorder.record_epoch(trial, record | {DIGEST: digest(content)}, content)
            recorder.keep_weights(trial.number, [record], partial(dict, best.weights) if session.at_best else None)
    except Exception as error:
        recorder.close_failed(trial, failure_of(error, session.state.epoch + 1, study.code))
    else:
        if failure := recorder.without_value(trial):
            recorder.close_failed(trial, failure)
        else:
            recorder.close_trial(trial, TrialState.COMPLETE)


def _replicate(
    study: Study, folder: StudyFolder, data: Dataset, trainer: Trainer, seeds: tuple[int, ...]
) -> None:  # fmt: skip
    place = ReplicatesFolder.of(folder)
    gallery = write_shared_records(Context(study=study, folder=place, data=data, connection=None, tell=Listeners()))  # type: ignore[arg-type]
    configuration = study.references["baseline"]
    candidate = Candidate(trial=0, params=configuration, search_value=0.9, values=[0.9])
    race = Race(objective=study.objective, direction=study.direction, seeds=[1004], candidates=[candidate], winner=0)
    write_current(place, [f"{variant} key{seed}" for variant in ("tuned", "baseline") for seed in seeds], race)
    hyperparameters = study.hyperparameters(configuration)
    for seed in seeds:
        task = task_of(study, hyperparameters, seed)
        training = _training(trainer, task, f"key{seed}")
        write_training(place.trainings, training)
        evaluations, arrays = evaluate_network(
            training, task, data.info, on_device(data.test, data.info, trainer.device), shown=gallery.indices[:3],
        )  # fmt: skip
        read = {which: Evaluation(split="test", **values) for which, values in evaluations.items()}
        for variant in ("tuned", "baseline"):
            replicate = Replicate(
                study=study.name, variant=variant, seed=seed, params=hyperparameters.as_dict(), model=study.model,
                loss=study.loss, state="complete", reason="", epochs=training.epochs, chosen=read["chosen"],
                last=read["last"], seconds=training.seconds, key=f"{variant} key{seed}",
            )  # fmt: skip
            write_replicate(place, replicate, npz(arrays))


def _training(trainer: Trainer, task: Any, key: str) -> Training:
    running = trainer.train(task)
    while True:
        try:
            next(running)
        except StopIteration as end:
            return replace(end.value, key=key)
