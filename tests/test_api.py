"""`import hw2tune`: what it costs, what it reads, and that the caller's process is as before."""

import ast
import logging
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import hw2tune
from hw2tune.errors import StudyFolderError
from hw2tune.events import Listeners, Noted, StageStarted
from hw2tune.execution.request import Connection
from hw2tune.resources import ResourceRequest
from tests.report.fake_study import write_fake_study


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("results")
    write_fake_study(place, trials=10, seeds=3)
    return place


@pytest.fixture
def study(results) -> hw2tune.StudyResult:
    return hw2tune.read_study("quickstart", results_dir=results)


def test_importing_it_costs_nothing():
    code = "import sys; before = set(sys.modules); import hw2tune; print(*sorted(set(sys.modules) - before))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    packages = {name.partition(".")[0] for name in shown.stdout.split()}
    assert packages - set(sys.stdlib_module_names) == {"hw2tune"}


def test_a_type_checker_sees_the_names_that_are_imported_when_used():
    imports = [node for node in ast.walk(ast.parse(Path(hw2tune.__file__).read_text())) if type(node) is ast.ImportFrom]
    typed = {(one.module, alias.asname) for one in imports for alias in one.names if alias.asname}
    assert typed == {(f"hw2tune.{module}", name) for name, module in hw2tune._MODULES.items()}


def test_reading_needs_neither_torch_nor_ray(results):
    code = (
        f"import sys, hw2tune; study = hw2tune.read_study('quickstart', results_dir={str(results)!r})\n"
        "study.trials, study.epochs, study.pairs, study._repr_html_(), hw2tune.paper\n"
        "print({'torch', 'ray'} & set(sys.modules))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout == "set()\n"


def test_reading_changes_nothing_of_the_callers_environment(results):
    code = (
        "import os; before = dict(os.environ); import hw2tune\n"
        f"hw2tune.read_study('quickstart', results_dir={str(results)!r}).trials; hw2tune.run_study\n"
        "print(before == dict(os.environ))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={**os.environ, "RAY_ADDRESS": "127.0.0.1:1", "PYTHONWARNINGS": "default", "GIT_DIR": "/nowhere"},
    )  # fmt: skip
    assert shown.stdout == "True\n"


def test_trials_and_epochs_are_tidy(study):
    trials, epochs = study.trials, study.epochs
    assert list(trials.columns) == [
        "number", "label", "state", "reason", "epochs", "value", "best_epoch", "seconds",
        "learning_rate", "batch_size", "optimizer", "weight_decay",
    ]  # fmt: skip
    assert len(trials) == 10 and list(trials["label"][:2]) == ["baseline", "l2"]
    assert list(epochs.columns)[:4] == ["trial", "epoch", "train_loss", "train_accuracy"]
    by_trial = epochs.groupby("trial")["epoch"].max()
    assert [by_trial.get(number, 0) for number in trials["number"]] == list(trials["epochs"])
    best = trials.loc[trials["value"].idxmax()]
    assert study.best is not None and (study.best.number, study.best.value) == (best["number"], best["value"])


def test_variants_and_pairs_are_those_of_the_report(study):
    assert list(study.variants["variant"]) == ["baseline", "l2", "tuned", "tuned-no-l2"]
    assert {"variant", "against", "difference", "low", "high", "verdict"} <= set(study.pairs.columns)
    assert len(study.pairs) == 3


def test_figures_are_drawn_by_name(study):
    from matplotlib.figure import Figure

    assert "learning-curves" in study.figures and "search-history" in study.figures
    assert isinstance(study.figures["learning-curves"], Figure)
    assert isinstance(study.figures.search_history, Figure)
    with pytest.raises(AttributeError, match="no figure 'nope'; there are claims, learning-curves, "):
        _ = study.figures.nope


def test_a_notebook_shows_it_as_a_table(study):
    html = study._repr_html_()
    assert "StudyResult quickstart: complete, 10 trials finished, best validation_accuracy" in html
    assert html.count("<tr") == 1 + study.trials["value"].notna().sum()


def test_a_study_that_is_not_there_is_refused(results):
    with pytest.raises(StudyFolderError, match="no study `nope`; it holds quickstart"):
        hw2tune.read_study("nope", results_dir=results)


def test_an_option_that_there_is_not_is_refused_also_beside_a_connection():
    for call in (hw2tune.run_study, hw2tune.replicate_study, hw2tune.reproduce):
        with pytest.raises(TypeError, match=rf"^{call.__name__}\(\) got an unexpected keyword argument 'replicate'$"):
            call("quickstart", replicate=3)
    with Connection(ResourceRequest(), Listeners()) as connection:
        with pytest.raises(TypeError, match=r"^replicate_study\(\) got an unexpected keyword argument 'replicate'$"):
            hw2tune.replicate_study("quickstart", connection=connection, replicate=3)


def test_a_listener_that_fails_is_omitted_and_named_and_the_others_hear_on():
    heard = []

    def broken(event):
        raise ValueError("oh")

    tell = Listeners([broken, heard.append])
    tell.stage("one")
    tell.stage("two")
    assert [type(event) for event in heard] == [Noted, StageStarted, StageStarted]
    assert heard[0].text.endswith("broken failed and is omitted: ValueError: oh")


def caller() -> tuple:
    """What a process of the caller's may notice."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    levels = {name: logging.getLogger(name).level for name in ("ray", "ray.tune", "optuna", "matplotlib")}
    return dict(os.environ), handlers, levels


@pytest.mark.matrix
@pytest.mark.ray
def test_a_study_runs_from_another_thread_and_in_a_running_event_loop(tmp_path, monkeypatch):
    import asyncio

    import optuna  # and Ray: what their own import changes is not ours
    import ray  # noqa: F401

    optuna.logging.get_verbosity()
    monkeypatch.chdir(tmp_path)
    before, events = caller(), []

    async def cell():  # as a notebook's cell runs
        return hw2tune.run_study("quickstart", trials=3, max_epochs=1, listeners=[events.append])

    result = asyncio.run(cell())
    assert (len(result.trials), len(result.epochs), result.end.value) == (3, 3, "complete")
    kinds = [type(event).__name__ for event in events if not isinstance(event, Noted | StageStarted)]
    assert kinds[0] == "StudyStarted" and kinds[-1] == "StudyFinished"
    assert kinds.count("TrialStarted") == kinds.count("EpochFinished") == kinds.count("TrialFinished") == 3
    results = []
    thread = threading.Thread(
        target=lambda: results.append(hw2tune.run_study("quickstart", trials=4, max_epochs=1))
    )  # fmt: skip
    thread.start()
    thread.join()
    assert len(results[0].trials) == 4
    assert caller() == before
