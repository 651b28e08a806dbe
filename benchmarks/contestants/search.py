"""One search of the search benchmark: spends its epochs and writes validation and test accuracy of each.

For `ours`, `random` and `tpe` hw2tune's own driver runs one trial after another; `ray` is Tune with its own search and
scheduler.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# ruff: noqa: E402  # the environment is settled before Ray is imported
from hw2tune.variables import settle

settle()
import ray
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch

from hw2tune.data.load import load_dataset
from hw2tune.events import Listeners
from hw2tune.records.layout import StudyFolder
from hw2tune.records.trials.storage import create_optuna_study
from hw2tune.search.driver import Assignment, EpochResult, Outcome, StudyDriver, Verdict
from hw2tune.search.failures import Failure, failure_of
from hw2tune.search.pruners import build_pruner
from hw2tune.search.recorder import Recorder
from hw2tune.search.retries import FailurePolicy
from hw2tune.search.samplers import build_sampler
from hw2tune.study.file import find_study, parse_study
from hw2tune.study.hyperparameters import Hyperparameters
from hw2tune.study.schema import Study

OVERRIDES: dict[str, dict[str, Any]] = {
    "ours": {},
    "random": {"sampler": "random", "pruner.name": "none"},
    "tpe": {"pruner.name": "none"},
    "ray": {},
}
Pairs = list[tuple[float, float]]


def main() -> None:
    contestant, seed, budget, scratch, out = sys.argv[1:]
    # One trial an epoch at most, so the study never ends before its budget.
    overrides = OVERRIDES[contestant] | {"seed": int(seed), "trials": int(budget) + 2}
    study = parse_study(*find_study("quickstart"), overrides=overrides)
    if contestant == "ray":
        pairs = _by_tune(study, int(budget), scratch)
    else:
        pairs = _by_hw2tune(study, int(budget), StudyFolder(Path(scratch) / study.name), warm=contestant == "ours")
    Path(out).write_text(json.dumps(pairs[: int(budget)]))


def _by_hw2tune(study: Study, budget: int, folder: StudyFolder, *, warm: bool) -> Pairs:
    folder.root.mkdir()
    optuna_study, tell = create_optuna_study(folder, study), Listeners()
    recorder = Recorder(study, optuna_study, folder, tell)
    if warm:
        recorder.enqueue_references()
    optuna_study.sampler, optuna_study.pruner = build_sampler(study, 0), build_pruner(study)
    driver = StudyDriver(recorder=recorder, policy=FailurePolicy(retries=0), tell=tell)
    pairs: Pairs = []
    while len(pairs) < budget and isinstance(given := driver.next(), Assignment):
        outcome = Outcome()
        for result, test in _epochs(study, given.hyperparameters):
            if isinstance(result, Failure):
                pairs.append((0.0, test))  # a diverged epoch is spent all the same
                outcome = Outcome(failure=result)
                break
            pairs.append((result["validation_accuracy"], test))
            verdict = driver.epoch(given.trial, EpochResult(record=result, checkpoint=b""))
            if verdict is Verdict.STOP or len(pairs) == budget:
                break
        driver.ended(given.trial, outcome)
    return pairs


def _epochs(study: Study, hyperparameters: dict[str, Any]) -> Iterator[tuple[dict[str, Any] | Failure, float]]:
    """Each epoch's record or the failure that ends the trial, and its test accuracy."""
    import torch

    from hw2tune.study.task import Blueprint
    from hw2tune.train.batches import TrainingData, on_device
    from hw2tune.train.device import prepare_process
    from hw2tune.train.loop import DivergedError, evaluate, train_epochs
    from hw2tune.train.loss import LOSSES
    from hw2tune.train.state import new_state

    device = prepare_process(1, gpu=torch.cuda.is_available())
    data = load_dataset(study.dataset, validation_size=study.validation_size, split_seed=study.split_seed)
    test = on_device(data.test, data.info, device)
    splits = TrainingData(
        train=on_device(data.train, data.info, device),
        validation=on_device(data.validation, data.info, device),
        info=data.info,
    )
    configuration = Hyperparameters.of(hyperparameters)
    state = new_state(Blueprint(model=study.model), configuration, seed=study.seed, device=device)
    try:
        for epoch in train_epochs(state, configuration, splits, loss=study.loss, max_epochs=study.max_epochs):
            yield epoch.record(), evaluate(state.model, test, LOSSES[study.loss])[1]
    except DivergedError as error:
        yield failure_of(error, state.epoch + 1), 0.0


def _trainable(config: dict[str, Any], study: Study) -> None:
    for result, test in _epochs(study, study.search_space.decode(config)):
        value = 0.0 if isinstance(result, Failure) else result["validation_accuracy"]
        tune.report({"validation_accuracy": value, "test_accuracy": test})


class Budget(tune.Stopper):
    """Ends the run when the epochs are spent, and keeps what they gave."""

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs
        self.pairs: Pairs = []

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        if "validation_accuracy" in result:
            self.pairs.append((result["validation_accuracy"], result["test_accuracy"]))
        return False

    def stop_all(self) -> bool:
        return len(self.pairs) >= self.epochs


class Space:
    """The study's space as OptunaSearch wants it: a function that can be pickled."""

    def __init__(self, study: Study) -> None:
        self.study = study

    def __call__(self, trial: Any) -> None:
        self.study.search_space.suggest(trial)


def _by_tune(study: Study, budget: int, scratch: str) -> Pairs:
    ray.init(num_cpus=1, include_dashboard=False)
    stopper, settings = Budget(budget), study.pruner
    metric = {"metric": "validation_accuracy", "mode": "max"}
    scheduler = ASHAScheduler(
        max_t=study.max_epochs, grace_period=settings.min_epochs, reduction_factor=settings.reduction_factor
    )
    tuner = tune.Tuner(
        tune.with_resources(tune.with_parameters(_trainable, study=study), {"cpu": 1}),
        tune_config=tune.TuneConfig(
            **metric,
            search_alg=OptunaSearch(Space(study), seed=study.seed, **metric),
            scheduler=scheduler,
            num_samples=study.trials,
            max_concurrent_trials=1,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(name="tune", storage_path=scratch, verbose=0, stop=stopper),
    )
    tuner.fit()
    return stopper.pairs


if __name__ == "__main__":
    main()
