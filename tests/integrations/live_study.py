"""A study that is searched without Ray: the recorder writes and tells what a real one would, epochs are invented.

    python -m tests.integrations.live_study RESULTS LOGGER...

runs or continues it, to be killed by a test.
"""

import random
import sys
import time
from pathlib import Path

from optuna.trial import Trial, TrialState

from hw2tune.events import Listener, Listeners, StudyFinished, StudyStarted, TrialStarted
from hw2tune.integrations import make_loggers
from hw2tune.loggers import optuna_silenced
from hw2tune.records.layout import StudyFolder
from hw2tune.records.trials.epochs import DIGEST, digest, find_checkpoint, read_epochs
from hw2tune.records.trials.rows import configuration_of
from hw2tune.records.trials.states import INTERRUPTED
from hw2tune.records.trials.storage import create_optuna_study
from hw2tune.resources import Capacity
from hw2tune.search.recorder import FINISHED, Recorder
from hw2tune.study.file import dump_study, find_study, parse_study
from hw2tune.variables import settle

CAPACITY = Capacity(cpus_per_trial=1, gpus_per_trial=0, concurrency=2, text="2 CPUs")


class LiveStudy:
    """One run of a study, from `start` to `finish` or to where it is left."""

    def __init__(self, results: Path, *listeners: Listener, trials: int = 6, max_epochs: int = 3) -> None:
        self.study = parse_study(*find_study("quickstart"), overrides={"trials": trials, "max_epochs": max_epochs})
        self.folder = StudyFolder(results / self.study.name)
        self.folder.root.mkdir(parents=True, exist_ok=True)
        self.folder.study_file.write_text(dump_study(self.study))
        self.said: list[str] = []
        self.tell = Listeners([*listeners, lambda event: self.said.append(getattr(event, "text", ""))])
        optuna_study = create_optuna_study(self.folder, self.study)
        self.recorder = Recorder(self.study, optuna_study, self.folder, self.tell)
        self.recorder.enqueue_references()

    def start(self) -> "LiveStudy":
        rows = self.recorder.rows()
        self.tell(
            StudyStarted(
                study=self.study,
                finished=[row for row in rows if row.state in ("complete", "pruned", "diverged")],
                resumed={row.number: row.epochs for row in rows if row.state == INTERRUPTED},
                capacity=CAPACITY,
                dataset="MNIST",
                dataset_checksum="sha256:00",
                sizes={"train": 4000},
                folder=str(self.folder.root),
            )
        )
        return self

    def trial(self) -> Trial:
        """The next trial: one that was interrupted, or a new one."""
        running = self.recorder.trials(TrialState.RUNNING)
        if running:
            trial, _ = self.recorder.resume(running[0])
            epoch = find_checkpoint(self.folder.trial(trial.number)).epoch
            self.recorder.follow_checkpoint(trial, read_epochs(self.folder.trial(trial.number))[:epoch])
        else:
            trial = self.recorder.open_trial()
        label = trial.user_attrs.get("label", "")
        self.tell(TrialStarted(trial=trial.number, label=label, params=configuration_of(self.study, trial)))
        return trial

    def epoch(self, trial: Trial, seconds: float = 0.1) -> None:
        """Its next epoch; what the seconds of it were is never the same."""
        epoch = len(read_epochs(self.folder.trial(trial.number))) + 1
        accuracy = random.Random(f"{trial.number} {epoch}").random()
        checkpoint = f"{trial.number} {epoch}".encode()
        record = {
            "epoch": epoch, "train_loss": 2.0 - accuracy, "train_accuracy": accuracy, "validation_loss": 2.1 - accuracy,
            "validation_accuracy": accuracy * 0.99, "train_seconds": random.random(), "epoch_seconds": seconds,
            "images_per_second": 4000.0 + epoch, "timestamp": int(time.time()), "pid": 7, "hostname": "node",
            DIGEST: digest(checkpoint),
        }  # fmt: skip
        self.recorder.record_epoch(trial, record, checkpoint)

    def end(self, trial: Trial) -> None:
        self.recorder.close_trial(trial, TrialState.COMPLETE)

    def whole_trial(self) -> None:
        trial = self.trial()
        for _ in range(self.study.max_epochs - len(read_epochs(self.folder.trial(trial.number)))):
            self.epoch(trial)
        self.end(trial)

    def finish(self) -> None:
        rows = self.recorder.rows()
        self.tell(StudyFinished(folder=str(self.folder.root), end="complete", rows=rows))

    def run(self) -> "LiveStudy":
        """To its end."""
        self.start()
        while len(self.recorder.trials(*FINISHED)) < self.study.trials:
            self.whole_trial()
        self.finish()
        return self


if __name__ == "__main__":
    settle()
    results, *names = sys.argv[1:]
    with optuna_silenced():
        print(*LiveStudy(Path(results), *make_loggers(names), trials=40).run().said, sep="")
