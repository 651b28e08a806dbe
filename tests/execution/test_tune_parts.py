"""Our parts in Ray Tune: whose error ends a run, what a worker that is broken does, and what is kept. Without Ray."""

import copy
import pickle
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import cloudpickle
import pytest
from ray._private.worker import global_worker
from ray.exceptions import RayTaskError
from ray.tune.search.variant_generator import _resolve_nested_dict, format_vars
from ray.tune.utils.util import flatten_dict, merge_dicts

from hw2tune.data.load import load_dataset
from hw2tune.errors import RayFailedError, ResourceError
from hw2tune.execution.trainable import CHECKPOINT, FAILURE, WEIGHTS, TrainingTrial, WorkerBrokenError, worker_death
from hw2tune.execution.tune import TuneRun, TuneScheduler, TuneSearcher, TuneStopper, _faults_of, _with_resources
from hw2tune.records.trials.epochs import DIGEST, digest
from hw2tune.resources import Capacity, ResourceRequest
from hw2tune.search.driver import RunEnd
from hw2tune.study.file import find_study, parse_study
from hw2tune.train.task import TrialData
from tests.search.test_driver import Driver, record_of

SHIPPED = parse_study(*find_study("quickstart"))
TWO = Capacity(cpus_per_trial=1, gpus_per_trial=0, concurrency=2, text="2 CPUs")


def tune_run(place, capacity=TWO, *, changing=False, **study) -> TuneRun:
    """A run of Tune on a cluster without Ray, in which machines join and leave if it is `changing`."""
    resources = ResourceRequest(address="head:6379" if changing else None)
    nodes = SimpleNamespace(leaving=(), unsuitable={}, alive=[], look=lambda *, afresh: None)
    cluster = SimpleNamespace(
        resources=resources, nodes=nodes, answers=lambda machine: True, capacity_now=lambda *_, **__: capacity
    )
    return TuneRun(Driver(place, **study).driver, cluster, capacity)


class Tuner:
    """Ray's, with a run in place of its own."""

    def __init__(self, run) -> None:
        self.fit = run


def test_an_error_of_the_driver_comes_out_as_it_was_although_tune_drops_it(tmp_path):
    run = tune_run(tmp_path)
    run.driver.recorder = None  # type: ignore[assignment]  # a fault of our own
    heard = []

    def fit() -> None:
        try:
            TuneSearcher(run).suggest("a")
        except AttributeError as error:  # as `TuneController._schedule_trial_stop` does
            heard.append(error)
        assert TuneStopper(run).stop_all()

    with pytest.raises(AttributeError) as raised:
        with _faults_of(run):
            Tuner(fit).fit()
    assert raised.value is heard[0]


def test_an_error_of_the_driver_comes_out_as_it_was_although_tune_wraps_it(tmp_path):
    run = tune_run(tmp_path)

    def fit() -> None:
        try:
            TuneStopper(run)("nobody", {})
        except KeyError as error:
            raise RuntimeError("Traceback ...") from error

    run.numbers["nobody"] = 99
    with pytest.raises(KeyError):
        with _faults_of(run):
            Tuner(fit).fit()


def test_any_other_error_of_a_run_is_rays_with_its_type_and_its_text(tmp_path):
    def fit() -> None:
        raise RuntimeError("Traceback (most recent call last):\n  ...\nCaught unexpected exception: no memory")

    with pytest.raises(RayFailedError) as raised:
        with _faults_of(tune_run(tmp_path)):
            Tuner(fit).fit()
    assert str(raised.value) == "Ray Tune ended with RuntimeError: Caught unexpected exception: no memory"


NET = """
from torch import nn

class Net(nn.Module):
    def __init__(self, input_shape, num_classes):
        super().__init__()
        self.layer = nn.Linear(784, num_classes)

    def forward(self, x):
        raise RuntimeError("{}")
"""
ASSERT = "CUDA error: device-side assert triggered"


def step(text: str):
    """One step of a trial whose network raises an error of this text."""
    data = load_dataset("synthetic-mnist", validation_size=100)
    study = SHIPPED.model_copy(update={"model": "net.py:Net", "code": {"net.py": NET.format(text)}})
    trial = TrainingTrial.__new__(TrainingTrial)
    config = {"number": 0, "hyperparameters": SHIPPED.references["baseline"], "resume": None, "gpu": False}
    trial.setup(config, TrialData(info=data.info, train=data.train, validation=data.validation), study, 1)
    return trial.step()


def test_an_error_of_the_network_is_a_result_with_file_and_line():
    assert step("too wide")[FAILURE]["reason"] == "failed in epoch 1: net.py, line 10: RuntimeError: too wide"


def test_a_worker_whose_cuda_is_broken_raises_so_that_tune_ends_it_and_the_reason_stays():
    with pytest.raises(WorkerBrokenError) as raised:
        step(ASSERT)
    in_the_driver = RayTaskError("step", "Traceback ...", raised.value).as_instanceof_cause()
    failure = worker_death(pickle.loads(cloudpickle.dumps(in_the_driver)), machine="b")
    assert failure.reason == f"failed in epoch 1: net.py, line 10: RuntimeError: {ASSERT}"
    assert failure.transient and not failure.worker_died and failure.machine


@pytest.mark.parametrize("how", ["on_trial_result", "on_trial_complete"])
def test_tune_keeps_no_checkpoint_that_a_trial_went_on_from_nor_names_the_trial_by_its_bytes(tmp_path, how):
    before = Driver(tmp_path)
    before.next("a")
    before.epoch("a", 1, 0.5)
    run = tune_run(tmp_path)
    suggested = TuneSearcher(run).suggest("a")
    assert pickle.loads(cloudpickle.dumps(suggested))["resume"].checkpoint is None  # as in `Trial.get_json_state`
    context = global_worker.get_serialization_context()
    context.set_in_band_serialization()  # as what is sent to a worker
    there = cloudpickle.dumps(suggested)
    context.set_out_of_band_serialization()
    assert pickle.loads(there)["resume"].checkpoint == b"state 1"
    # As in `SearchGenerator.create_trial_if_possible` and `_get_trainable_kwargs`.
    config = merge_dicts({}, copy.deepcopy(suggested))
    tag, evaluated, given = format_vars(_resolve_nested_dict(config)), flatten_dict(suggested), copy.deepcopy(config)
    assert "resume=checkpoint" in tag and "state" not in tag
    getattr(TuneScheduler(run, "here"), how)(None, SimpleNamespace(config=config), {"epoch": 1})
    assert [one["resume"].checkpoint for one in (suggested, config, evaluated, given)] == 4 * [None]
    without = {"number": 0, "resume": None}
    getattr(TuneScheduler(run, "here"), how)(None, SimpleNamespace(config=without), {"epoch": 1})
    assert without == {"number": 0, "resume": None}


def test_a_worker_imports_nothing_of_the_search(tmp_path, monkeypatch):
    monkeypatch.setattr("ray.tune.with_parameters", lambda trainable, **parameters: trainable)  # keeps them in Ray
    data, driver = load_dataset("synthetic-mnist", validation_size=100), Driver(tmp_path).driver
    trainable = _with_resources(TrainingTrial, driver, data, TWO)
    code = "import pickle, sys; print(pickle.load(sys.stdin.buffer).__mro__[1].__name__, *sys.modules)"
    sent = cloudpickle.dumps(trainable)
    there = subprocess.run([sys.executable, "-c", code], input=sent, capture_output=True, check=True).stdout.split()
    assert there[0] == b"TrainingTrial" and not {b"optuna", b"scipy", b"hw2tune.execution.tune"} & set(there)


def test_a_large_network_is_saved_when_it_is_due_and_at_the_rungs_of_a_budget(monkeypatch):
    monkeypatch.setattr("hw2tune.train.cadence.SMALL", 0)
    data = load_dataset("synthetic-mnist", validation_size=100)
    config = {"number": 0, "hyperparameters": SHIPPED.references["baseline"], "resume": None, "gpu": False}
    saved = {}
    for budget in (None, 24):
        trial = TrainingTrial.__new__(TrainingTrial)
        study = SHIPPED.model_copy(update={"budget": budget})
        trial.setup(config, TrialData(info=data.info, train=data.train, validation=data.validation), study, 1)
        trial.cadence.seconds_per_byte = 1.0  # so that none is due
        monkeypatch.setattr(trial.cadence, "paid", lambda size, seconds: None)  # what it would learn hangs on the clock
        results = [trial.step() for _ in range(study.max_epochs)]
        saved[budget] = [result["epoch"] for result in results if CHECKPOINT in result]
        assert [CHECKPOINT in result for result in results] == [DIGEST in result for result in results]
        best = [result["epoch"] for result in results if WEIGHTS in result]
        values = [result["validation_accuracy"] for result in results]
        assert best == [n for n, value in enumerate(values, 1) if value > max([-1.0, *values[: n - 1]])]
    assert saved == {None: [], 24: [1, 3]}  # the rungs of quickstart


def test_a_large_network_is_saved_after_each_epoch_while_its_node_is_leaving(monkeypatch):
    monkeypatch.setattr("hw2tune.train.cadence.SMALL", 0)
    data = load_dataset("synthetic-mnist", validation_size=100)
    config = {"number": 0, "hyperparameters": SHIPPED.references["baseline"], "resume": None, "gpu": False}
    trial, leaving = TrainingTrial.__new__(TrainingTrial), iter([False, True, True, False])
    trial.setup(config, TrialData(info=data.info, train=data.train, validation=data.validation), SHIPPED, 1)
    trial.cadence.seconds_per_byte = 1.0  # so that none is due
    monkeypatch.setattr(trial.cadence, "paid", lambda size, seconds: None)
    monkeypatch.setattr("hw2tune.execution.trainable.node_is_leaving", lambda: next(leaving))
    assert [CHECKPOINT in trial.step() for _ in range(4)] == [False, True, True, False]


def test_as_many_trials_run_at_once_as_there_is_room_for_now(tmp_path):
    run = tune_run(tmp_path, changing=True)
    searcher = TuneSearcher(run)
    assert [searcher.suggest(trial) is None for trial in ("a", "b", "c")] == [False, False, True]
    run.cluster.capacity_now = lambda *_, **__: replace(TWO, concurrency=3, text="3 CPUs")  # a machine joins
    assert [searcher.suggest(trial) is None for trial in ("c", "d")] == [False, True]

    def none_left(*_, **__):
        raise ResourceError("there are 0 CPUs; lower --cpus-per-trial")

    run.cluster.capacity_now = none_left
    run.numbers.clear()  # all have ended
    assert searcher.suggest("d") is None
    notes = run.driver.tell.listeners[0].__self__.lines
    assert notes == ["3 CPUs: 3 trials at once from now on", "waiting for a machine to join: there are 0 CPUs"]


def test_a_machine_that_joins_and_can_run_no_trial_is_named_once(tmp_path):
    run = tune_run(tmp_path, changing=True)
    there = run.cluster.nodes

    def looked(*_, **__):
        there.unsuitable["10.0.0.3"] = "its Python has no torch"
        return TWO

    run.cluster.capacity_now = looked
    for _ in range(2):
        run.follow_machines()
    assert run.driver.tell.listeners[0].__self__.lines == ["10.0.0.3 is excluded: its Python has no torch"]


def test_a_trial_on_a_machine_that_leaves_goes_on_elsewhere_from_its_next_checkpoint_at_no_cost(tmp_path):
    run = tune_run(tmp_path, changing=True, retries=0)
    searcher, stopper = TuneSearcher(run), TuneStopper(run)

    def epoch(number: int, **more: object) -> dict[str, object]:
        return record_of(number, 0.5) | {"node": "n1", "node_ip": "10.0.0.2"} | more

    searcher.suggest("a")
    assert not stopper("a", epoch(1, checkpoint=b"1"))
    run.cluster.nodes.leaving = ("n1",)
    assert run.is_leaving("a") and not stopper("a", epoch(2))  # it would lose this epoch
    assert stopper("a", epoch(3, checkpoint=b"3", **{DIGEST: digest(b"3")}))
    searcher.on_trial_complete("a", {"node_ip": "10.0.0.2"})
    assert run.driver.recorder.tell.listeners[0].__self__.lines == [
        "trial 0: lost: its worker was taken away on 10.0.0.2; goes on from epoch 3"
    ]
    assert searcher.suggest("b")["number"] == 0 and not run.is_leaving("b")


@pytest.mark.parametrize(("in_order", "died", "next_one"), [(True, False, 0), (False, False, 1), (False, True, 0)])
def test_a_trial_whose_machine_is_gone_before_it_could_save_loses_no_attempt(tmp_path, in_order, died, next_one):
    run = tune_run(tmp_path, changing=True, retries=0)
    run.cluster.answers = lambda machine: machine == "10.0.0.2" and not died
    run.cluster.nodes.left_in_order = lambda node: in_order and node == "n1"
    searcher, config = TuneSearcher(run), {"resume": None}
    searcher.suggest("a")
    run.nodes["a"] = "n1"
    worker = SimpleNamespace(
        trial_id="a", node_ip="10.0.0.2", pickled_error_file=None, config=config, evaluated_params=config
    )
    TuneScheduler(run, "here").on_trial_error(None, worker)
    searcher.on_trial_complete("a", error=True)
    assert searcher.suggest("b")["number"] == next_one


def test_where_no_gpu_is_left_trials_for_one_are_given_out_anew_and_those_elsewhere_run_on(tmp_path):
    both = replace(TWO, concurrency=4, gpus_per_trial=0.25, gpu_slots=2, text="a GPU")
    run = tune_run(tmp_path, both, changing=True)
    run.driver.gpu_slots, searcher = 2, TuneSearcher(run)
    gpus = [searcher.suggest(trial)["gpu"] for trial in ("a", "b", "c")]
    assert gpus == [0.25, 0.25, 0]
    run.nodes |= {"a": "n1", "b": "n1", "c": "n2"}
    run.cluster.nodes.alive = [{"NodeID": "n1"}, {"NodeID": "n2"}]
    run.cluster.capacity_now = lambda *_, **__: TWO  # its node is leaving: they run to the end of their epoch
    run.follow_machines()
    assert run.driver.end is None
    run.capacity, run.cluster.nodes.alive = both, [{"NodeID": "n2"}]
    run.follow_machines()
    assert run.driver.end is RunEnd.MACHINE_EXCLUDED


def test_after_a_death_the_nodes_are_looked_at_afresh(tmp_path):
    run, looks = tune_run(tmp_path, changing=True), []
    run.cluster.nodes.look = lambda *, afresh: looks.append(afresh)
    run.cluster.nodes.left_in_order = lambda node: False
    TuneSearcher(run).suggest("a")
    config = {"resume": None}
    worker = SimpleNamespace(trial_id="a", node_ip="", pickled_error_file=None, config=config, evaluated_params=config)
    TuneScheduler(run, "here").on_trial_error(None, worker)
    assert looks == [True]
