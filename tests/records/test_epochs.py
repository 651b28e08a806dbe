"""A trial's epochs on disk, its checkpoints and its weights."""

import io
import resource
import tracemalloc

import numpy as np
import pytest

from hw2tune.errors import NotWritableError
from hw2tune.records.layout import TrialFolder
from hw2tune.records.trials.epochs import (
    DIGEST,
    Checkpoint,
    append_epoch,
    digest,
    find_checkpoint,
    read_epochs,
    saved_epoch,
    write_checkpoint,
    write_epochs,
    write_weights,
)


def test_epochs_come_back_in_order_and_of_two_alike_the_later_counts(tmp_path):
    folder = TrialFolder(tmp_path / "3")
    for epoch, loss in ((1, 0.5), (2, 0.4), (2, 0.3)):
        append_epoch(folder, {"epoch": epoch, "train_loss": loss})
    assert read_epochs(folder) == [{"epoch": 1, "train_loss": 0.5}, {"epoch": 2, "train_loss": 0.3}]


def test_a_line_torn_by_a_kill_is_left_out_and_the_next_epoch_is_not(tmp_path):
    folder = TrialFolder(tmp_path)
    append_epoch(folder, {"epoch": 1})
    with folder.epochs.open("a") as file:
        file.write('{"epoch": 2, "train_l')
    assert read_epochs(folder) == [{"epoch": 1}]
    append_epoch(folder, {"epoch": 2})
    assert read_epochs(folder) == [{"epoch": 1}, {"epoch": 2}]


def test_epochs_are_replaced_as_a_whole(tmp_path):
    folder = TrialFolder(tmp_path)
    for epoch in (1, 2, 3):
        append_epoch(folder, {"epoch": epoch})
    write_epochs(folder, [{"epoch": 1}, {"epoch": 2}])
    assert [record["epoch"] for record in read_epochs(folder)] == [1, 2]
    assert read_epochs(TrialFolder(tmp_path / "none")) == []


def test_a_checkpoint_counts_only_if_each_epoch_before_it_has_its_line(tmp_path):
    trial = TrialFolder(tmp_path)
    records = [{"epoch": epoch, DIGEST: digest(b"%d" % epoch)} for epoch in (1, 2, 3)]
    write_epochs(trial, records)
    trial.previous.write_bytes(b"1")
    trial.last.write_bytes(b"3")
    assert find_checkpoint(trial).epoch == saved_epoch(trial) == 3
    write_epochs(trial, [records[0], records[2]])
    assert find_checkpoint(trial) == Checkpoint(content=b"1", epoch=1, damaged=(trial.last,))
    write_epochs(trial, records[1:])
    assert find_checkpoint(trial) == Checkpoint(content=None, epoch=0, damaged=(trial.last, trial.previous))


def test_a_trial_goes_on_from_the_epoch_of_its_last_checkpoint_not_from_its_last_one(tmp_path):
    trial = TrialFolder(tmp_path)
    assert saved_epoch(trial) == 0
    write_epochs(trial, [{"epoch": 1}, {"epoch": 2, DIGEST: digest(b"2")}, {"epoch": 3}])
    trial.last.write_bytes(b"2")
    assert (saved_epoch(trial), find_checkpoint(trial).epoch) == (2, 2)


def test_a_checkpoint_is_found_without_being_read_into_memory_and_outlives_its_file(tmp_path):
    trial, content = TrialFolder(tmp_path), bytes(range(250)) * 80_000
    append_epoch(trial, {"epoch": 1, DIGEST: digest(content)})
    write_checkpoint(trial, content)
    tracemalloc.start()
    found = find_checkpoint(trial).content
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < len(content) / 10
    write_checkpoint(trial, b"2")
    trial.previous.unlink()
    assert found == content
    assert find_checkpoint(trial) == Checkpoint(content=None, epoch=0, damaged=(trial.last,))
    trial.last.write_bytes(b"")
    assert find_checkpoint(trial) == Checkpoint(content=None, epoch=0, damaged=(trial.last,))


def test_weights_are_written_as_numpy_writes_them_without_a_copy_in_memory(tmp_path):
    trial = TrialFolder(tmp_path / "0")
    weights = {f"layer{n}.weight": np.full((2500, 2000), n, np.float32) for n in range(3)}  # 60 MB
    tracemalloc.start()
    write_weights(trial, weights)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 25_000_000
    np.savez(expected := io.BytesIO(), **weights)
    assert trial.weights.read_bytes() == expected.getvalue()
    assert [path.name for path in trial.root.iterdir()] == ["best.npz"]


def test_weights_that_the_disk_refuses_leave_the_ones_before_and_no_part(tmp_path):
    trial, before = TrialFolder(tmp_path / "0"), resource.getrlimit(resource.RLIMIT_FSIZE)
    write_weights(trial, {"bias": np.ones(2)})
    kept = trial.weights.read_bytes()
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, before[1]))
    try:
        with pytest.raises(NotWritableError) as refused:
            write_weights(trial, {"weight": np.ones(1_000_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert str(refused.value) == f"{trial.weights}: cannot be written (File too large)"
    assert trial.weights.read_bytes() == kept and [path.name for path in trial.root.iterdir()] == ["best.npz"]
