"""Loggers on a study's records: each library's own reader gives back what `read_study` does, once."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
from mlflow import MlflowClient

import hw2tune
from hw2tune.errors import LoggerError
from hw2tune.events import (
    Listeners,
    ReplicationFinished,
    ReplicationStarted,
    ReportWritten,
    StudyFinished,
    TrainingFinished,
)
from hw2tune.integrations import MLflowLogger, TensorBoardLogger, WandbLogger, make_loggers
from hw2tune.integrations.runs import read_replicate_runs, study_id, trial_run
from hw2tune.integrations.tensorboard import bring_up_to_date
from hw2tune.integrations.wandb import _is_service
from hw2tune.records.layout import StudyFolder
from hw2tune.records.overview import read_overview, read_study
from hw2tune.records.replicates import (
    ReplicatesFolder,
    Training,
    read_replicates,
    write_current,
    write_replicate,
    write_training,
)
from hw2tune.records.trials.epochs import read_epochs, write_epochs
from tests.integrations import readers
from tests.integrations.live_study import CAPACITY, LiveStudy
from tests.integrations.readers import Epochs
from tests.report.fake_study import write_fake_study

NAMES = ("tensorboard", "mlflow", "wandb")


@pytest.fixture(autouse=True)
def without_a_login(tmp_path, monkeypatch):
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in [name for name in os.environ if name.startswith("WANDB_") and name != "WANDB_ERROR_REPORTING"]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def in_store(name: str, folder: Path) -> Epochs:
    logs = folder / "logs"
    match name:
        case "tensorboard":
            return readers.tensorboard(logs / "tensorboard")
        case "mlflow":
            return readers.mlflow((logs / "mlruns").as_uri(), folder.name)
        case "wandb":
            return readers.wandb(logs / "wandb")


def in_records(folder: Path) -> Epochs:
    """What `read_study` gives, as the readers give it."""
    read = hw2tune.read_study(folder.name, results_dir=folder.parent)
    labels = {row.number: f"-{row.label}" if row.label else "" for row in read.overview.rows}
    return {
        f"trial-{number:04}{labels[number]}": {
            metric: [(int(epoch), float(value)) for epoch, value in zip(frame.epoch, frame[metric], strict=True)]
            for metric in frame.columns.drop(["trial", "epoch"])
        }
        for number, frame in read.epochs.groupby("trial")
    }


def assert_same(stored: Epochs, recorded: Epochs, *, float32: bool = False) -> None:
    """The same runs, metrics and epochs, each once, with the same values (to the float32 that TensorBoard keeps)."""
    kept = np.float32 if float32 else float
    rounded = {
        run: {name: [(epoch, kept(value)) for epoch, value in values] for name, values in metrics.items()}
        for run, metrics in recorded.items()
    }
    assert {run: {name: sorted(v) for name, v in metrics.items()} for run, metrics in stored.items()} == rounded


def assert_up_to_date(names, folder: Path) -> None:
    for name in names:
        assert_same(in_store(name, folder), in_records(folder), float32=name == "tensorboard")


@pytest.mark.parametrize("name", NAMES)
def test_a_study_is_in_the_store_as_it_is_in_the_records(name, tmp_path):
    study = LiveStudy(tmp_path, *make_loggers([name])).run()
    assert "".join(study.said) == ""
    assert_up_to_date([name], study.folder.root)


@pytest.mark.parametrize("name", NAMES)
def test_what_a_second_logger_finds_is_not_written_again(name, tmp_path):
    folder = LiveStudy(tmp_path, *make_loggers([name])).run().folder.root
    before = {path: path.stat().st_mtime_ns for path in (folder / "logs" / "tensorboard").rglob("*tfevents*")}
    assert bool(before) == (name == "tensorboard")
    LiveStudy(tmp_path, *make_loggers([name])).run()
    assert_up_to_date([name], folder)
    assert {path: path.stat().st_mtime_ns for path in (folder / "logs" / "tensorboard").rglob("*tfevents*")} == before


@pytest.mark.parametrize("name", NAMES)
def test_logging_that_begins_at_the_second_run_has_the_first_one_too(name, tmp_path):
    LiveStudy(tmp_path, trials=3).run()
    study = LiveStudy(tmp_path, *make_loggers([name]), trials=5).run()
    assert len(in_store(name, study.folder.root)) == 5
    assert_up_to_date([name], study.folder.root)


@pytest.mark.parametrize("name", NAMES)
def test_a_trial_that_is_cut_off_and_goes_on_has_each_epoch_once(name, tmp_path):
    left = LiveStudy(tmp_path, *make_loggers([name])).start()
    left.whole_trial()
    trial = left.trial()
    left.epoch(trial)
    left.epoch(trial)
    wait_for_idle(left)
    study = LiveStudy(tmp_path, *make_loggers([name])).run()
    assert_up_to_date([name], study.folder.root)


@pytest.mark.parametrize("name", NAMES)
def test_an_epoch_that_is_trained_again_replaces_the_one_before(name, tmp_path):
    """A damaged checkpoint sends a trial back: the store must not keep the epoch that the records have dropped."""
    study = LiveStudy(tmp_path, *make_loggers([name])).start()
    trial = study.trial()
    study.epoch(trial)
    study.epoch(trial)
    place = study.folder.trial(trial.number)
    wait_for_idle(study)
    write_epochs(place, read_epochs(place)[:1])
    study.epoch(trial)  # other seconds
    study.epoch(trial)
    study.end(trial)
    study.finish()
    assert_up_to_date([name], study.folder.root)


def wait_for_idle(study: LiveStudy) -> None:
    study.tell.listeners[0]._wait()


def trials_begun(results: Path) -> int:
    return len(list(results.glob("quickstart/trials/*/result.json")))


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(("tensorboard",), id="tensorboard"),
        pytest.param(("mlflow",), id="mlflow", marks=pytest.mark.matrix),
        pytest.param(("wandb",), id="wandb", marks=pytest.mark.matrix),
    ],
)
def test_kills_at_any_moment_lose_and_double_nothing(names, tmp_path):
    chance = random.Random(3)
    command = [sys.executable, "-m", "tests.integrations.live_study", tmp_path, *names]

    def begin() -> subprocess.Popen[str]:
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
        )

    for _ in range(3):
        study, enough = begin(), trials_begun(tmp_path) + chance.randint(1, 5)
        while trials_begun(tmp_path) < enough:
            assert study.poll() is None, study.communicate()
            time.sleep(0.005)
        time.sleep(chance.random() * 0.05)  # a trial takes some 10 ms
        os.killpg(study.pid, signal.SIGKILL)
        assert study.wait() == -signal.SIGKILL
        study.communicate()
    study = begin()
    out, _ = study.communicate(timeout=200)
    assert (study.returncode, out.strip()) == (0, "")  # not a word of the libraries' own
    assert len(in_records(tmp_path / "quickstart")) == 40
    assert_up_to_date(names, tmp_path / "quickstart")


@pytest.mark.parametrize("name", NAMES)
def test_replicates_are_runs_of_their_own(name, tmp_path):
    folder = write_fake_study(tmp_path, trials=4, seeds=2)
    tell = Listeners(make_loggers([name]))
    tell(ReplicationFinished(folder=str(folder.root)))
    tell(ReportWritten(folders=[str(folder.root)], target=str(folder.root / "report")))
    stored = in_store(name, folder.root)
    replicates = read_replicates(ReplicatesFolder.of(folder))
    runs = {f"{one.variant}-seed-{one.seed}": one for one in replicates}
    assert len(runs) == 8 and stored.keys() == in_records(folder.root).keys() | runs.keys()
    kept = np.float32 if name == "tensorboard" else float
    for run, one in runs.items():
        losses = [(epoch["epoch"], kept(epoch["validation_loss"])) for epoch in one.epochs]
        assert stored[run]["validation_loss"] == losses


def test_a_replicate_of_another_winner_takes_the_place_of_the_one_before(tmp_path):
    folder = write_fake_study(tmp_path, trials=4, seeds=1)
    tell = Listeners(make_loggers(NAMES))
    tell(ReplicationFinished(folder=str(folder.root)))
    place = ReplicatesFolder.of(folder).replicate("tuned", 0) / "replicate.json"
    record = json.loads(place.read_text())
    changed = [epoch | {"validation_loss": 9.0} for epoch in record["epochs"]]
    params = record["params"] | {"batch_size": 16}
    place.write_text(json.dumps(record | {"epochs": changed, "params": params, "key": "tuned other"}))
    write_current(ReplicatesFolder.of(folder), ["fake", "tuned other"])
    tell = Listeners(make_loggers(NAMES))
    tell(ReplicationFinished(folder=str(folder.root)))
    for name in NAMES:
        assert {loss for _, loss in in_store(name, folder.root)["tuned-seed-0"]["validation_loss"]} == {9.0}


@pytest.mark.parametrize("name", NAMES)
def test_replicates_of_more_seeds_than_the_last_report_has_stay(name, tmp_path):
    folder = write_fake_study(tmp_path, trials=4, seeds=2)
    for path in ReplicatesFolder.of(folder).records():
        record = json.loads(path.read_text())
        path.write_text(json.dumps(record | {"key": f"key {record['seed']}"}))
    write_current(ReplicatesFolder.of(folder), ["key 0", "key 1"])
    Listeners(make_loggers([name]))(ReplicationFinished(folder=str(folder.root)))
    before = in_store(name, folder.root)
    assert {"baseline-seed-0", "baseline-seed-1"} <= before.keys()
    write_current(ReplicatesFolder.of(folder), ["key 0"])
    assert {one.seed for one in read_replicates(ReplicatesFolder.of(folder))} == {0}
    Listeners(make_loggers([name]))(ReplicationFinished(folder=str(folder.root)))
    assert in_store(name, folder.root) == before


def test_a_study_that_is_begun_anew_under_one_logger_is_another(tmp_path):
    logger = TensorBoardLogger()
    first = LiveStudy(tmp_path, logger, trials=5).run().folder
    first.root.rename(tmp_path / "aside")
    assert len(in_store("tensorboard", LiveStudy(tmp_path, logger, trials=3).run().folder.root)) == 3


def test_a_training_of_a_replicate_is_logged_when_it_is_on_disk(tmp_path):
    folder = write_fake_study(tmp_path, trials=4, seeds=0)
    logger = make_loggers(["tensorboard"])[0]
    logger(ReplicationStarted(study=read_study(folder), total=2, cached=0, capacity=CAPACITY, folder=str(folder.root)))
    epochs = [{"epoch": 1, "train_loss": 0.5, "validation_loss": 0.6, "validation_accuracy": 0.9, "epoch_seconds": 1.0}]
    for key, label in (("a", "tuned seed 1"), ("b", "race: trial 3 seed 1001")):
        training = Training(
            key=key, epochs=epochs, chosen_epoch=1, diverged="", label=label, params={"batch_size": 8},
            arrays={"last/w": np.ones(1)},
        )  # fmt: skip
        write_training(ReplicatesFolder.of(folder).trainings, training)
        logger(TrainingFinished(row=read_overview(folder).rows[0]))
    logger._wait()
    stored = in_store("tensorboard", folder.root)
    assert stored["tuned-seed-1"]["train_loss"] == stored["race-trial-3-seed-1001"]["train_loss"] == [(1, 0.5)]


def test_a_training_and_its_replicate_are_one_run_whatever_the_variant_is_called(tmp_path):
    folder = write_fake_study(tmp_path, trials=4, seeds=1)
    place = ReplicatesFolder.of(folder)
    replicate = replace(read_replicates(place)[0], variant="Without L2", key="Without L2 b")
    write_replicate(place, replicate, b"")
    training = Training(
        key="a", epochs=replicate.epochs, chosen_epoch=1, diverged="", label=f"Without L2 seed {replicate.seed}",
        arrays={"last/w": np.ones(1)},
    )  # fmt: skip
    write_training(place.trainings, training)
    runs = [run for run in read_replicate_runs(read_overview(folder)) if run.label == training.label]
    assert [run.key for run in runs] == ["Without L2 b"]


def test_what_a_kill_left_half_written_is_no_event_file_of_tensorboards(tmp_path):
    bring_up_to_date(tmp_path, b"an epoch")
    (file,) = tmp_path.iterdir()
    file.with_name(f"{file.name}.0123456789abcdef.part").write_bytes(b"an epoch")  # as `write_atomically` names it
    bring_up_to_date(tmp_path, b"an epoch and another")
    assert [one.read_bytes() for one in tmp_path.iterdir()] == [b"an epoch and another"]


def test_tensorboards_hparams_tab_has_hyperparameters_and_results(tmp_path):
    from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
    from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
    from tensorboard.context import RequestContext
    from tensorboard.data import provider  # noqa: F401  # the interface
    from tensorboard.plugins import base_plugin
    from tensorboard.plugins.hparams import api_pb2, backend_context, list_session_groups

    study = LiveStudy(tmp_path, TensorBoardLogger()).run()
    place = str(study.folder.logs / "tensorboard")
    read = EventMultiplexer().AddRunsFromDirectory(place)
    read.Reload()
    data = MultiplexerDataProvider(read, place)
    context = backend_context.Context(base_plugin.TBContext(data_provider=data))
    asked = RequestContext()
    metadata = context.hparams_metadata(asked, "")
    experiment = context.experiment_from_metadata(asked, "", True, metadata, [])
    assert {"learning_rate", "batch_size", "optimizer", "weight_decay"} <= {one.name for one in experiment.hparam_infos}
    handler = list_session_groups.Handler(
        asked, context, "", api_pb2.ListSessionGroupsRequest(
            start_index=0, slice_size=100, allowed_statuses=[api_pb2.STATUS_SUCCESS],
            col_params=[api_pb2.ColParams(metric=api_pb2.MetricName(tag="result/best_validation_accuracy"))],
        ),
    )  # fmt: skip
    groups = {group.name: group for group in handler.run().session_groups}
    trials = hw2tune.read_study("quickstart", results_dir=tmp_path).overview.rows
    assert len(groups) == len(trials) == 6
    for row in trials:
        group = groups[f"trial-{row.number:04}" + (f"-{row.label}" if row.label else "")]
        assert group.hparams["learning_rate"].number_value == row.params["learning_rate"]
        assert group.hparams["optimizer"].string_value == row.params["optimizer"]
        values = {one.name.tag: one.value for one in group.metric_values}
        assert values["result/best_validation_accuracy"] == np.float32(row.value)


def test_mlflow_has_a_parent_run_with_tags_and_artifacts(tmp_path):
    folder = write_fake_study(tmp_path, trials=9, seeds=1)
    best = read_overview(folder).best.number
    folder.trial(best).weights.write_bytes(b"weights")
    for name in ("index.html", "summary.md", "tables/trials.csv"):
        (folder.root / "report" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder.root / "report" / name).write_text(f"{name}: tuning changes nothing")
    Listeners([MLflowLogger()])(ReportWritten(folders=[str(folder.root)], target=str(folder.root / "report")))
    runs = {run.info.run_name: run for run in readers.mlflow_runs((folder.logs / "mlruns").as_uri(), folder.name)}
    parent = runs[folder.name]
    assert {run.data.tags.get("mlflow.parentRunId") for run in runs.values()} == {None, parent.info.run_id}
    assert parent.data.params["dataset"] == "mnist-5k" and parent.data.tags["best trial"] == str(best)
    artifacts = Path(parent.info.artifact_uri.removeprefix("file://"))
    assert (artifacts / "best" / "best.npz").read_bytes() == b"weights"
    there = {path.relative_to(artifacts / "report") for path in (artifacts / "report").rglob("*") if path.is_file()}
    written = {p.relative_to(folder.root / "report") for p in (folder.root / "report").rglob("*") if p.is_file()}
    assert there == written and Path("index.html") in there
    assert parent.data.tags["mlflow.note.content"] == "summary.md: tuning changes nothing"
    diverged = runs["trial-0007"]
    assert (diverged.info.status, diverged.data.tags["state"]) == ("FAILED", "diverged")
    assert diverged.data.tags["reason"].startswith("diverged in epoch 2")
    assert runs["trial-0000-baseline"].data.tags["label"] == "baseline"
    assert float(runs["tuned-seed-0"].data.metrics["test_accuracy"]) > 0.9


def test_a_wandb_run_has_group_configuration_and_summary(tmp_path):
    study = LiveStudy(tmp_path, WandbLogger(), trials=3).run()
    runs = {run["name"]: run for run in readers.wandb_runs(study.folder.logs / "wandb").values()}
    row = study.recorder.rows()[2]
    run = runs["trial-0002"]
    assert run["group"] == "quickstart" and run["ended"]
    assert {name: run["config"][name] for name in row.params} == row.params
    assert run["summary"]["best_validation_accuracy"] == row.value and run["summary"]["state"] == "complete"
    assert not [child for child in psutil.Process().children() if _is_service(child)]


def test_a_wandb_run_is_written_though_another_child_of_the_command_has_just_ended(tmp_path, monkeypatch):
    child = subprocess.Popen(["true"])
    ended = psutil.Process(child.pid)
    child.wait()
    monkeypatch.setattr(psutil.Process, "children", lambda self, recursive=False: [ended])
    monkeypatch.setattr(WandbLogger, "service_is_ours", False)
    study = LiveStudy(tmp_path, WandbLogger(), trials=2).run()
    runs = readers.wandb_runs(study.folder.logs / "wandb").values()
    assert {"trial-0000-baseline", "trial-0001-l2"} <= {run["name"] for run in runs}


def test_a_running_trial_is_in_the_store_before_it_has_ended(tmp_path):
    study = LiveStudy(tmp_path, TensorBoardLogger()).start()
    study.whole_trial()
    study.epoch(study.trial())
    wait_for_idle(study)
    stored = in_store("tensorboard", study.folder.root)
    assert [len(metrics["train_loss"]) for _, metrics in sorted(stored.items())] == [3, 1]


def test_a_moved_study_has_its_runs_and_artifacts_where_it_is_now(tmp_path):
    before, after = tmp_path / "a b#%20", tmp_path / "after"
    LiveStudy(before, MLflowLogger(), trials=3).run()
    before.rename(after)
    folder = LiveStudy(after, MLflowLogger(), trials=4).run().folder
    assert not before.exists()
    runs = readers.mlflow_runs((folder.logs / "mlruns").as_uri(), folder.name)
    assert len(runs) == 1 + 4 and {run.info.artifact_uri.startswith(folder.root.as_uri()) for run in runs} == {True}
    assert_up_to_date(["mlflow"], folder.root)


def test_a_copied_study_deletes_no_run_of_the_first_one(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "store").as_uri())
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "team")
    first = LiveStudy(tmp_path / "r", MLflowLogger(), trials=3).run().folder
    uri, before = (tmp_path / "store").as_uri(), study_id(first)
    there = {run.info.run_id for run in readers.mlflow_runs(uri, "team")}
    copy = StudyFolder(first.root.with_name("copy"))
    shutil.copytree(first.root, copy.root)
    Listeners([MLflowLogger()])(StudyFinished(folder=str(copy.root), end="complete", rows=[]))
    assert there < {run.info.run_id for run in readers.mlflow_runs(uri, "team")}
    assert study_id(first) == before != study_id(copy) == study_id(copy)
    (first.logs / "id").write_text(before)  # as 83dc8fd wrote it
    assert study_id(first) == before


def test_loggers_that_begin_at_once_know_the_study_by_one_id(tmp_path):
    for number in range(20):
        folder, gate, found = StudyFolder(tmp_path / str(number)), threading.Barrier(2), []

        def ask(folder=folder, gate=gate, found=found):
            gate.wait()
            found.append(study_id(folder))

        threads = [threading.Thread(target=ask) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(set(found)) == 1


def test_runs_whose_parent_somebody_deleted_get_another(tmp_path):
    folder = LiveStudy(tmp_path, MLflowLogger(), trials=3).run().folder
    uri = (folder.logs / "mlruns").as_uri()
    (parent,) = [run for run in readers.mlflow_runs(uri, folder.name) if "mlflow.parentRunId" not in run.data.tags]
    MlflowClient(tracking_uri=uri).delete_run(parent.info.run_id)
    LiveStudy(tmp_path, MLflowLogger(), trials=4).run()
    runs = readers.mlflow_runs(uri, folder.name)
    (new,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert new.info.run_id != parent.info.run_id and len(runs) == 1 + 4
    assert {run.data.tags.get("mlflow.parentRunId") for run in runs} == {None, new.info.run_id}


def test_mlflow_takes_the_experiment_by_its_number_and_leaves_what_others_are_making(tmp_path, monkeypatch):
    uri = (tmp_path / "store").as_uri()
    client = MlflowClient(tracking_uri=uri)
    number = client.create_experiment("chosen")
    half_made = client.create_run(number, tags={"hw2tune.run": "trial-0000"}).info.run_id
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", number)
    LiveStudy(tmp_path, MLflowLogger(), trials=2).run()
    assert len(readers.mlflow_runs(uri, "chosen")) == 1 + 1 + 2
    assert client.get_run(half_made).info.lifecycle_stage == "active"


def test_a_report_that_a_kill_left_without_its_summary_is_not_attached(tmp_path):
    folder = write_fake_study(tmp_path, trials=3, seeds=0)
    (folder.root / "report").mkdir()
    (folder.root / "report" / "index.html").write_text("half")
    study = LiveStudy(tmp_path, MLflowLogger(), trials=3)
    study.finish()
    assert "".join(study.said) == ""


def test_what_wandb_offline_wrote_counts_and_a_netrc_without_its_host_is_no_login(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "netrc").write_text(f"default login user password {'a' * 40}\n")
    assert WandbLogger().mode == "offline"
    (tmp_path / "netrc").write_text(f"machine 127.0.0.1 login user password {'a' * 40}\n")
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")  # where nothing answers
    with pytest.raises(LoggerError, match=r"no answer from http://127\.0\.0\.1:9"):
        WandbLogger()
    (tmp_path / "wandb").mkdir()
    (tmp_path / "wandb" / "settings").write_text("[default]\nmode = offline\n")
    assert WandbLogger().mode == "offline"


def test_a_label_that_is_a_path_stays_within_the_logs(tmp_path):
    folder = write_fake_study(tmp_path / "results", trials=2, seeds=0)
    overview = read_overview(folder)
    run = trial_run(overview, replace(overview.rows[0], label="/../../../../evil"))
    assert "/" not in run.name and run.name.startswith("trial-0000")
