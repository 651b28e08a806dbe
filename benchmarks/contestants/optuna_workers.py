"""Optuna alone, several processes on one storage: its tutorial "Easy Parallelization", with a file journal.

Without an argument behind the job it makes the study, hands it the configurations and starts a worker a slot.
"""

from __future__ import annotations

import subprocess
import sys

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from benchmarks.contestants.tutorial import Job, read_job, train
from hw2tune.study.file import find_study, parse_study

NAME = "workers"


def storage(job: Job) -> JournalStorage:
    return JournalStorage(JournalFileBackend(f"{job.scratch}/optuna.log"))


def work(job: Job) -> None:
    search_space = parse_study(*find_study(job.study)).search_space

    def objective(trial: optuna.Trial) -> float:
        if trial.number >= len(job.configurations):  # both workers looked while one trial was left
            raise optuna.TrialPruned
        value = 0.0
        for epoch, (value, _, _) in enumerate(train(search_space.suggest(trial), job), 1):
            trial.report(value, epoch)
        return value

    def stop_at_the_end(study: optuna.Study, _: FrozenTrial) -> None:
        if not study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
            study.stop()

    optuna.load_study(study_name=NAME, storage=storage(job)).optimize(objective, callbacks=[stop_at_the_end])


def main() -> None:
    job = read_job(sys.argv[1])
    if sys.argv[2:] == ["worker"]:
        work(job)
        return
    study = optuna.create_study(study_name=NAME, storage=storage(job), direction="maximize")
    search_space = parse_study(*find_study(job.study)).search_space
    for configuration in job.configurations:
        study.enqueue_trial(search_space.encode(configuration))
    command = [sys.executable, "-m", "benchmarks.contestants.optuna_workers", sys.argv[1], "worker"]
    workers = [subprocess.Popen(command) for _ in range(job.slots)]
    sys.exit(max(worker.wait() for worker in workers))


if __name__ == "__main__":
    main()
