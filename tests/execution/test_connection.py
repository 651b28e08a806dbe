"""What a connection knows before Ray runs, and how little it says of an import that fails beside it."""

import sys
import threading
from types import SimpleNamespace

import pytest

from hw2tune.errors import StudyFolderError
from hw2tune.events import Listeners
from hw2tune.execution import request as module
from hw2tune.execution.request import Connection, Request, _imported
from hw2tune.records.lock import locked
from hw2tune.resources import Opening, ResourceRequest
from hw2tune.study_run import run_on
from tests.report.fake_study import write_fake_study
from tests.without_ray import WithoutRay


def test_the_machine_is_looked_at_once_however_often_its_capacity_is_asked_for(monkeypatch):
    looked = []

    def machine():
        looked.append(1)
        return {"CPU": 3.0, "GPU": 0.0}

    monkeypatch.setattr(module, "this_machine", machine)
    connection = Connection(ResourceRequest(), Listeners())
    assert [connection.capacity().concurrency for _ in range(10)] == [3] * 10
    assert looked == [1]


def test_where_others_may_join_the_capacity_is_that_of_the_cluster(monkeypatch):
    connection = Connection(ResourceRequest(opening=Opening()), Listeners())
    monkeypatch.setattr(connection, "cluster", lambda: SimpleNamespace(capacity=lambda: "the cluster's"))
    assert connection.capacity() == "the cluster's"


def test_an_import_in_the_background_that_fails_says_nothing(tmp_path, monkeypatch, capsys):
    (tmp_path / "broken_module.py").write_text("raise ValueError('no')")
    monkeypatch.syspath_prepend(str(tmp_path))
    thread = threading.Thread(target=_imported, args=("broken_module",))
    thread.start()
    thread.join()
    assert capsys.readouterr().err == "" and "broken_module" not in sys.modules


def test_fresh_is_refused_on_a_running_study_before_ray_and_data_are_looked_at(tmp_path):
    folder, resources = write_fake_study(tmp_path, trials=2, seeds=0), ResourceRequest()
    request = Request(study="quickstart", results=tmp_path, fresh=True, resources=resources)
    with locked(folder), pytest.raises(StudyFolderError, match="runs this study"):
        run_on(WithoutRay(resources, Listeners()), request, Listeners())
