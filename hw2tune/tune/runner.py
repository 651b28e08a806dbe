"""A study run: Tune executes until the study holds the trials asked for, or the user interrupts."""

from __future__ import annotations

import shutil
import tempfile
import traceback

from optuna.trial import TrialState
from ray import tune

from hw2tune.data.dataset import Dataset
from hw2tune.records.folder import StudyFolder
from hw2tune.records.states import LOST
from hw2tune.records.storage import create_optuna_study
from hw2tune.records.trials import write_trials_table
from hw2tune.study.schema import Study
from hw2tune.tune.deciding import build_pruner, build_sampler
from hw2tune.tune.interrupt import interruptible
from hw2tune.tune.ledger import Ledger
from hw2tune.tune.messages import failure
from hw2tune.tune.observer import Observer
from hw2tune.tune.plan import make_plan
from hw2tune.tune.room import Room
from hw2tune.tune.searcher import FINISHED, StudySearch
from hw2tune.tune.stopper import StudyStopper
from hw2tune.tune.trial import TrainingTrial, TrialData

STRIKES = 2  # runs of Tune without a finished trial before the trials that were running count as lost


def run_study(study: Study, *, folder: StudyFolder, data: Dataset, room: Room, observer: Observer) -> None:
    """Runs a study until it holds its trials or is interrupted. The folder must be held and Ray connected."""
    optuna_study = create_optuna_study(folder, study)
    ledger = Ledger(study, optuna_study, folder, observer)
    ledger.enqueue_published()
    observer.planned(make_plan(study, folder, ledger.rows(), data=data, room=room))
    interrupted, strikes = False, 0
    while not interrupted and ledger.unfinished:
        before = len(ledger.trials(*FINISHED))
        optuna_study.sampler = build_sampler(study, len(ledger.trials(*FINISHED, TrialState.RUNNING)))
        optuna_study.pruner = build_pruner(study)
        try:
            interrupted = _fit(ledger, data=data, room=room)
        except Exception as error:
            # Ray 2.60: a worker killed for memory on a cluster ends Tune's controller. What ran is taken up again.
            strikes = 1 if len(ledger.trials(*FINISHED)) > before else strikes + 1
            if strikes < STRIKES:
                continue
            if not ledger.trials(TrialState.RUNNING):
                raise
            reason = f"{LOST}: {type(error).__name__}: {error}".splitlines()[0]
            ledger.close_running(failure(LOST, reason, traceback.format_exc()))
            strikes = 0
        else:
            assert interrupted or len(ledger.trials(*FINISHED)) > before, "a run of Tune finishes a trial"
    write_trials_table(folder, ledger.rows(), list(study.space))


def _fit(ledger: Ledger, *, data: Dataset, room: Room) -> bool:
    """One run of Tune. Returns whether the user interrupted it."""
    search = StudySearch(ledger, ledger.trials(TrialState.RUNNING))
    stopper = StudyStopper(search)
    scratch = tempfile.mkdtemp(prefix="hw2tune-")  # Tune insists on a folder for the state that we do not use
    trainable = tune.with_resources(
        tune.with_parameters(
            TrainingTrial,
            data=TrialData(info=data.info, train=data.train, validation=data.validation),
            study=ledger.study,
            threads=room.threads,
            gpu=room.gpus_per_trial > 0,
        ),
        {"cpu": room.cpus_per_trial, "gpu": room.gpus_per_trial},
    )
    tuner = tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(
            search_alg=search,
            num_samples=-1,  # the searcher says when there are enough
            max_concurrent_trials=room.concurrency,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=scratch,
            verbose=0,
            stop=stopper,
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        ),
    )
    try:
        with interruptible(stopper.interrupt):
            tuner.fit()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return stopper.interrupted
