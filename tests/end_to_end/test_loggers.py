"""A study with every logger, killed twice and continued: what each library's own reader gives back."""

import signal

import pytest

from hw2tune.records.layout import StudyFolder
from hw2tune.records.replicates import ReplicatesFolder, read_replicates
from hw2tune.records.trials.epochs import read_epochs
from tests.end_to_end.command import Command
from tests.end_to_end.test_study import STUDY
from tests.integrations.test_loggers import NAMES, assert_same, in_records, in_store, without_a_login

pytestmark = [pytest.mark.ray, pytest.mark.matrix]
__all__ = ["without_a_login"]  # a fixture


def test_a_study_that_is_killed_twice_is_in_every_store_once(tmp_path):
    (tmp_path / "tiny.toml").write_text(STUDY)
    folder = StudyFolder(tmp_path / "ray_results" / "tiny")
    logs = [word for name in NAMES for word in ("--log", name)]
    arguments = ("study", "tiny.toml", "--trials", 8, *logs)

    def epochs() -> int:
        return sum(len(read_epochs(folder.trial(number))) for number in range(8))

    for enough in (3, 9):
        command = Command(*arguments, cwd=tmp_path)
        command.wait_until(lambda enough=enough: epochs() >= enough)
        command.signal_group(signal.SIGKILL)
        command.finish()
        print("killed at", epochs(), "epochs;", {name: len(in_store(name, folder.root)) for name in ("tensorboard",)})
    code, out, err = Command(*arguments, "--summarize", "--replicates", 1, cwd=tmp_path).finish()
    assert code == 0, err
    for word in ("wandb", "mlflow", "Warning", "Traceback", "--log"):
        assert word not in out + err
    recorded = in_records(folder.root)
    assert len(recorded) == 8
    trained = {f"{one.variant}-seed-{one.seed}" for one in read_replicates(ReplicatesFolder.of(folder))}
    assert len(trained) == 4  # baseline, l2, tuned, tuned-no-l2
    for name in NAMES:
        stored = in_store(name, folder.root)
        trials = {run: metrics for run, metrics in stored.items() if run in recorded}
        assert_same(trials, recorded, float32=name == "tensorboard")
        others = {run for run in stored.keys() - trials.keys() if "race" not in run}
        assert others == trained
        values = sum(len(values) for metrics in stored.values() for values in metrics.values())
        print(f"{name}: {len(stored)} runs, {values} values; every trial's those of read_study, each once")
