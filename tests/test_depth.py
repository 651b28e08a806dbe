"""The stairs from a command to its work: at most five calls of our own."""

import sys
from types import SimpleNamespace

from typer.testing import CliRunner

from hw2tune.cli import app
from hw2tune.execution.request import Connection
from hw2tune.resources import Capacity
from hw2tune.search.driver import RunEnd
from tests.report.fake_study import write_fake_study

CAPACITY = Capacity(cpus_per_trial=1, gpus_per_trial=0, concurrency=1, text="1 CPU")


def our_calls():
    """Functions of hw2tune on the stack, the outermost first, without the one that Typer calls a command through."""
    frame, found = sys._getframe(1), []
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module.startswith("hw2tune.") and module != "hw2tune.cli.help":
            found.append(frame.f_code.co_qualname)
        frame = frame.f_back
    return list(dict.fromkeys(reversed(found)))


def test_a_study_reaches_tune_in_five_calls(tmp_path, monkeypatch):
    calls = []

    def run_tune(*args, **kwargs):  # stands for the fifth
        calls.extend([*our_calls(), "run_tune"])
        return RunEnd.INTERRUPTED

    cluster = SimpleNamespace(capacity=lambda *_, **__: CAPACITY, nodes=SimpleNamespace(unsuitable={}), machines={})
    monkeypatch.setattr(Connection, "cluster", lambda *_, **__: cluster)
    monkeypatch.setattr("hw2tune.execution.tune.run_tune", run_tune)
    ended = CliRunner().invoke(app, ["study", "quickstart", "--results-dir", str(tmp_path), "--quiet"])
    assert calls, (ended.output, ended.exception)
    assert len(calls) <= 5, calls


def test_summarize_reaches_the_trainings_in_five_calls(tmp_path, monkeypatch):
    calls = []

    def train_missing(*args):  # stands for the fifth
        calls.extend([*our_calls(), "train_missing"])
        raise KeyboardInterrupt

    write_fake_study(tmp_path, trials=10, seeds=0)
    monkeypatch.setattr("hw2tune.replication.replicate.train_missing", train_missing)
    monkeypatch.setattr("hw2tune.replication.studies.keep_images", lambda *_: None)  # the study's images are invented
    ended = CliRunner().invoke(app, ["summarize", "--race", "1", "--results-dir", str(tmp_path), "--quiet"])
    assert calls, (ended.output, ended.exception)
    assert len(calls) <= 5, calls
