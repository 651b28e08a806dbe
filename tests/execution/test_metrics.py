"""Counters of a run for a cluster's Prometheus."""

from collections import Counter
from types import SimpleNamespace

from typer.testing import CliRunner

from hw2tune.cli import app
from hw2tune.events import (
    EpochFinished,
    Listeners,
    Noted,
    ReplicationStarted,
    StudyFinished,
    StudyStarted,
    TrainingEpochFinished,
    TrainingFinished,
    TrialFinished,
    TrialRetried,
)
from hw2tune.execution.metrics import ClusterMetrics
from hw2tune.execution.request import Connection
from hw2tune.resources import ResourceRequest
from hw2tune.study.file import find_study, parse_study


class Exporter:
    """Counters by name and labels, as strict about labels and numbers as Ray's."""

    def __init__(self):
        self.counts = Counter()

    def __call__(self, name, description, tag_keys):
        assert description

        def inc(value, tags):
            assert value > 0 and set(tags) == set(tag_keys)
            self.counts[name, *sorted(tags.items())] += value

        return SimpleNamespace(inc=inc)


def started(name: str, kind):
    study = parse_study(*find_study(name))
    common = {"study": study, "capacity": None, "folder": ""}
    if kind is ReplicationStarted:
        return kind(total=1, cached=0, **common)
    return kind(finished=[], resumed={}, dataset="", dataset_checksum="", sizes={}, **common)


def row(state: str):
    return SimpleNamespace(state=state)


RECORD = {"epoch": 1, "images_per_second": 1500.0, "train_seconds": 3.0}


def test_epochs_images_ends_and_retries_are_counted_by_study_kind_and_state():
    exporter = Exporter()
    tell = Listeners([ClusterMetrics(exporter)])
    tell(started("quickstart", StudyStarted))
    for event in (
        EpochFinished(trial=0, record=RECORD), EpochFinished(trial=1, record=RECORD), TrialRetried(trial=1, text=""),
        EpochFinished(trial=1, record={"epoch": 2}), TrialFinished(row=row("pruned")), TrialFinished(row=row("pruned")),
        TrialFinished(row=row("complete")), Noted(text=""), StudyFinished(folder="", end="complete", rows=[]),
        started("mnist", ReplicationStarted), TrainingEpochFinished(training=0, record=RECORD),
        TrainingFinished(row=row("complete")),
    ):  # fmt: skip
        tell(event)
    first, second = ("study", "quickstart"), ("study", "mnist")
    assert exporter.counts == {
        ("hw2tune_epochs", ("kind", "trial"), first): 3,
        ("hw2tune_images", ("kind", "trial"), first): 9_000,
        ("hw2tune_retries", first): 1,
        ("hw2tune_trials", ("state", "pruned"), first): 2,
        ("hw2tune_trials", ("state", "complete"), first): 1,
        ("hw2tune_epochs", ("kind", "replicate"), second): 1,
        ("hw2tune_images", ("kind", "replicate"), second): 4_500,
        ("hw2tune_trainings", ("state", "complete"), second): 1,
    }
    assert len(tell.listeners) == 1  # it did not fail


def test_only_a_cluster_that_is_attached_to_has_them(monkeypatch):
    import contextlib

    from hw2tune.execution import cluster

    monkeypatch.setattr(cluster, "connected", lambda *_: contextlib.nullcontext(object()))
    for address, counted in ((None, 0), ("auto", 1), ("head:6379", 1)):
        tell = Listeners()
        with Connection(ResourceRequest(address=address), tell) as connection:
            connection.cluster()
            connection.cluster()
        assert sum(isinstance(one, ClusterMetrics) for one in tell.listeners) == counted


def test_they_count_in_the_search_and_in_the_report_that_follows_it(monkeypatch, tmp_path):
    import contextlib

    from hw2tune.execution import cluster

    monkeypatch.setattr(cluster, "connected", lambda *_: contextlib.nullcontext(object()))
    heard = []

    def counts(connection: Connection, *_: object, **__: object) -> SimpleNamespace:
        connection.cluster()
        heard.append([one for one in connection.tell.listeners if isinstance(one, ClusterMetrics)])
        return SimpleNamespace(name="quickstart")

    monkeypatch.setattr("hw2tune.study_run.run_on", counts)
    monkeypatch.setattr("hw2tune.api.replicate_study", lambda name, *, connection, **_: counts(connection))
    monkeypatch.setattr("hw2tune.cli.running._print_search", lambda *_, **__: True)
    monkeypatch.setattr("hw2tune.cli.running.print_files", lambda *_, **__: None)
    options = ["quickstart", "--summarize", "--address", "auto", "--results-dir", str(tmp_path), "--quiet"]
    ended = CliRunner().invoke(app, ["study", *options])
    assert ended.exit_code == 0, (ended.output, ended.exception)
    assert len(heard[0]) == 1 and heard[0] == heard[1]
