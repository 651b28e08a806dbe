"""A trial again: the same to the last digit, or from where and by how much it is not."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import hw2tune
from hw2tune.errors import InterruptedByUserError, StudyFolderError
from hw2tune.events import StageStarted
from hw2tune.records.layout import StudyFolder
from hw2tune.replication.rerun import _circumstances, _run_of
from tests.export.trained_study import write_trained_study


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    """A study of two trials of three epochs; the second one diverges."""
    place = tmp_path_factory.mktemp("results")
    write_trained_study(place, dataset="synthetic-mnist", epochs=3, large=0.05, seeds=())
    write_trained_study(place, name="wild", dataset="synthetic-mnist", epochs=3, large=1e38, seeds=())
    return place


def files(results: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in results.rglob("*") if path.is_file()}


def change(folder: StudyFolder, trial: int, epoch: int, **values: float) -> bytes:
    """Alters what is recorded of an epoch; returns what was there."""
    path = folder.trial(trial).epochs
    before = path.read_bytes()
    lines = [json.loads(line) for line in before.splitlines()]
    lines[epoch - 1] |= values
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return before


def test_a_trial_comes_out_the_same_and_nothing_is_written(results):
    before, threads = files(results), torch.get_num_threads()
    torch.set_flush_denormal(False)
    torch.manual_seed(5)
    drawn = torch.get_rng_state()
    again = hw2tune.rerun_trial("small", 0, results_dir=results)
    assert again.same and [one.same for one in again.epochs] == [True] * 3
    assert again.sentence == "trial 0 came out the same: 3 epochs, every loss and accuracy equal to the last digit"
    assert again.epochs[2].recorded["train_loss"] == again.epochs[2].again["train_loss"] > 0
    assert files(results) == before
    assert torch.get_num_threads() == threads and torch.equal(torch.get_rng_state(), drawn)
    assert torch.tensor([1e-39]).mul(1.0).item() > 0  # tiny numbers are treated as before


def test_what_differs_is_said_with_its_epoch_its_size_and_the_circumstances(results):
    folder = StudyFolder(results / "small")
    loss = hw2tune.read_study("small", results_dir=results).epochs.validation_loss[1]
    before, environment = change(folder, 0, 2, validation_loss=loss + 0.25), folder.environment.read_text()
    folder.environment.write_text(
        environment.replace(f'"torch": "{torch.__version__.partition("+")[0]}', '"torch": "1.0')
    )
    try:
        again = hw2tune.rerun_trial("small", 0, results_dir=results)
    finally:
        folder.trial(0).epochs.write_bytes(before)
        folder.environment.write_text(environment)
    assert not again.same and [one.same for one in again.epochs] == [True, False, True]
    assert again.sentence == (
        "trial 0 did not come out the same: it differs from epoch 2 on, by at most 0.2500 nats of validation loss"
    )
    assert [text for text in again.circumstances if text.startswith("torch: 1.0")]


def test_each_circumstance_that_changed_is_named_and_what_was_not_recorded_is_not(monkeypatch):
    versions = {"hw2tune": "9", "torch": "9", "numpy": "9"}
    now = {"versions": versions, "commit": "c9", "processor": "p9", "platform": "l9"}
    monkeypatch.setattr("hw2tune.replication.rerun.run_facts", lambda: now)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    data = SimpleNamespace(checksum="i9", split_checksum="s9")
    then = {
        "versions": dict.fromkeys(versions, "1"), "commit": "c1", "processor": "p1", "platform": "l1",
        "data": {"checksum": "i1", "split_checksum": "s1"}, "resources": {"gpus_per_trial": 0.5},
    }  # fmt: skip
    assert _circumstances(then, data) == [
        "hw2tune: 1 then, 9 now",
        "torch: 1 then, 9 now",
        "numpy: 1 then, 9 now",
        "commit of hw2tune: c1 then, c9 now",
        "processor: p1 then, p9 now",
        "platform: l1 then, l9 now",
        "images (checksum): i1 then, i9 now",
        "split (checksum): s1 then, s9 now",
        "device: a GPU then, the CPU now",
    ]
    same = {"checksum": "i9", "split_checksum": "s9"}
    assert _circumstances(now | {"data": same, "resources": {"gpus_per_trial": 0}}, data) == []
    assert _circumstances({"commit": "c9"}, data) == []  # an older record has fewer
    assert _circumstances({}, data) == ["environment.json says nothing of the study's run"]


def test_a_difference_in_the_last_digit_is_no_equality(results):
    folder = StudyFolder(results / "small")
    loss = hw2tune.read_study("small", results_dir=results).epochs.train_loss[2]
    before = change(folder, 0, 3, train_loss=loss * (1 + 2**-52))
    try:
        again = hw2tune.rerun_trial("small", 0, results_dir=results)
    finally:
        folder.trial(0).epochs.write_bytes(before)
    assert not again.same and "from epoch 3 on, by at most" in again.sentence and "e-16 of train loss" in again.sentence


def test_a_line_that_a_kill_left_behind_the_last_epoch_of_the_journal_is_no_difference(tmp_path):
    folder, _ = write_trained_study(tmp_path, dataset="synthetic-mnist", epochs=2, large=0.05, seeds=())
    path = folder.trial(0).epochs
    path.write_text(path.read_text() + json.dumps(json.loads(path.read_text().splitlines()[-1]) | {"epoch": 3}) + "\n")
    again = hw2tune.rerun_trial("small", 0, results_dir=tmp_path)
    assert again.same and len(again.epochs) == 2


def test_the_threads_are_those_of_the_run_that_began_the_trial(results):
    folder = StudyFolder(results / "small")
    before = folder.environment.read_bytes() if folder.environment.exists() else None
    recorded = [{"epoch": 1, "timestamp": 1_000_000_000.0}]
    begun = ("2001-09-01T00:00:00+00:00", "2001-09-20T00:00:00+00:00")  # before the epoch's timestamp and behind it
    entries = [{"started": at, "seeds": {"study": 0}, "resources": {"threads": n}} for n, at in enumerate(begun, 4)]
    folder.environment.write_text(json.dumps({"runs": entries}))
    try:
        assert _run_of(folder, recorded)["resources"] == {"threads": 4}
        assert _run_of(folder, [])["resources"] == {"threads": 5}
    finally:
        folder.environment.write_bytes(before) if before else folder.environment.unlink()


def test_another_seed_is_compared_and_not_expected_to_be_the_same(results):
    again = hw2tune.rerun_trial("small", 0, seed=8, results_dir=results)
    recorded = hw2tune.read_study("small", results_dir=results).trials.value[0]
    assert again.other_seed and not again.same
    assert again.epochs[0].again["train_loss"] != again.epochs[0].recorded["train_loss"]
    assert again.best == max(one.again["validation_accuracy"] for one in again.epochs)
    assert again.sentence.startswith(
        f"trial 0 on seed 8: best validation accuracy {100 * again.best:.2f} %, against {100 * recorded:.2f} % on the "
        "study's seed 3: "
    )


def test_a_trial_that_diverged_diverges_again(results):
    row = hw2tune.read_study("wild", results_dir=results).trials.iloc[1]
    assert row.state == "diverged" and row.epochs < 3
    again = hw2tune.rerun_trial("wild", 1, results_dir=results)
    assert again.same and again.ended == row.reason
    assert again.sentence.endswith(f"{row.reason} again")


METRICS = """
def never(logits, labels):
    return float("nan")


def late(logits, labels):
    return float("nan") if (logits.argmax(1) == labels).float().mean() < 0.15 else 0.5
"""


def test_an_objective_that_is_not_a_number_comes_out_the_same_again(tmp_path):
    (tmp_path / "m.py").write_text(METRICS)
    write_trained_study(tmp_path, dataset="synthetic-mnist", objective="m.py:never", epochs=2, seeds=())
    again = hw2tune.rerun_trial("small", 0, results_dir=tmp_path)
    assert (again.same, len(again.epochs), again.best) == (True, 2, None)
    assert again.ended == "diverged in epoch 2: m.py:never was never finite (nan)"


def test_of_a_rerun_only_finite_values_are_compared_and_the_best(tmp_path):
    (tmp_path / "m.py").write_text(METRICS)
    write_trained_study(tmp_path, dataset="synthetic-mnist", objective="m.py:late", epochs=3, rate=0.0003, seeds=())
    values = hw2tune.read_study("small", results_dir=tmp_path).trials.value
    again = hw2tune.rerun_trial("small", 0, results_dir=tmp_path)
    assert again.same and again.best == values[0] == 0.5
    assert "m.py:late" not in again.epochs[0].again and again.epochs[2].again["m.py:late"] == 0.5


def test_a_trial_that_was_stopped_early_is_trained_for_as_long_and_no_longer(tmp_path):
    import optuna

    folder, _ = write_trained_study(tmp_path, dataset="synthetic-mnist", epochs=3, seeds=())
    journal = folder.journal.read_text().splitlines()
    # As a pruner would have stopped trial 1 behind its first epoch.
    kept = [
        line for line in journal if not (json.loads(line).get("trial_id") == 1 and json.loads(line).get("step", 1) > 1)
    ]
    text = "\n".join(kept) + "\n"
    end = [json.loads(line) for line in kept if json.loads(line).get("trial_id") == 1 and "state" in json.loads(line)]
    pruned = {**end[-1], "state": optuna.trial.TrialState.PRUNED.value, "values": None}
    folder.journal.write_text(text.replace(json.dumps(end[-1], separators=(",", ":")), json.dumps(pruned)))
    lines = folder.trial(1).epochs.read_text().splitlines()
    folder.trial(1).epochs.write_text(lines[0] + "\n")
    assert hw2tune.read_study("small", results_dir=tmp_path).trials.state[1] == "pruned"
    again = hw2tune.rerun_trial("small", 1, results_dir=tmp_path)
    assert again.same and len(again.epochs) == 1


def test_what_is_not_there_or_has_no_epoch_is_refused(results):
    with pytest.raises(StudyFolderError, match="no trial 9; it has 2 trials, from 0 on; `hw2tune status small` lists"):
        hw2tune.rerun_trial("small", 9, results_dir=results)


def test_ctrl_c_ends_it_in_words(results):
    def press(event: object) -> None:
        if isinstance(event, StageStarted) and event.text.startswith("training epoch 2"):
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(InterruptedByUserError, match="interrupted after 1 of 3 epochs; a rerun keeps nothing"):
        hw2tune.rerun_trial("small", 0, results_dir=results, listeners=[press])


def test_the_command_shows_every_epoch_and_its_exit_code_says_whether_it_is_the_same(results):
    command = [sys.executable, "-m", "hw2tune", "rerun", "small", "0", "--results-dir", str(results), "-q"]
    shown = subprocess.run(command, capture_output=True, text=True)
    assert shown.returncode == 0 and shown.stderr == ""
    lines = shown.stdout.splitlines()
    assert lines[0].startswith("#0 baseline of small: complete; lr 0.002") and lines[-1].startswith(
        "trial 0 came out the same"
    )
    assert [line.split()[0] for line in lines[1:-1]] == ["epoch", "1", "2", "3"]
    folder = StudyFolder(results / "small")
    before = change(folder, 0, 1, train_accuracy=0.5)
    try:
        shown = subprocess.run([*command, "--json"], capture_output=True, text=True)
    finally:
        folder.trial(0).epochs.write_bytes(before)
    content = json.loads(shown.stdout)
    assert (
        shown.returncode == 1 and content["same"] is False and content["epochs"][0]["recorded"]["train_accuracy"] == 0.5
    )
