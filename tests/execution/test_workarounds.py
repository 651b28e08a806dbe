"""Each workaround for Ray is still needed: where one of these fails, take its entry out of `execution.workarounds`."""

import inspect

import ray
import ray._private.node
import ray._private.services
import ray._private.utils
import ray._private.worker
import ray.tune.tune
from ray.exceptions import OutOfMemoryError, RayActorError
from ray.tune.execution import class_cache
from ray.tune.execution.tune_controller import TuneController

from hw2tune.execution.workarounds import silent_reporter


def test_they_were_written_for_this_release():
    assert ray.__version__.split(".")[:2] == ["2", "60"]


def test_the_memory_monitors_kill_is_no_death_of_an_actor():
    assert not issubclass(OutOfMemoryError, RayActorError)


def test_dead_workers_are_printed_whatever_log_to_driver_says():
    # Called by the thread that listens to errors, which starts without a look at `log_to_driver`.
    assert "print_worker_logs" in vars(ray._private.worker)


def test_init_replaces_the_handler_of_sigterm():
    assert "set_sigterm_handler" in inspect.getsource(ray._private.worker)
    assert "signal.signal(signal.SIGTERM" in inspect.getsource(ray._private.utils.set_sigterm_handler)


def test_rays_processes_stay_in_the_commands_own_group():
    assert "start_new_session" not in inspect.getsource(ray._private.services)


def test_the_servers_are_started_whatever_init_is_told():
    source = inspect.getsource(ray._private.node.Node.start_head_processes)
    assert "start_api_server" in source and "start_monitor" in source
    assert "start_log_monitor" in inspect.getsource(ray._private.node.Node)


def test_fit_takes_sigusr1_whatever_tune_is_told():
    source = inspect.getsource(ray.tune.tune._setup_signal_catching)
    assert "Always register SIGUSR1" in source


def test_trials_get_an_environment_of_their_own():
    assert "PL_DISABLE_FORK" in inspect.getsource(class_cache)


def test_a_starting_worker_is_not_awaited():
    source = inspect.getsource(TuneController._maybe_reuse_cached_actor)
    assert "_trial_to_actor" in source and "remove_actor" in source


def test_in_a_notebook_tunes_own_reporter_still_clears_the_cell_and_ours_does_not(monkeypatch):
    from ray.tune import progress_reporter

    cleared: list[bool] = []
    monkeypatch.setattr("IPython.display.clear_output", lambda wait: cleared.append(wait))
    monkeypatch.setattr(progress_reporter, "IS_NOTEBOOK", True)
    monkeypatch.setattr(progress_reporter, "has_verbosity", lambda level: False)  # as with `verbose=0`
    progress_reporter._detect_reporter()
    assert cleared == [True]
    assert type(silent_reporter()) is progress_reporter.CLIReporter and cleared == [True]
    monkeypatch.setattr(progress_reporter, "IS_NOTEBOOK", False)
    assert silent_reporter() is None
