"""Runs of Tune that Ray's failures end; errors of others that come out as they are; and slow workers."""

import json
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from optuna.trial import TrialState

from hw2tune.data.load import load_dataset
from hw2tune.errors import RayFailedError, ResourceError, UserCodeError
from hw2tune.events import Event, Listeners, Noted, StudyFinished
from hw2tune.execution.cluster import Cluster
from hw2tune.execution.run import run_trials
from hw2tune.records.layout import StudyFolder
from hw2tune.records.trials.storage import read_trials
from hw2tune.resources import Capacity, ResourceRequest
from hw2tune.search.driver import Assignment, Decision, EpochResult, Outcome, RunEnd, StudyDriver
from hw2tune.study.file import find_study, parse_study

STUDY = parse_study(*find_study("quickstart"), overrides={"trials": 3, "max_epochs": 1})


class OneMachine(Cluster):
    """A machine without Ray."""

    machines = able = ("a",)
    here = "a"

    def capacity(self, excluded=(), *, at_most=False) -> Capacity:
        concurrency = self.resources.concurrency or 1
        return Capacity(cpus_per_trial=1, gpus_per_trial=0, concurrency=concurrency, text="CPUs")


def run(folder: StudyFolder, execute, listeners=(), cluster=OneMachine, concurrency=1, study=STUDY) -> RunEnd:
    return run_trials(
        study, folder=folder, data=load_dataset("synthetic-mnist", validation_size=100),
        cluster=cluster(resources=ResourceRequest(concurrency=concurrency)), tell=Listeners(listeners), execute=execute,
    )  # fmt: skip


def one_epoch(driver: StudyDriver, given: Assignment) -> None:
    record = {"epoch": 1, "validation_accuracy": 0.5, "images_per_second": 1.0, "epoch_seconds": 0.1}
    assert driver.epoch(given.trial, EpochResult(record=record, checkpoint=b"")) is Decision.STOP
    driver.ended(given.trial, Outcome(machine="a"))


KILLED = "Ray Tune ended with RuntimeError: worker killed for memory"


def test_a_trial_that_ends_tune_again_when_it_runs_alone_is_lost_and_its_neighbours_are_not(tmp_path):
    at_once: list[int] = []
    events: list[Event] = []

    def execute(driver, *, capacity, **_):
        at_once.append(capacity.concurrency)
        given = [one for _ in range(capacity.concurrency) if isinstance(one := driver.next(), Assignment)]
        while given:
            if any(one.trial == 1 for one in given):
                raise RayFailedError(KILLED)
            one_epoch(driver, given.pop())
            given += [one for one in [driver.next()] if isinstance(one, Assignment)]
        return RunEnd.COMPLETE

    folder = StudyFolder(tmp_path)
    assert run(folder, execute, [events.append], concurrency=2) is RunEnd.COMPLETE
    assert at_once == [2, 1, 2]  # trials 0 and 1, then one after the other, then the third
    assert [trial.state.name for trial in read_trials(folder)] == ["COMPLETE", "FAIL", "COMPLETE"]
    assert read_trials(folder)[1].user_attrs["reason"] == f"lost: {KILLED}"
    assert "RayFailedError" in (folder.trial(1).root / "error.txt").read_text()
    assert len(folder.trials_table.read_text().splitlines()) == 4
    assert isinstance(events[-1], StudyFinished) and events[-1].end == "complete" and len(events[-1].rows) == 3
    note = f"{KILLED}; the trials that were running go on one at a time"
    assert [event.text for event in events if isinstance(event, Noted)] == [note, note]


def test_in_virtual_order_a_lost_trial_and_epochs_behind_a_stop_are_told(tmp_path):
    order = {"order": "virtual", "slots": 2, "trials": 4, "max_epochs": 3, "pruner.reduction_factor": 2}
    study = parse_study(*find_study("quickstart"), overrides=order)
    events: list[Event] = []

    def execute(driver, *, capacity, **_):
        given = [one for _ in range(capacity.concurrency) if isinstance(one := driver.next(), Assignment)]
        while given:
            if any(one.trial == 1 for one in given):
                raise RayFailedError(KILLED)
            trial = given.pop().trial  # the latest one, to its end: it overtakes the other
            for epoch in (1, 2, 3):
                value = 0.5 / (1 + trial)
                record = {"epoch": epoch, "validation_accuracy": value, "images_per_second": 1.0, "epoch_seconds": 0.1}
                if driver.epoch(trial, EpochResult(record=record, checkpoint=b"")) is Decision.STOP:
                    break
            driver.ended(trial, Outcome(machine="a"))
            given += [one for one in [driver.next()] if isinstance(one, Assignment)]
        return RunEnd.COMPLETE

    folder = StudyFolder(tmp_path)
    assert run(folder, execute, [events.append], concurrency=2, study=study) is RunEnd.COMPLETE
    assert [trial.state.name for trial in read_trials(folder)] == ["COMPLETE", "FAIL", "PRUNED", "PRUNED"]
    notes = [event.text for event in events if isinstance(event, Noted)]
    assert notes[-2:] == [
        "virtual order: 2 epochs trained behind a stop, which do not count, beside 5 that do",
        "virtual order: trial 1 ended with its worker or machine, so the same study again may come out otherwise",
    ]


def test_where_ray_fails_whatever_runs_no_trial_is_lost(tmp_path):
    runs = []

    def execute(driver, *, capacity, **_):
        runs.append([driver.next().trial for _ in range(capacity.concurrency)])
        raise RayFailedError(KILLED)

    with pytest.raises(RayFailedError) as refusal:
        run(StudyFolder(tmp_path), execute, concurrency=2)
    assert str(refusal.value) == f"{KILLED}; finished trials are kept, run the same command again"
    assert runs == [[0, 1], [0]]
    assert [trial.state for trial in read_trials(StudyFolder(tmp_path))] == [
        TrialState.RUNNING,
        TrialState.RUNNING,
        TrialState.WAITING,
    ][:2]


def test_a_failure_of_rays_with_no_trial_to_blame_ends_the_run(tmp_path):
    def execute(driver, **_):
        raise RayFailedError("Ray Tune ended with TuneError: no Tune today")

    with pytest.raises(RayFailedError, match="no Tune today; finished trials are kept, run the same command again"):
        run(StudyFolder(tmp_path), execute)


@pytest.mark.parametrize("error", [ZeroDivisionError("ours"), UserCodeError("theirs"), KeyError("ours")])
def test_an_error_that_is_not_rays_comes_out_at_once_and_no_trial_is_lost(tmp_path, error):
    runs = []

    def execute(driver, **_):
        runs.append(driver.next().trial)
        raise error

    with pytest.raises(type(error)) as raised:
        run(StudyFolder(tmp_path), execute)
    assert raised.value is error and runs == [0]
    assert read_trials(StudyFolder(tmp_path))[0].state == TrialState.RUNNING


def test_a_run_without_an_excluded_machine_begins_where_the_last_one_ended(tmp_path):
    ends = []

    def execute(driver, **_):
        given = driver.next()
        ends.append((given.trial, given.checkpoint))
        if len(ends) == 1:
            return RunEnd.MACHINE_EXCLUDED
        one_epoch(driver, given)
        while isinstance(given := driver.next(), Assignment):
            one_epoch(driver, given)
        return RunEnd.COMPLETE

    assert run(StudyFolder(tmp_path), execute) is RunEnd.COMPLETE
    assert ends == [(0, None), (0, None)]


def test_a_run_that_crashes_while_it_is_interrupted_is_over(tmp_path):
    runs = []

    def execute(driver, **_):
        runs.append(driver.next().trial)
        driver.interrupt()
        raise RayFailedError("its workers were ended first")

    assert run(StudyFolder(tmp_path), execute) is RunEnd.INTERRUPTED
    assert runs == [0] and read_trials(StudyFolder(tmp_path))[0].state == TrialState.RUNNING


def test_machines_that_go_after_the_beginning_refuse_no_concurrency_that_was_asked_for(tmp_path):
    asked = []

    class Shrinking(OneMachine):
        def capacity(self, excluded=(), *, at_most=False):
            asked.append(at_most)
            return super().capacity()

    def execute(driver, **_):
        if len(asked) == 2:
            driver.next()
            raise RayFailedError("crashed")
        while isinstance(given := driver.next(), Assignment):
            one_epoch(driver, given)
        return RunEnd.COMPLETE

    assert run(StudyFolder(tmp_path), execute, cluster=Shrinking) is RunEnd.COMPLETE
    assert asked == [False, False, True, True]  # for the plan, for the first run, for those after it


def test_a_study_without_a_machine_ends_with_its_time_and_waits_no_longer(tmp_path):
    class Leaving(OneMachine):
        def capacity(self, excluded=(), *, at_most=False):
            if at_most:  # after the beginning
                time.sleep(0.2)
                raise ResourceError("there are 0 CPUs")
            return super().capacity()

    def execute(driver, **_):
        one_epoch(driver, driver.next())
        driver.begin_anew()
        return driver.ending

    def ends(seconds: float) -> RunEnd:
        return run_trials(
            STUDY, folder=StudyFolder(tmp_path), data=load_dataset("synthetic-mnist", validation_size=100),
            cluster=Leaving(resources=ResourceRequest(concurrency=1)), tell=Listeners(), execute=execute,
            deadline=time.monotonic() + seconds,
        )  # fmt: skip

    assert ends(0.1) is RunEnd.OUT_OF_TIME
    with pytest.raises(ResourceError, match="there are 0 CPUs"):
        ends(60)


SLOW_STARTS = """
import json, os, sys, time
from functools import partial
from pathlib import Path
import ray
from ray import tune
from hw2tune.data.load import load_dataset
from hw2tune.records.trials.epochs import read_epochs
from hw2tune.records.layout import StudyFolder
from hw2tune.study.file import find_study, parse_study
from hw2tune.execution.run import run_trials
from hw2tune.execution.tune import run_tune
from hw2tune.execution.cluster import Cluster
from hw2tune.events import Listeners
from hw2tune.resources import ResourceRequest
from hw2tune.execution.scratch import scratch

place = Path(sys.argv[1])

class Quick(tune.Trainable):
    def setup(self, config, **_):
        (place / f"worker-{os.getpid()}").touch()
        time.sleep(4 if len(list(place.glob("worker-*"))) > 1 else 0)

    def reset_config(self, config):
        return True

    def step(self):
        time.sleep(0.05)
        return {"epoch": 1, "train_loss": 1.0, "validation_accuracy": 0.5, "validation_loss": 1.0,
                "images_per_second": 1.0, "epoch_seconds": 0.05, "checkpoint": b"", "done": True}

folder = StudyFolder(place)
study = parse_study(*find_study("quickstart"), overrides={"trials": 200, "sampler": "random"})
data = load_dataset("synthetic-mnist", validation_size=100)
with scratch() as temporary:
    ray.init("local", num_cpus=3, include_dashboard=False, log_to_driver=False, logging_level="ERROR",
             _temp_dir=str(temporary))
    run_trials(study, folder=folder, data=data, cluster=Cluster(resources=ResourceRequest()), tell=Listeners(),
               execute=partial(run_tune, trainable=Quick))
    ray.shutdown()
print(json.dumps([[epoch["pid"] for epoch in read_epochs(folder.trial(number))] for number in range(200)]))
"""


@pytest.mark.matrix
@pytest.mark.ray
def test_workers_that_start_more_slowly_than_trials_end_are_awaited_and_used(tmp_path):
    # Tune alone ends a worker that is starting as soon as another one is free: the first would run the whole study.
    shown = subprocess.run(
        [sys.executable, "-c", SLOW_STARTS, str(tmp_path)], check=True, stdout=subprocess.PIPE, text=True
    )
    epochs = json.loads(shown.stdout.splitlines()[-1])
    assert [len(pids) for pids in epochs] == [1] * 200
    assert len({pid for [pid] in epochs}) == len(list(tmp_path.glob("worker-*"))) == 3


def test_at_the_end_no_machine_is_asked_for_its_gpus_as_it_may_be_gone(tmp_path):
    study = parse_study(*find_study("quickstart"), overrides={"order": "virtual", "slots": 1, "trials": 3})
    asked, events = [], list[Event]()

    class WithGpu(OneMachine):
        def capacity(self, excluded=(), *, at_most=False):
            asked.append(excluded)
            return replace(super().capacity(), gpu_slots=1)

    def interrupted(driver, **_):
        return RunEnd.INTERRUPTED

    assert run(StudyFolder(tmp_path), interrupted, [events.append], WithGpu, study=study) is RunEnd.INTERRUPTED
    assert len(asked) == 2, "for the plan, and for the run"
    noted = [event.text for event in events if isinstance(event, Noted)]
    assert noted == [
        "virtual order: a GPU's arithmetic may differ from run to run, so the same study again may come out otherwise"
    ]
