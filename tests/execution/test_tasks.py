"""Trainings and tests in workers that come and go, with a stand-in for Ray that counts."""

import itertools
import weakref
from functools import partial
from types import SimpleNamespace

import pytest
from ray.exceptions import (
    LocalRayletDiedError,
    NodeDiedError,
    ObjectLostError,
    OutOfMemoryError,
    RayTaskError,
    WorkerCrashedError,
)

from hw2tune.errors import ResourceError, TrainingFailedError
from hw2tune.events import Event, Listeners, Noted, TrainingFinished, TrainingStarted, TrainingStopped
from hw2tune.execution import tasks
from hw2tune.execution.tasks import DEATHS, run_each, train_all
from hw2tune.records.replicates import Training
from hw2tune.resources import Capacity, ResourceRequest, find_capacity
from hw2tune.study.file import find_study, parse_study
from hw2tune.train.task import Job, task_of

STUDY = parse_study(*find_study("quickstart"))
SECONDS = 1.0  # of a training or a test


def slots(number: int, *, gpus: int = 0) -> Capacity:
    each = 0.25 if gpus else 0.0
    return Capacity(
        cpus_per_trial=1, gpus_per_trial=each, concurrency=number, text="", gpu_slots=gpus, cpu_slots=number - gpus
    )  # fmt: skip


class StandIn:
    """Ray and its clock: the call that began first ends next, after SECONDS, or as `ends` says of the n-th call."""

    def __init__(self, patch: pytest.MonkeyPatch, ends: dict[int, Exception] | None = None) -> None:
        self.ends, self.clock, self.begun, self.most = ends or {}, 0.0, 0, 0
        self.live: list[list] = []
        self.options: list[dict] = []
        self.asked: list[float] = []
        self.cancelled: list[list] = []
        patch.setattr(tasks, "ray", self)
        patch.setattr(tasks, "time", SimpleNamespace(monotonic=lambda: self.clock, sleep=self.sleep))
        patch.setattr(tasks, "_stream", lambda task, *_: iter([finished(task.seed)]))

    def sleep(self, seconds: float) -> None:
        self.clock += seconds

    def put(self, content):
        return content

    def remote(self, **_):
        def call(function, options, *arguments):
            number = self.begun
            self.begun += 1
            stream = iter([self.ends[number]]) if number in self.ends else function(*arguments)
            self.live.append(stream)
            self.options.append(options)
            self.most = max(self.most, len(self.live))
            return stream

        def with_options(function):
            return SimpleNamespace(options=lambda **given: SimpleNamespace(remote=partial(call, function, given)))

        return with_options

    def wait(self, streams, num_returns, timeout):
        self.clock += SECONDS
        return [streams[0]], []

    def get(self, item):
        self.live.pop(0)
        if isinstance(item, Exception):
            raise item
        return item

    def cancel(self, stream):
        self.cancelled.append(stream)

    def asking(self, course):
        """The capacity after so many seconds, the last that is there."""

        def now() -> Capacity:
            self.asked.append(self.clock)
            found = [what for after, what in course.items() if after <= self.clock][-1]
            if isinstance(found, Exception):
                raise found
            return found

        return now


def finished(seed: int) -> Training:
    epoch = {"epoch": 1, "validation_accuracy": 0.9, "epoch_seconds": 1.0}
    return Training(key="", epochs=[epoch], chosen_epoch=1, diverged="")


def job(seed: int) -> Job:
    label = f"baseline seed {seed}"
    return Job(label=label, task=task_of(STUDY, STUDY.reference("baseline"), seed), key=str(seed))


def trained(ray: StandIn, number: int, course, **options) -> tuple[list[str], list[Event]]:
    events: list[Event] = []
    jobs = options.pop("jobs", None) or map(job, range(number))
    found = train_all(
        jobs, lambda split: None, course[0], Listeners([events.append]), now=ray.asking(course),
        numbers=itertools.count(40), **options,
    )  # fmt: skip
    return [one.key for one in found], events


def test_machines_that_join_are_used_within_seconds_and_those_that_leave_are_no_longer_counted(monkeypatch):
    ray = StandIn(monkeypatch)
    seen = []
    monkeypatch.setattr(tasks, "_row", lambda *_: seen.append((ray.clock, len(ray.live))) or SimpleNamespace())
    keys, _ = trained(ray, 60, {0: slots(1), 5: slots(4), 30: slots(2)})
    assert sorted(keys, key=int) == [str(number) for number in range(60)]
    assert {live for clock, live in seen if clock <= 5} == {0}  # as one ends
    assert all(live == 3 for clock, live in seen if 5 + tasks.EVERY + SECONDS < clock <= 30)
    assert all(live == 1 for clock, live in seen if 30 + tasks.EVERY + 2 * SECONDS < clock < seen[-1][0])
    assert ray.most == 4


def test_a_cluster_is_asked_for_its_machines_every_two_seconds_at_most(monkeypatch):
    ray = StandIn(monkeypatch)
    monkeypatch.setattr(tasks, "time", SimpleNamespace(monotonic=lambda: ray.clock / 10, sleep=ray.sleep))
    trained(ray, 100, {0: slots(3)})
    assert len(ray.asked) == 5  # ten seconds, each a tenth of a second


def test_trainings_stay_on_the_device_of_the_first_whatever_joins(monkeypatch):
    """A training on another device is another training: its key says so."""
    ray = StandIn(monkeypatch)
    trained(ray, 30, {0: slots(1), 4: slots(10, gpus=8)})
    assert ray.most == 2 and {one["num_gpus"] for one in ray.options} == {0}
    ray = StandIn(monkeypatch)
    trained(ray, 30, {0: slots(4, gpus=2), 4: slots(10, gpus=3)})
    assert ray.most == 3 and {one["num_gpus"] for one in ray.options} == {0.25}


def test_a_gpu_that_joins_takes_no_slot_from_trainings_on_cpus(monkeypatch):
    """The bound of --concurrency is that of their device: four on the GPU would leave none of four."""
    request, cpus, gpu = ResourceRequest(concurrency=4), {"CPU": 4.0}, {"CPU": 8.0, "GPU": 1.0}
    ray = StandIn(monkeypatch)
    first, later = (find_capacity(nodes, request) for nodes in ([cpus], [cpus, gpu]))
    assert later.gpu_slots == 4
    keys, events = trained(ray, 40, {0: first, 4: later})
    assert (len(keys), ray.most, ray.clock) == (40, 4, 40 * SECONDS)  # nobody waits
    assert not [one for one in events if isinstance(one, Noted)]


def test_while_no_machine_is_left_they_wait_for_one_and_say_so_once(monkeypatch):
    ray = StandIn(monkeypatch)
    gone = ResourceError("a trial needs 1 CPUs and 0 GPUs on one node, but there are 0 CPUs")
    keys, events = trained(ray, 12, {0: slots(2), 3: gone, 60: slots(2)})
    assert len(keys) == 12 and ray.clock > 60
    said = f"no machine is left to train on ({gone}); waiting for one to join, Ctrl-C ends the command"
    assert [one.text for one in events if isinstance(one, Noted)] == [said]
    ray = StandIn(monkeypatch)
    keys, _ = trained(ray, 12, {0: slots(2), 11: gone})  # the last two have begun
    assert len(keys) == 12 and ray.clock < 15
    ray = StandIn(monkeypatch)
    _, events = trained(ray, 12, {0: slots(2, gpus=2), 3: slots(8), 60: slots(2, gpus=2)})
    assert any("(none has the device of the trainings so far)" in one.text for one in events if isinstance(one, Noted))


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (NodeDiedError("node"), "its machine is gone"),
        (LocalRayletDiedError(), "its machine is gone"),
        (WorkerCrashedError(), "its worker process died"),
        (OutOfMemoryError("low"), "Ray's memory monitor ended its worker process"),
        (ObjectLostError("00" * 28, None, ""), "its result was lost with its machine"),
    ],
)  # fmt: skip
def test_what_is_lost_with_its_worker_or_machine_begins_again_under_its_number(monkeypatch, error, words):
    ray = StandIn(monkeypatch, ends={1: error})
    keys, events = trained(ray, 3, {0: slots(2)})
    assert sorted(keys) == ["0", "1", "2"]
    text = f"baseline seed 1: {words}; its training begins again"
    assert [one for one in events if isinstance(one, TrainingStopped)] == [TrainingStopped(training=41, text=text)]
    begun = [one.training for one in events if isinstance(one, TrainingStarted)]
    assert begun == [40, 41, 42, 41] or begun == [40, 41, 41, 42]
    ends = [one.row.number for one in events if isinstance(one, TrainingFinished)]
    assert sorted(ends) == [40, 41, 42]


def test_a_training_that_ends_its_workers_is_given_up_and_one_that_loses_its_machines_after_more_than_ten(monkeypatch):
    ray = StandIn(monkeypatch, ends=dict.fromkeys(range(DEATHS), WorkerCrashedError()))
    with pytest.raises(TrainingFailedError) as failure:
        trained(ray, 1, {0: slots(1)})
    assert str(failure.value) == (
        "baseline seed 0: its training failed (its worker process died, 3 times); what is finished is kept, run the "
        "same command again"
    )
    ray = StandIn(monkeypatch, ends=dict.fromkeys(range(10), NodeDiedError("node")))
    assert trained(ray, 1, {0: slots(1)})[0] == ["0"]
    ray = StandIn(monkeypatch, ends=dict.fromkeys(range(11), NodeDiedError("node")))
    with pytest.raises(TrainingFailedError, match=r"its training failed \(its machine is gone, 11 times\); what is"):
        trained(ray, 1, {0: slots(1)})


def test_an_error_of_the_code_that_trains_comes_in_its_own_words_at_once(monkeypatch):
    cause = TrainingFailedError("net.py:3: ValueError: no")
    ray = StandIn(monkeypatch, ends={0: RayTaskError("f", "Traceback", cause)})
    with pytest.raises(TrainingFailedError) as failure:
        trained(ray, 1, {0: slots(1)})
    assert str(failure.value).startswith("baseline seed 0: its training failed (net.py:3: ValueError: no); ")
    assert ray.begun == 1


def test_without_a_job_to_begin_a_slot_waits_and_trainings_of_no_more_use_are_ended(monkeypatch):
    ray = StandIn(monkeypatch)
    offered = [job(0), None, job(1), job(2), job(3)]
    events: list[Event] = []
    keys = []
    for one in train_all(
        iter(offered), lambda split: None, slots(3), Listeners([events.append]), now=lambda: slots(3),
        numbers=itertools.count(), over=lambda: len(keys) == 2,
    ):  # fmt: skip
        keys.append(one.key)
    assert keys == ["0", "1"]
    assert [one.row.number for one in events if isinstance(one, TrainingFinished)] == [0, 1]
    assert [one for one in events if isinstance(one, TrainingStopped)] == [
        TrainingStopped(training=number, text="") for number in (2, 3)
    ]
    assert len(ray.cancelled) == 2


@pytest.mark.parametrize("number", [1, 4])
def test_at_most_the_weights_of_as_many_tests_as_run_are_loaded(monkeypatch, number):
    ray, alive, most = StandIn(monkeypatch), weakref.WeakSet(), 0

    class Weights:
        """Of one network."""

        def __init__(self, seed: int) -> None:
            self.seed = seed

    def load(seed: int):
        nonlocal most
        alive.add(weights := Weights(seed))
        most = max(most, len(alive))
        return [weights]

    calls = {("tuned", seed): (lambda seed=seed: load(seed)) for seed in range(50)}
    results = {}
    for run, result in run_each(
        lambda shared, weights: shared + weights.seed, calls, 0.5, slots(number), Listeners(), now=lambda: slots(1)
    ):
        results[run] = result
    assert results == {("tuned", seed): seed + 0.5 for seed in range(50)}
    assert most <= number + 1 and ray.begun == 50


def test_a_test_whose_worker_died_runs_again_and_the_error_of_one_names_its_replicate(monkeypatch):
    notes: list[Event] = []

    def tested(ends):
        StandIn(monkeypatch, ends=ends)
        calls = {("tuned", 1): lambda: ()}
        return [*run_each(lambda shared: 7, calls, 0, slots(1), Listeners([notes.append]), now=lambda: slots(1))]

    assert tested({0: WorkerCrashedError()}) == [(("tuned", 1), 7)]
    assert notes == [Noted(text="tuned seed 1: its worker process died; its test begins again")]
    with pytest.raises(TrainingFailedError) as failure:
        tested(dict.fromkeys(range(3), WorkerCrashedError()))
    assert str(failure.value).startswith("tuned seed 1: its test failed (its worker process died, 3 times); ")
