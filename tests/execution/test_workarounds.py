"""The workarounds for Ray: each is for one release, and two are still needed by what Ray does."""

from types import SimpleNamespace

import ray
from ray.exceptions import OutOfMemoryError, RayActorError

from hw2tune.execution.workarounds import START, _idle_workers, tune_adapted


def test_they_were_written_for_this_release():
    assert ray.__version__.split(".")[:2] == ["2", "60"], "try a study without each workaround of this module, in turn"


def test_the_memory_monitors_kill_is_no_death_of_an_actor():
    assert not issubclass(OutOfMemoryError, RayActorError)


def test_in_a_notebook_tunes_own_reporter_still_clears_the_cell_and_ours_does_not(monkeypatch):
    from ray.tune import progress_reporter

    cleared: list[bool] = []
    monkeypatch.setattr("IPython.display.clear_output", lambda wait: cleared.append(wait))
    monkeypatch.setattr(progress_reporter, "IS_NOTEBOOK", True)
    monkeypatch.setattr(progress_reporter, "has_verbosity", lambda level: False)  # as with `verbose=0`
    progress_reporter._detect_reporter()
    assert cleared == [True]
    progress_reporter.CLIReporter()
    assert cleared == [True]


def idle_workers(*, yet, leaves=lambda worker: False):
    """Tune's workers without a trial: three of a slot without GPU."""
    from ray.tune.execution import tune_controller

    idle = _idle_workers(tune_controller._ObjectCache, lambda: yet, leaves)(may_keep_one=True)
    for worker in ("a", "b", "c"):
        idle.cache_object("cpu", worker)
    return idle


def test_workers_without_a_trial_stay_while_trials_may_yet_be_given():
    idle = idle_workers(yet=True)
    assert list(idle.flush_cached_objects()) == [] and idle.num_cached_objects == 3
    idle.increase_max("cpu")  # a trial takes one of them
    assert idle.pop_cached_object("cpu") == "a"
    assert list(idle.flush_cached_objects()) == [] and idle.num_cached_objects == 2
    assert list(idle.flush_cached_objects(force_all=True)) == ["b", "c"]


def test_workers_without_a_trial_make_room_for_one_of_another_slot():
    idle = idle_workers(yet=True)
    idle.increase_max("gpu")
    assert list(idle.flush_cached_objects()) == ["a", "b", "c"]
    assert not idle.cache_object("cpu", "d")


def test_a_worker_without_a_trial_whose_machine_leaves_is_ended_though_trials_may_yet_be_given():
    idle = idle_workers(yet=True, leaves=lambda worker: worker == "b")
    assert list(idle.flush_cached_objects()) == ["b"] and idle.num_cached_objects == 2
    assert list(idle.flush_cached_objects()) == []
    assert list(idle.flush_cached_objects(force_all=True)) == ["a", "c"]


def test_a_trial_waits_for_its_starting_worker_while_others_may_follow_but_not_for_ever(monkeypatch):
    from ray.tune.execution.tune_controller import TuneController

    now = [100.0]
    monkeypatch.setattr("hw2tune.execution.workarounds.time.monotonic", lambda: now[0])
    monkeypatch.setattr(TuneController, "_maybe_reuse_cached_actor", lambda controller, trial: True)
    starting, new = (type("Trial", (str,), {"trial_id": name})(name) for name in ("starting", "new"))
    controller = SimpleNamespace(_trial_to_actor={starting: 1})

    def reuses(trial, *, more, yet):
        with tune_adapted(lambda: more, lambda: yet):
            first = TuneController._maybe_reuse_cached_actor(controller, trial)
            now[0] += START
            return first, TuneController._maybe_reuse_cached_actor(controller, trial)

    assert reuses(new, more=True, yet=True) == (True, True)
    assert reuses(starting, more=True, yet=True) == (False, False)
    assert reuses(starting, more=False, yet=True) == (False, True)
    assert reuses(starting, more=False, yet=False) == (True, True)


def test_a_worker_gets_no_further_trial_once_its_machine_leaves(monkeypatch):
    from ray.tune.execution.tune_controller import TuneController

    monkeypatch.setattr(TuneController, "_maybe_cache_trial_actor", lambda controller, trial: True)
    controller = SimpleNamespace(_trial_to_actor={"a": 1, "b": 2})
    trials = {name: type("Trial", (str,), {"trial_id": name})(name) for name in ("a", "b")}
    with tune_adapted(lambda: False, lambda: True, lambda trial_id: trial_id == "b"):
        kept = [TuneController._maybe_cache_trial_actor(controller, trials[name]) for name in ("a", "b")]
    assert kept == [True, False]


def test_workers_without_a_trial_end_but_for_one_once_no_trial_will_be_given():
    idle = idle_workers(yet=False)
    assert idle.num_cached_objects == 1 and list(idle.flush_cached_objects()) == []
