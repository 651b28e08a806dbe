"""Counters of a run among those of Ray, which a cluster's Prometheus reads: a listener of events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hw2tune.events import (
    EpochFinished,
    Event,
    ReplicationStarted,
    StudyStarted,
    TrainingEpochFinished,
    TrainingFinished,
    TrialFinished,
    TrialRetried,
)

# Name -> (description, labels besides the study's name). docs/cluster.md has them for administrators.
COUNTERS = {
    "hw2tune_epochs": ("Epochs trained, by trials and by trainings of replicates.", ("kind",)),
    "hw2tune_images": ("Images trained on, each once an epoch.", ("kind",)),
    "hw2tune_trials": ("Trials that ended, by state.", ("state",)),
    "hw2tune_trainings": ("Trainings of replicates and races that ended, by state.", ("state",)),
    "hw2tune_retries": ("Attempts of trials that failed and were followed by another.", ()),
}


class ClusterMetrics:
    """Count what happens in a run. `counter` makes a counter by name, description and label names, as Ray's does."""

    def __init__(self, counter: Callable[..., Any]) -> None:
        self.study = ""
        self.counters = {
            name: counter(name, description=text, tag_keys=("study", *labels))
            for name, (text, labels) in COUNTERS.items()
        }

    def __call__(self, event: Event) -> None:
        match event:
            case StudyStarted() | ReplicationStarted():
                self.study = event.study.name
            case EpochFinished() | TrainingEpochFinished():
                kind = "trial" if isinstance(event, EpochFinished) else "replicate"
                images = event.record.get("images_per_second", 0.0) * event.record.get("train_seconds", 0.0)
                self._count("epochs", kind=kind)
                self._count("images", round(images), kind=kind)
            case TrialFinished():
                self._count("trials", state=event.row.state)
            case TrainingFinished():
                self._count("trainings", state=event.row.state)
            case TrialRetried():
                self._count("retries")

    def _count(self, name: str, number: int = 1, **labels: str) -> None:
        if number > 0:  # Ray takes no other
            self.counters[f"hw2tune_{name}"].inc(number, {"study": self.study, **labels})
