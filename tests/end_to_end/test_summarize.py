"""From a study to its report with real trainings, and again from the files alone."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import hw2tune
from hw2tune.data.load import load_dataset
from hw2tune.records.layout import StudyFolder
from hw2tune.records.replicates import ReplicatesFolder, read_arrays, read_race, read_replicates
from tests.end_to_end.test_study import STUDY, assert_nothing_of_rays, finish, start
from tests.integrations.dashboard.served import served
from tests.integrations.test_loggers import assert_same, in_records, in_store

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def summarized(tmp_path_factory) -> Path:
    """A folder with a small study that TensorBoard logs, summarized on two seeds: one search for all that reads it."""
    folder = tmp_path_factory.mktemp("summaries")
    (folder / "tiny.toml").write_text(STUDY)
    code, out, err = finish(
        start("study", "tiny.toml", "--summarize", "--replicates", "2", "--log", "tensorboard", cwd=folder)
    )
    assert code == 0, err
    assert_nothing_of_rays(out, err)
    assert re.search(r"^- \w[\w ]*: L2 1e-4 changes test accuracy by", out, re.MULTILINE)
    return folder


def test_four_variants_are_tested_on_the_same_seeds_which_the_search_did_not_use(summarized):
    folder = ReplicatesFolder.of(StudyFolder(summarized / "ray_results" / "tiny"))
    replicates = read_replicates(folder)
    assert [(r.variant, r.seed) for r in replicates] == [
        (variant, seed) for variant in ("baseline", "l2", "tuned", "tuned-no-l2") for seed in (1, 2)
    ]
    assert all(r.chosen and r.last and r.chosen.split == "test" and r.chosen.total == 200 for r in replicates)
    race = read_race(folder)
    winner = next(candidate for candidate in race.candidates if candidate.trial == race.winner)
    tuned = [r for r in replicates if r.variant == "tuned"]
    assert tuned[0].params == winner.params
    assert race.seeds == list(range(1001, 1001 + len(race.seeds)))  # neither the search's nor the claims'
    assert [len(one.values) > 0 for one in race.candidates] == [True] * len(race.candidates)
    assert sum(one.probability for one in race.candidates) == pytest.approx(1)
    for replicate in replicates:
        best = max(replicate.epochs, key=lambda epoch: (epoch["validation_accuracy"], -epoch["epoch"]))
        assert replicate.chosen.epoch == best["epoch"]
    assert next(r for r in replicates if r.variant == "tuned-no-l2").params["weight_decay"] == 0


def test_a_logger_has_every_epoch_of_every_trial_once(summarized):
    folder = summarized / "ray_results" / "tiny"
    recorded, stored = in_records(folder), in_store("tensorboard", folder)
    assert len(recorded) == 6
    assert_same({run: stored[run] for run in recorded}, recorded, float32=True)


def test_the_tuned_network_is_exported_and_predicts_what_its_replicate_did(summarized, tmp_path):
    results = summarized / "ray_results"
    exported = hw2tune.export_model("tiny", tmp_path / "model.safetensors", results_dir=results)
    assert exported.model.name.startswith("tuned, seed ") and exported.check.same == exported.check.images
    data = load_dataset("synthetic-mnist", validation_size=100)
    for n in range(20):
        Image.fromarray(data.test.images[n, ..., 0]).save(tmp_path / f"{n:02}.png")
    predicted = hw2tune.predict("tiny", sorted(tmp_path.glob("*.png")), results_dir=results).images
    arrays = read_arrays(ReplicatesFolder.of(StudyFolder(results / "tiny")), "tuned", exported.model.replicate.seed)
    assert [image.label for image in predicted] == [data.info.classes[label] for label in arrays["predicted"][:20]]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_the_dashboard_shows_its_trials(summarized):
    with served(summarized / "ray_results") as dashboard:
        trials = dashboard.study("tiny")["trials"]
    assert [trial["number"] for trial in trials] == list(range(6))
    assert {trial["state"] for trial in trials} <= {"Complete", "Pruned"}


@pytest.mark.matrix
def test_a_second_call_trains_nothing_and_writes_the_same_report(summarized):
    report = summarized / "ray_results" / "tiny" / "report"
    tables = {path.name: path.read_bytes() for path in (report / "tables").iterdir()}
    code, _, err = finish(start("summarize", "--replicates", "2", cwd=summarized))
    assert code == 0, err
    assert "0 trainings of 4 epochs" in err
    assert not re.search(r"[1-9]\d* trainings", err)
    assert {path.name: path.read_bytes() for path in (report / "tables").iterdir()} == tables


@pytest.mark.matrix
def test_the_report_redrawn_from_files_without_torch_and_ray_is_the_same(summarized):
    report = summarized / "ray_results" / "tiny" / "report"
    files = [path for path in report.rglob("*") if path.is_file()]
    before = {path: path.read_bytes() for path in files}
    shutil.rmtree(report)
    code = (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('torch', 'ray', 'torchvision'):\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "sys.argv = ['hw2tune', 'summarize', '--from-files', 'ray_results/tiny']\n"
        "from hw2tune.console import main; main()"
    )
    shown = subprocess.run([sys.executable, "-c", code], cwd=summarized, capture_output=True, text=True, timeout=120)
    assert shown.returncode == 0, shown.stderr
    assert {path: path.read_bytes() for path in files} == before


def test_from_files_refuses_a_folder_that_is_no_study(tmp_path):
    shown = finish(start("summarize", "--from-files", str(tmp_path), cwd=tmp_path))
    assert shown[0] == 1
    assert shown[2] == (
        f"hw2tune: {tmp_path}: neither a study's folder (it holds no study.toml) nor a folder of studies\n"
    )


@pytest.mark.matrix
@pytest.mark.real_data
def test_the_published_runs_are_repeated_with_both_evaluations(tmp_path):
    if not os.environ.get("HW2TUNE_DATA"):
        pytest.skip("HW2TUNE_DATA is not set: it names the folder of the real data sets")
    code, out, err = finish(start("reproduce", "mnist", "--replicates", "1", "--max-epochs", "1", cwd=tmp_path))
    assert code == 0, err
    assert_nothing_of_rays(out, err)
    replicates = read_replicates(ReplicatesFolder(tmp_path / "ray_results" / "reproduce-mnist.1-epochs" / "replicates"))
    assert [(r.variant, r.seed) for r in replicates] == [("baseline", 0), ("l2", 0)]
    epoch = replicates[0].epochs[0]
    assert epoch["published_test_accuracy"] == epoch["held_out_accuracy"]  # MNIST was tested on test images
    assert 1.70 < epoch["train_loss"] < 1.90  # published 1.7453 and 1.7893; 1.7849 in a plain PyTorch run
    table = (tmp_path / "ray_results" / "reproduce-mnist.1-epochs" / "report" / "reproduction.csv").read_text()
    assert table.startswith("run,epoch,quantity,published,")
