"""MLflow through a server on loopback, the whole of mlflow in an environment of its own."""

import contextlib
import shutil
import socket
import subprocess
import time
import urllib.request

import psutil
import pytest

from hw2tune.integrations import MLflowLogger
from tests.integrations import readers
from tests.integrations.live_study import LiveStudy
from tests.integrations.test_loggers import assert_same, in_records

pytestmark = pytest.mark.machines
START = 240  # seconds: the first time it is downloaded


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Its address."""
    if shutil.which("uv") is None:
        pytest.skip("uv is not here")
    place = tmp_path_factory.mktemp("server")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    uv = ["uv", "run", "--isolated", "--no-project", "--python", "3.11", "--with", "mlflow>=3.17,<4"]
    options = ["--backend-store-uri", f"sqlite:///{place}/mlflow.db", "--artifacts-destination", f"{place}/artifacts"]
    options += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    with (place / "log").open("w") as log:
        process = subprocess.Popen(
            [*uv, "mlflow", "server", *options], stdout=log, stderr=log, cwd=place, start_new_session=True
        )  # fmt: skip
    url, deadline = f"http://127.0.0.1:{port}", time.monotonic() + START
    try:
        while True:
            try:
                urllib.request.urlopen(f"{url}/health", timeout=5).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    pytest.skip(f"mlflow cannot be had: {(place / 'log').read_text()[-500:]}")
                time.sleep(0.5)
        yield url
    finally:
        children = list[psutil.Process]()
        with contextlib.suppress(psutil.NoSuchProcess):  # it ended by itself
            children = psutil.Process(process.pid).children(recursive=True)
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.terminate()
        process.terminate()
        process.wait(30)


def test_a_server_has_every_epoch_once_and_the_artifacts(server, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    left = LiveStudy(tmp_path, MLflowLogger()).start()
    left.whole_trial()
    trial = left.trial()
    left.epoch(trial)  # and no more
    study = LiveStudy(tmp_path, MLflowLogger()).run()
    LiveStudy(tmp_path, MLflowLogger()).run()
    assert "".join(study.said) == ""
    assert_same(readers.mlflow(server, "quickstart"), in_records(study.folder.root))
    runs = readers.mlflow_runs(server, "quickstart")
    assert len(runs) == 1 + 6 and {run.info.status for run in runs} == {"FINISHED"}
    assert not (study.folder.logs / "mlruns").exists()


def test_a_study_of_the_same_name_has_a_run_of_its_own(server, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "twice")
    for place in ("one", "another"):
        (tmp_path / place).mkdir()
        LiveStudy(tmp_path / place, MLflowLogger(), trials=2).run()
    parents = [run for run in readers.mlflow_runs(server, "twice") if "mlflow.parentRunId" not in run.data.tags]
    assert len(parents) == 2


def test_a_server_that_goes_away_ends_no_study(server, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    logger = MLflowLogger()
    logger.uri = "http://127.0.0.1:9"  # as if it had been there before
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    study = LiveStudy(tmp_path, logger, trials=2).run()
    said = [line for line in study.said if line]
    assert len(said) == 1 and said[0].startswith("--log mlflow: not everything is logged (")
    assert said[0].endswith("); nothing is lost, the same command logs the rest")
    again = LiveStudy(tmp_path, MLflowLogger(), trials=2).run()
    assert "".join(again.said) == ""
