"""The workarounds for Ray: each is for one release, and two are still needed by what Ray does."""

import ray
from ray.exceptions import OutOfMemoryError, RayActorError


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
