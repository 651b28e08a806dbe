"""Appends trials to a study's journal as a running study does: `python -m tests.integrations.dashboard.writer ROOT`.

Each line on stdin adds one trial of two epochs; its number comes back on stdout when it is on disk.
"""

import sys
from pathlib import Path

import optuna

from hw2tune.records.layout import StudyFolder
from hw2tune.records.lock import locked
from hw2tune.records.overview import read_study
from hw2tune.records.trials.storage import create_optuna_study


def main() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    folder = StudyFolder(Path(sys.argv[1]))
    study = read_study(folder)
    with locked(folder):
        optuna_study = create_optuna_study(folder, study)
        optuna_study.sampler = optuna.samplers.RandomSampler(seed=1)
        print("ready", flush=True)
        for _ in sys.stdin:
            trial = optuna_study.ask()
            study.search_space.suggest(trial)
            for epoch in (1, 2):
                trial.report(0.5 + 0.1 * epoch, epoch)
            trial.set_user_attr("seconds", 2.0)
            optuna_study.tell(trial.number, 0.7)
            print(trial.number, flush=True)


if __name__ == "__main__":
    main()
