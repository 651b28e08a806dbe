"""Replicates whose accuracies are scripted: everything is as in a real run, without Ray, trainings and tests."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest

from hw2tune.data.load import load_undivided
from hw2tune.errors import ResourceError
from hw2tune.events import Event, Listeners
from hw2tune.inference.verdicts import Rule
from hw2tune.records.layout import StudyFolder
from hw2tune.records.overview import read_overview
from hw2tune.records.replicates import ReplicatesFolder, Training, every_replicate
from hw2tune.replication.replicate import run_replicates
from hw2tune.replication.rounds import Rounds, SeedCount
from hw2tune.replication.splits import draw_splits
from hw2tune.replication.train import Context
from hw2tune.resources import Capacity
from hw2tune.study.splits import split_of_seed
from hw2tune.train.task import TrialData

IMAGES = 500
Script = Callable[[str, int], float | None]  # accuracy of a variant on a seed; None: it diverges


class Scripted:
    """Runs of replicates in a folder, `slots` trainings at once; `trained` are the labels of trainings so far."""

    def __init__(self, folder: StudyFolder, script: Script, patch: pytest.MonkeyPatch, *, slots: int = 1) -> None:
        self.folder, self.script = folder, script
        self.loss: Script | None = None  # on the test images, where it is the objective
        self.place = ReplicatesFolder.of(folder)
        self.trained: list[str] = []
        self.images: dict[str, TrialData] = {}  # of each training
        self.events: list[Event] = []
        self.weights: list[weakref.ref] = []  # of trainings in memory; and the most of them as a training or test ended
        self.most_weights = 0
        self.value: Callable[[str], float] = lambda label: 0.9  # on validation images, by label
        self.ends: Callable[[int], int] = lambda running: 0  # which of the running trainings ends next
        self.kill_after: int | None = None  # trainings
        self.shrinks = False  # machines leave after the first training
        self.capacity = Capacity(cpus_per_trial=1, gpus_per_trial=0, concurrency=slots, text="scripted")
        self.divide = load_undivided("synthetic-mnist", validation_size=100)
        self.data = self.divide(0)
        patch.setitem(
            sys.modules, "hw2tune.execution.tasks", SimpleNamespace(train_all=self._train, run_each=self._test)
        )

    def run(self, count: SeedCount, claims: int | None = None, *, race: int = 1) -> Rounds:
        """Train and test, and return the state of the rounds at the end."""
        overview, tell = read_overview(self.folder), Listeners([self.events.append])
        cluster = SimpleNamespace(capacity=lambda *, at_most: self.capacity)
        connection = SimpleNamespace(capacity=self._as_asked_for, cluster=lambda: cluster)
        self.weights.clear()
        there = [split_of_seed(overview.study, one.seed) for one in every_replicate(self.place)]
        drawn = max(count.asked, *there, 0) if count.splits else 0
        context = Context(
            study=overview.study, folder=self.place, data=self.data, connection=connection, tell=tell,  # type: ignore[arg-type]
            splits=draw_splits(overview.study, self.data, self.divide, drawn),
        )  # fmt: skip
        rounds = Rounds(overview.study, count, Rule(claims=claims or len(overview.study.claims)))
        run_replicates(context, overview, rounds=rounds, race=race)
        return rounds

    def seeds(self, variant: str) -> list[int]:
        """Seeds of the variant in its finished trainings."""
        return sorted(int(label.split()[-1]) for label in self.trained if label.startswith(f"{variant} seed"))

    def _as_asked_for(self):
        if self.shrinks and self.trained:
            raise ResourceError("--concurrency 8 needs room for as many trials, but 1 fit")
        return self.capacity

    def _holding(self, arrays):
        self.weights.append(weakref.ref(arrays["chosen/w"]))
        self.weights = [one for one in self.weights if one() is not None]
        self.most_weights = max(self.most_weights, len(self.weights))

    def _train(self, jobs, data, capacity, tell, *, over, **_):
        live = []
        while not over():
            while len(live) < capacity.same_device and (job := next(jobs, None)) is not None:
                self.images[job.label] = data(job.split)
                live.append(job)
            if not live:
                return
            job = live.pop(self.ends(len(live)))
            if self.kill_after is not None and len(self.trained) >= self.kill_after:
                raise KeyboardInterrupt
            self.trained.append(job.label)
            variant, _, seed = job.label.rpartition(" seed ")
            diverged = not variant.startswith("race") and self.script(variant, int(seed)) is None
            value = self.value(job.label)
            arrays = {f"{name}/w": np.ones(1, np.float32) for name in ("chosen", "last", "initial_norms")}
            self._holding(arrays)
            yield Training(
                key=job.key, label=job.label, chosen_epoch=None if diverged else 1,
                diverged="diverged in epoch 1" if diverged else "", arrays=arrays,
                epochs=[{"epoch": 1, "validation_accuracy": value, "validation_loss": 0.1, "epoch_seconds": 1.0}],
            )  # fmt: skip

    def _test(self, function, calls, shared, capacity, tell, **_):
        labels = np.arange(IMAGES) % 10
        for (variant, seed), load in calls.items():
            _, training, _ = load()
            self._holding(training.arrays)
            accuracy = self.script(variant, seed)
            right = np.arange(IMAGES) < round(accuracy * IMAGES)
            one = {
                "epoch": 1,
                "loss": 0.5,
                "accuracy": float(right.mean()),
                "correct": int(right.sum()),
                "total": IMAGES,
            }
            arrays = {
                "labels": labels.astype(np.uint8),
                "predicted": np.where(right, labels, (labels + 1) % 10).astype(np.uint8),
                "confidence": np.full(IMAGES, 0.9, np.float32),
                "last_predicted": labels.astype(np.uint8),
            }
            if self.loss is not None and (value := self.loss(variant, seed)) is not None:
                one |= {"loss": value, "metric": "loss", "value": value}
                arrays["losses"] = (value + 0.01 * np.sin(labels)).astype(np.float32)
            yield (variant, seed), ({"chosen": one, "last": one}, arrays)
