"""Trainings on disk."""

import numpy as np

from hw2tune.records.replicates import Training, read_training, training_key, write_training

TRAINING = Training(
    key="abc", epochs=[{"epoch": 1, "epoch_seconds": 1.5}], chosen_epoch=1, diverged="",
    arrays={"chosen/fc.weight": np.ones(3), "last/fc.weight": np.zeros(3), "initial_norms/fc.weight": np.array(2.0)},
)  # fmt: skip


def test_a_training_comes_back_with_its_weights(tmp_path):
    write_training(tmp_path, TRAINING)
    read = read_training(tmp_path, "abc")
    assert read is not None and (read.epochs, read.chosen_epoch, read.seconds) == (TRAINING.epochs, 1, 1.5)
    assert list(read.weights("chosen")) == ["fc.weight"]
    assert read.weights("last")["fc.weight"].tolist() == [0, 0, 0]


def test_a_training_that_is_missing_or_damaged_is_trained_again(tmp_path):
    assert read_training(tmp_path, "abc") is None
    write_training(tmp_path, TRAINING)
    (tmp_path / "abc" / "weights.npz").write_bytes(b"PK\x03\x04 torn")
    assert read_training(tmp_path, "abc") is None
    write_training(tmp_path, TRAINING)
    (tmp_path / "abc" / "training.json").write_text('{"key": "ab')
    assert read_training(tmp_path, "abc") is None


def test_a_key_changes_with_anything_that_it_depends_on_and_not_with_the_order():
    assert training_key({"seed": 1, "code": "x"}) == training_key({"code": "x", "seed": 1})
    assert training_key({"seed": 1, "code": "x"}) != training_key({"seed": 2, "code": "x"})
