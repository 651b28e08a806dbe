"""One training kept whole, and the published protocol."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from hw2tune.data.catalog import dataset_info
from hw2tune.records.replicates import Training
from hw2tune.study.hyperparameters import Hyperparameters
from hw2tune.train.evaluate import evaluation, network
from hw2tune.train.loop import evaluated, predict
from hw2tune.train.metrics import LOSSES
from hw2tune.train.task import Blueprint, Task
from hw2tune.train.trainer import Trainer
from tests.train.conftest import CPU, make_data

ADAM = Hyperparameters(learning_rate=0.003, batch_size=50, optimizer="adam")


def task(**changes) -> Task:
    settings = {"model": "mnist_cnn", "loss": "cross_entropy", "hyperparameters": ADAM, "seed": 3, "max_epochs": 3,
                "objective": "validation_accuracy"}  # fmt: skip
    return Task(**settings | changes)


def trainer_on(data) -> Trainer:
    """A trainer whose images are on the device already."""
    trainer = Trainer.__new__(Trainer)
    trainer.device, trainer.data = CPU, data
    return trainer


def finish(training) -> tuple[list[dict], Training]:
    """Epochs and result of a generator."""
    epochs = []
    while True:
        try:
            epochs.append(next(training))
        except StopIteration as end:
            return epochs, end.value


def trained(data, **changes) -> Training:
    epochs, result = finish(trainer_on(data).train(task(**changes)))
    assert result.epochs == epochs
    return result


def weights(result: Training, kind: str) -> dict:
    return {name.removeprefix(f"{kind}/"): a for name, a in result.arrays.items() if name.startswith(f"{kind}/")}


def test_the_chosen_weights_score_what_their_epoch_scored_and_the_last_ones_the_last():
    data = make_data("mnist")
    result = trained(data)
    assert result.chosen_epoch == max(result.epochs, key=lambda e: (e["validation_accuracy"], -e["epoch"]))["epoch"]
    for kind, epoch in (("chosen", result.chosen_epoch), ("last", 3)):
        logits = predict(network(Blueprint(model="mnist_cnn"), weights(result, kind), 3, CPU), data.validation)
        loss, accuracy = evaluated(logits, data.validation, LOSSES["cross_entropy"])
        assert result.epochs[epoch - 1]["validation_loss"] == pytest.approx(loss, rel=1e-6)
        assert result.epochs[epoch - 1]["validation_accuracy"] == accuracy


def test_a_diverged_training_keeps_its_epochs_and_says_how():
    wild = Hyperparameters(learning_rate=1e12, batch_size=50, optimizer="sgd", momentum=0.9)
    result = trained(make_data("cifar10"), model="cifar10_cnn", hyperparameters=wild)
    assert result.diverged.startswith("diverged in epoch")
    assert len(result.epochs) < 3


METRICS = {
    "m.py": "calls = []\n\n\ndef late(logits, labels):\n    calls.append(1)\n"
    "    return float('nan') if len(calls) == 1 else 1 / len(calls)\n\n\n"
    "def never(logits, labels):\n    return float('inf')\n"
}


def test_an_epoch_without_a_finite_value_is_not_the_chosen_one():
    result = trained(make_data("mnist"), objective="m.py:late", code=METRICS)
    assert [epoch["m.py:late"] for epoch in result.epochs[1:]] == [1 / 2, 1 / 3]
    assert (result.chosen_epoch, result.diverged) == (2, "")


def test_a_training_without_a_finite_value_diverged():
    result = trained(make_data("mnist"), objective="m.py:never", code=METRICS)
    assert (len(result.epochs), result.chosen_epoch) == (3, None)
    assert result.diverged == "diverged in epoch 3: m.py:never was never finite (inf)"


def test_initial_norms_are_those_of_the_untrained_network():
    result = trained(make_data("mnist"), max_epochs=1)
    torch.manual_seed(3)
    from hw2tune.networks import MnistCnn

    for name, tensor in MnistCnn().named_parameters():
        assert result.arrays[f"initial_norms/{name}"] == pytest.approx(
            float(np.linalg.norm(tensor.detach().numpy())), rel=1e-5
        )


def test_the_published_protocol_adds_both_evaluations_to_each_epoch():
    data = make_data("cifar10", validation=0)
    held_out = make_data("cifar10").validation
    published = task(model="cifar10_cnn", max_epochs=2)
    epochs, result = finish(trainer_on(data).train_as_published(published, data.train, held_out))
    assert (result.epochs, result.arrays, result.diverged) == (epochs, {}, "")
    assert [epoch["epoch"] for epoch in epochs] == [1, 2]
    assert "validation_loss" not in epochs[0]  # nothing was held out
    assert {"published_test_loss", "published_test_accuracy", "held_out_loss", "held_out_accuracy"} <= epochs[0].keys()
    whole = trained(data, model="cifar10_cnn", max_epochs=2)
    assert [epoch["train_loss"] for epoch in epochs] == [epoch["train_loss"] for epoch in whole.epochs]
    net = network(Blueprint(model="cifar10_cnn"), weights(whole, "last"), 3, CPU)
    assert epochs[1]["published_test_accuracy"] == evaluation(
        predict(net, data.train), data.train.labels, "cross_entropy"
    )["accuracy"]  # fmt: skip
    assert epochs[1]["held_out_accuracy"] == evaluation(
        predict(net, held_out), held_out.labels, "cross_entropy"
    )["accuracy"]  # fmt: skip
    assert dataset_info("cifar10").mean == (0.5, 0.5, 0.5)


def test_a_diverged_repetition_of_a_published_run_keeps_the_epochs_up_to_there():
    wild = Hyperparameters(learning_rate=1e12, batch_size=50, optimizer="sgd", momentum=0.9)
    data = make_data("cifar10", validation=0)
    held_out = make_data("cifar10").validation
    diverging = task(model="cifar10_cnn", hyperparameters=wild, max_epochs=3)
    epochs, result = finish(trainer_on(data).train_as_published(diverging, data.train, held_out))
    assert result.diverged.startswith(f"diverged in epoch {len(epochs) + 1}: loss ")
    assert len(epochs) < 3 and all(np.isfinite(epoch["train_loss"]) for epoch in epochs)


def test_a_checkpoint_holds_the_weights_after_the_best_epoch_though_it_is_of_a_later_one():
    trainer = trainer_on(make_data("mnist"))
    session = trainer.open(task(max_epochs=4))
    session.step()
    assert session.at_best and session.best is not None
    best = session.best = replace(session.best, value=1.5)  # no accuracy is better
    session.step()
    again = trainer.open(task(max_epochs=4), session.checkpoint())
    assert not again.at_best and again.best is not None
    assert (again.state.epoch, again.best.epoch, again.best.value) == (2, 1, 1.5)
    assert again.best.weights.keys() == best.weights.keys()
    assert all(np.array_equal(again.best.weights[name], array) for name, array in best.weights.items())
    assert [again.step()["train_loss"] for _ in (3, 4)] == [session.step()["train_loss"] for _ in (3, 4)]
    assert again.best.epoch == 1


def test_a_checkpoint_of_the_best_epoch_holds_its_weights_once():
    trainer = trainer_on(make_data("mnist"))
    session = trainer.open(task())
    session.step()
    once, best = session.checkpoint(), session.best
    session.best = replace(best, epoch=0)
    assert len(session.checkpoint()) - len(once) > sum(array.nbytes for array in best.weights.values())
    again = trainer.open(task(), once)
    assert again.at_best and all(np.array_equal(again.best.weights[n], a) for n, a in best.weights.items())
