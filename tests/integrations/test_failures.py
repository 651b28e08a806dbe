"""What is said before a study, where a logger fails within one, what it costs and what it leaves behind."""

import logging
import os
import sys
import threading
import time

import numpy as np
import pytest
from typer.testing import CliRunner

from hw2tune.cli import app
from hw2tune.errors import LoggerError, PathError
from hw2tune.events import EpochFinished, TrialStarted
from hw2tune.integrations import TensorBoardLogger, make_loggers
from hw2tune.records.trials.epochs import read_epochs
from tests.integrations.live_study import LiveStudy
from tests.integrations.test_loggers import NAMES, assert_up_to_date, in_store, without_a_login

__all__ = ["without_a_login"]  # a fixture


@pytest.mark.parametrize("command", ["study", "summarize"])
def test_the_csv_logger_that_is_gone_answers_with_the_way_out(command):
    refused = CliRunner().invoke(app, [command, "quickstart", "--log", "csv"], env={"COLUMNS": "400"})
    way_out = (
        "the CSV logger is gone: `hw2tune.read_study(NAME).epochs` holds every epoch as a table, and `hw2tune "
        "summarize` writes tables/*.csv into the report's folder"
    )
    assert refused.exit_code == 2 and f"Invalid value for '--log': {way_out}" in refused.output
    with pytest.raises(LoggerError) as gone:
        from hw2tune.integrations import CSVLogger  # noqa: F401
    assert str(gone.value) == f"hw2tune.integrations.CSVLogger: {way_out}"
    unknown = CliRunner().invoke(app, [command, "quickstart", "--log", "neptune"], env={"COLUMNS": "400"})
    assert "'neptune' is not one of 'tensorboard', 'mlflow', 'wandb'." in unknown.output


def test_a_library_that_is_not_installed_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(LoggerError) as refused:
        make_loggers(["wandb"])
    assert str(refused.value).startswith("--log wandb: its library cannot be imported (")
    assert str(refused.value).endswith("); pip install '.[wandb]' in hw2tune's checkout")


@pytest.mark.parametrize("torn", ["a trial", "the study", "the experiment"])
def test_what_a_kill_has_torn_of_mlflows_own_files_is_written_again(torn, tmp_path):
    folder = LiveStudy(tmp_path, *make_loggers(["mlflow"]), trials=3).run().folder
    runs = [meta.parent for meta in (folder.logs / "mlruns").glob("[0-9]*/*/meta.yaml")]
    kind = {"a trial": True, "the study": False}
    meta = next(
        (run / "meta.yaml" for run in runs if (run / "tags/mlflow.parentRunId").exists() == kind.get(torn)),
        runs[0].parent / "meta.yaml",
    )
    meta.write_text("")  # MLflow empties it before it writes it
    again = LiveStudy(tmp_path, *make_loggers(["mlflow"]), trials=5).run()
    assert "".join(again.said) == ""
    assert len(in_store("mlflow", folder.root)) == 5
    assert_up_to_date(["mlflow"], folder.root)


def test_an_mlflow_server_that_does_not_answer_is_said_before_the_study(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    before, begun = dict(os.environ), time.monotonic()
    with pytest.raises(LoggerError) as refused:
        make_loggers(["mlflow"])
    assert str(refused.value) == (
        "--log mlflow: MLFLOW_TRACKING_URI http://127.0.0.1:9: nothing to log to ([Errno 111] Connection refused); "
        "start the server, set another address, or unset it to log into the study's folder"
    )
    assert time.monotonic() - begun < 20 and dict(os.environ) == before


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        (
            {"WANDB_MODE": "online"},
            "--log wandb: WANDB_MODE is online, but there is no login; `wandb login` makes one, WANDB_API_KEY holds "
            "one, and WANDB_MODE=offline needs none",
        ),
        (
            {"WANDB_MODE": "disabled"},
            "--log wandb: WANDB_MODE is 'disabled'; set it to online or offline, or leave out --log wandb",
        ),
        (
            {"WANDB_API_KEY": "0" * 40, "WANDB_BASE_URL": "http://127.0.0.1:9"},
            "--log wandb: no answer from http://127.0.0.1:9 (<urlopen error [Errno 111] Connection refused>); "
            "WANDB_MODE=offline logs into the study's folder, and `wandb sync` sends that later",
        ),
    ],
)
def test_wandb_that_cannot_be_online_is_said_before_the_study(environment, words, monkeypatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(LoggerError) as refused:
        make_loggers(["wandb"])
    assert str(refused.value) == words


@pytest.mark.parametrize("name", NAMES)
def test_a_place_that_is_taken_is_said_before_the_study(name, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "logs").write_text("a file")
    with pytest.raises(PathError) as refused:
        make_loggers([name], [tmp_path / "mine"])
    assert str(refused.value) == (
        f"--log {name}: {tmp_path}/mine/logs is a file, and a folder is wanted there; move it away"
    )


def test_a_store_that_fails_ends_no_study_and_is_said_at_its_end(tmp_path):
    study = LiveStudy(tmp_path, TensorBoardLogger(), trials=2)
    (study.folder.logs / "tensorboard" / "trial-0001-l2").mkdir(parents=True)
    (study.folder.logs / "tensorboard" / "trial-0001-l2" / "events.out.tfevents.0000000000.hw2tune").mkdir()
    study.run()
    assert [line for line in study.said if line] == [
        "--log tensorboard: not everything is logged (IsADirectoryError: [Errno 21] Is a directory: "
        f"'{study.folder.logs}/tensorboard/trial-0001-l2/events.out.tfevents.0000000000.hw2tune'); nothing is lost, "
        "the same command logs the rest"
    ]
    assert in_store("tensorboard", study.folder.root)["trial-0000-baseline"]


def test_a_trial_whose_epochs_are_faster_than_the_store_lets_the_others_pass(tmp_path):
    begun, written = threading.Event(), []

    class SlowStore(TensorBoardLogger):
        def begin(self, overview):
            begun.wait()
            return {}

        def write(self, run):
            written.append(run.name)
            if run.label == "baseline" and len(run.epochs) < 4:
                study.epoch(fast)  # before this one is written

    study = LiveStudy(tmp_path, SlowStore(), trials=2, max_epochs=5).start()
    fast = study.trial()
    study.tell(TrialStarted(trial=1, label="l2", params={}))
    begun.set()
    study.tell.listeners[0]._wait()
    assert written == ["trial-0000-baseline", "trial-0001-l2", *["trial-0000-baseline"] * 4]


def test_nothing_is_left_behind_and_nothing_of_the_callers_is_changed(tmp_path):
    before = dict(os.environ), {name: logging.getLogger(name).level for name in ("mlflow", "wandb", "urllib3")}
    handlers = list(logging.getLogger().handlers)
    threads = set(threading.enumerate())
    LiveStudy(tmp_path, *make_loggers(NAMES), trials=2).run()
    deadline = time.monotonic() + 10
    while set(threading.enumerate()) - threads and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not [thread.name for thread in set(threading.enumerate()) - threads]
    assert (dict(os.environ), {name: logging.getLogger(name).level for name in before[1]}) == before
    assert logging.getLogger().handlers == handlers


def test_an_epoch_costs_the_study_next_to_nothing(tmp_path):
    study = LiveStudy(tmp_path, *make_loggers(NAMES), trials=2, max_epochs=30).start()
    trial, costs = study.trial(), []
    loggers = study.tell.listeners[:-1]
    for _ in range(30):
        study.tell.listeners[:] = []
        study.epoch(trial)
        event = EpochFinished(trial=trial.number, record=read_epochs(study.folder.trial(trial.number))[-1])
        begun = time.perf_counter()
        for logger in loggers:
            logger(event)
        costs.append(1000 * (time.perf_counter() - begun))
    print(f"three loggers, ms an epoch: median {np.median(costs):.3f}, largest {max(costs):.3f}")
    assert np.median(costs) < 20
