"""The dashboard over HTTP, on studies with invented numbers."""

import json
import logging
import shutil
import socket
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from hw2tune.errors import DashboardError, StudyFolderError
from hw2tune.integrations.dashboard.folders import ShownFolders
from hw2tune.integrations.dashboard.server import serving
from hw2tune.records.overview import read_study
from hw2tune.records.trials.storage import create_optuna_study
from hw2tune.report.write import ReportFiles
from tests.integrations.dashboard.served import Served, attributes, running_elsewhere, served, wait_until
from tests.report.fake_study import write_fake_study

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


def every_file(results: Path) -> dict[str, tuple[int, bytes]]:
    """What lies there, with the times of the last change; folders show by their names whether a file came."""
    return {
        str(path): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in sorted(results.rglob("*"))
    }


@pytest.fixture(scope="module")
def results(report: ReportFiles, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two studies, one with a report."""
    results = tmp_path_factory.mktemp("studies")
    write_fake_study(results, "cifar10", trials=3, seeds=0)
    shutil.copytree(report.page.parent.parent, results / "quickstart")
    return results


@pytest.fixture(scope="module")
def both(results):
    with served(results) as dashboard:
        yield dashboard


def test_several_studies_stand_side_by_side_each_with_its_own_trials(both: Served):
    ids = both.study_ids()
    assert set(ids) == {"cifar10", "quickstart"} and len(set(ids.values())) == 2
    trials = {name: both.study(name)["trials"] for name in ids}
    assert [trial["number"] for trial in trials["quickstart"]] == list(range(10))
    assert [trial["number"] for trial in trials["cifar10"]] == [0, 1, 2]
    assert len({trial["trial_id"] for name in ids for trial in trials[name]}) == 13
    assert trials["quickstart"][0]["params"][0] == trials["quickstart"][0]["params"][0] | {
        "name": "learning_rate", "param_external_value": "0.001",
    }  # fmt: skip
    assert [len(trial["intermediate_values"]) for trial in trials["quickstart"]] == [5, 5, 5, 5, 1, 1, 5, 1, 1, 5]


def test_references_states_and_reasons_can_be_read(both: Served):
    trials = both.study("quickstart")["trials"]
    said = [attributes(trial) for trial in trials]
    assert [one.get("label") for one in said[:3]] == ["baseline", "l2", None]
    assert said[0] == {
        "label": "baseline", "state": "complete", "best epoch": "5", "epochs": "5", "seconds": "5.5",
        "configuration": "adam, lr 0.001, batch 100, weight decay 0",
    }  # fmt: skip
    assert (said[4]["state"], trials[4]["state"]) == ("pruned at epoch 1", "Pruned")
    assert (said[7]["state"], trials[7]["state"]) == ("diverged", "Fail")
    assert said[7]["reason"] == "diverged in epoch 2: loss nan (training), nan (validation)"
    assert {one.get("traceback") for one in said} == {None}


def test_the_traceback_of_a_failure_is_an_attribute(tmp_path):
    folder = write_fake_study(tmp_path, trials=9, seeds=0)
    folder.trial(7).errors.write_text("attempt 1\n" + 2000 * "." + "ZeroDivisionError: division by zero")
    with served(tmp_path) as dashboard:
        said = attributes(dashboard.study("quickstart")["trials"][7])["traceback"]
    assert len(said) == 1500 and said.endswith("ZeroDivisionError: division by zero")


def test_a_studys_attributes_tell_its_claims_and_where_the_report_is(both: Served, results):
    summary = json.loads((results / "quickstart/report/summary.json").read_text())["studies"][0]
    sentences = [claim["sentence"] for claim in summary["claims"]]
    assert len(sentences) == 3
    assert attributes(both.study("quickstart")) == {
        "state": "complete", "finished": "10 of 10 trials", "dataset": "mnist-5k", "objective": "validation accuracy",
        "best": "92.09 % (trial 3)", "claims": "\n".join(sentences),
        "report": f"{results}/quickstart/report/index.html",
    }  # fmt: skip


def test_a_study_without_a_report_says_how_to_get_one(both: Served):
    assert attributes(both.study("cifar10"))["claims"] == "not tested; run `hw2tune summarize cifar10`"


def test_no_file_is_served_whatever_a_summary_names(tmp_path):
    secret = tmp_path / "id_ed25519"
    secret.write_text("a key")
    folder = write_fake_study(tmp_path / "results", trials=2, seeds=0)
    report = folder.root / "report"
    report.mkdir()
    figures = [{"png": str(secret)}, {"png": "../../../id_ed25519"}]
    (report / "index.html").write_text("<script>a stranger's</script>")
    (report / "summary.json").write_text(json.dumps({"studies": [{"figures": figures, "claims": []}]}))
    with served(tmp_path / "results") as dashboard:
        study, study_id = dashboard.study("quickstart"), dashboard.study_ids()["quickstart"]
        names = [one["artifact_id"] for one in study["artifacts"]] or ["0", "id_ed25519"]
        for place in (f"/artifacts/{study_id}/{name}" for name in names):
            assert dashboard.send("GET", place)[0] in (400, 404)


def test_pages_and_plots_are_served(both: Served):
    assert b"<title>Optuna Dashboard</title>" in both.get("/dashboard")
    assert len(both.get("/static/bundle.js")) > 1_000_000
    importances = both.json(f"/api/studies/{both.study_ids()['quickstart']}/param_importances")["param_importances"][0]
    assert "learning_rate" in {one["name"] for one in importances}
    assert both.get(f"/csv/{both.study_ids()['quickstart']}").count(b"\n") == 11


def test_nothing_in_the_results_is_changed(results, tmp_path):
    shutil.copytree(results, tmp_path, dirs_exist_ok=True)
    before = every_file(tmp_path)
    with served(tmp_path) as dashboard:
        study_id = dashboard.study_ids()["quickstart"]
        before_all = dashboard.study("quickstart")
        for method, path in (
            ("POST", "/api/studies"), ("DELETE", f"/api/studies/{study_id}"), ("POST", f"/api/artifacts/{study_id}"),
            ("POST", f"/api/studies/{study_id}/rename"), ("POST", "/api/trials/0/tell"),
            ("PUT", f"/api/studies/{study_id}/note"),
        ):  # fmt: skip
            status, body = dashboard.send(method, path, {"study_name": "x", "directions": ["minimize"]})
            assert status == 403 and b"shows studies and changes none" in body
        assert dashboard.study("quickstart") == before_all
    assert every_file(tmp_path) == before


def test_trials_of_another_process_arrive_and_the_journal_is_only_read(tmp_path):
    folder = write_fake_study(tmp_path, trials=2, seeds=0)
    with served(tmp_path, "quickstart") as dashboard, running_elsewhere(folder.root) as add_trial:
        assert attributes(dashboard.study("quickstart"))["state"] == "running"
        for number in (2, 3, 4):
            assert add_trial() == number
            written = folder.journal.read_bytes(), folder.journal.stat().st_mtime_ns
            wait_until(lambda number=number: len(dashboard.study("quickstart")["trials"]) == number + 1)
            trial = dashboard.study("quickstart")["trials"][number]
            assert (trial["state"], trial["values"]) == ("Complete", [0.7])
            assert attributes(trial)["state"] == "complete" and attributes(trial)["best epoch"] == "2"
            assert (folder.journal.read_bytes(), folder.journal.stat().st_mtime_ns) == written


def test_a_half_written_line_is_waited_for(tmp_path):
    folder = write_fake_study(tmp_path, trials=3, seeds=0)
    whole = folder.journal.read_bytes()
    lines = whole.splitlines(keepends=True)
    last = next(i for i, line in reversed(list(enumerate(lines))) if b'"op_code":4,' in line)  # a trial is made
    torn = b"".join(lines[:last]) + lines[last][:20]
    folder.journal.write_bytes(torn)
    with served(tmp_path) as dashboard:
        assert len(dashboard.study("quickstart")["trials"]) == 2
        folder.journal.write_bytes(whole)
        wait_until(lambda: len(dashboard.study("quickstart")["trials"]) == 3)
        wait_until(lambda: dashboard.study("quickstart")["trials"][2]["state"] == "Complete")


def test_a_trial_that_a_kill_interrupted_is_not_shown_as_running(tmp_path):
    folder = write_fake_study(tmp_path, trials=2, seeds=0)
    study = create_optuna_study(folder, read_study(folder))
    study.ask().report(0.5, 1)
    with served(tmp_path) as dashboard:
        trial = dashboard.study("quickstart")["trials"][2]
        assert (trial["state"], attributes(trial)["state"]) == ("Waiting", "interrupted")


def test_studies_come_and_go_and_one_begun_anew_is_shown_anew(tmp_path):
    with served(tmp_path) as dashboard:
        assert dashboard.study_ids() == {}
        write_fake_study(tmp_path, "cifar10", trials=3, seeds=0)
        folder = write_fake_study(tmp_path, trials=2, seeds=0)
        first = dashboard.study_ids()
        assert set(first) == {"cifar10", "quickstart"}
        folder.root.rename(tmp_path.parent / "aside")  # as --fresh does
        write_fake_study(tmp_path, trials=5, seeds=0)  # its journal is longer than the one that was read
        assert len(dashboard.study("quickstart")["trials"]) == 5
        assert dashboard.study_ids()["quickstart"] not in first.values()
        assert len(dashboard.study("cifar10")["trials"]) == 3
        assert attributes(dashboard.study("cifar10")["trials"][0])["label"] == "baseline"


def test_a_damaged_study_is_named_and_left_out(tmp_path):
    write_fake_study(tmp_path, "cifar10", trials=3, seeds=0)
    folder = write_fake_study(tmp_path, trials=5, seeds=0)
    whole = folder.journal.read_bytes()
    folder.journal.write_bytes(b"not JSON\n" + whole)
    folders = ShownFolders(tmp_path)
    folders.refuse_none()
    assert folders.faults == {
        "quickstart": f"{folder.journal}: line 1 is damaged; put a copy in its place, or set the study aside with "
        "--fresh"
    }
    with serving(folders) as url:
        dashboard = Served(url)
        assert set(dashboard.study_ids()) == {"cifar10"}
        folder.journal.write_bytes(whole)  # a copy in its place
        assert set(dashboard.study_ids()) == {"cifar10", "quickstart"}
        toml = folder.study_file.read_bytes()
        folder.study_file.write_bytes(b"not TOML")  # while it is served
        assert set(dashboard.study_ids()) == {"cifar10"}
        folder.study_file.write_bytes(toml)
        assert set(dashboard.study_ids()) == {"cifar10", "quickstart"}
    with pytest.raises(StudyFolderError, match="line 1 is damaged"):
        folder.journal.write_bytes(b"not JSON\n" + whole)
        ShownFolders(tmp_path, ["quickstart"]).refuse_none()


def test_results_behind_a_url_are_read_anew(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("hw2tune.integrations.dashboard.folders.PUSH_SECONDS", 0.5)
    folder = write_fake_study(tmp_path / "store", trials=2, seeds=0)
    with served(f"file://{tmp_path}/store") as dashboard:
        assert len(dashboard.study("quickstart")["trials"]) == 2
        with running_elsewhere(folder.root) as add_trial:
            add_trial()
        wait_until(lambda: len(dashboard.study("quickstart")["trials"]) == 3)
        first = dashboard.study_ids()
        assert list(first) == ["quickstart"] and dashboard.study_ids() == first  # fetched again is not begun anew


def test_another_name_for_this_machine_gets_no_answer(both: Served):
    place = urlsplit(both.base)
    for host, status in ((f"localhost:{place.port}", 200), ("evil.example", 403), (f"evil.example:{place.port}", 403)):
        connection = HTTPConnection(place.hostname, place.port)
        connection.request("GET", "/api/studies", headers={"Host": host})
        assert connection.getresponse().status == status, host
        connection.close()


def test_a_port_that_is_taken_is_refused_in_words(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(DashboardError) as refused, serving(ShownFolders(tmp_path), port=port):
            pass
    assert str(refused.value) == (
        f"--port {port}: cannot be listened on at 127.0.0.1 (Address already in use); without --port a free one is "
        "taken"
    )


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with (
        pytest.raises(DashboardError, match=r"pip install '\.\[dashboard\]' in hw2tune's checkout"),
        serving(ShownFolders(tmp_path)),
    ):
        pass


def test_the_server_says_nothing_and_leaves_loggers_as_they_were(tmp_path, capfd):
    write_fake_study(tmp_path, trials=3, seeds=0)
    level = logging.getLogger("optuna_dashboard").level
    capfd.readouterr()  # Optuna's words while the study was made
    with served(tmp_path) as dashboard:
        dashboard.study("quickstart")
        assert dashboard.send("PUT", "/api/studies/99/note", {"version": 1, "body": "x"})[0] == 403
        assert dashboard.send("GET", "/api/studies/99")[0] == 404
        assert dashboard.send("GET", "/artifacts/0/00000000-0000")[0] == 400
        with socket.create_connection(("127.0.0.1", int(dashboard.base.rpartition(":")[2]))) as gone:
            gone.sendall(b"GET /static/bundle.js HTTP/1.0\r\n\r\n")
        dashboard.study_ids()
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger("optuna_dashboard").level == level
