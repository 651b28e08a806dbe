"""The training loop against a plain one, and against itself interrupted."""

import io
import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from hw2tune.data.catalog import dataset_info
from hw2tune.study.hyperparameters import Hyperparameters
from hw2tune.train.loop import DivergedError, evaluated, predict, train_epochs
from hw2tune.train.metrics import LOSSES
from hw2tune.train.state import ORDER_STREAM, checkpoint, new_state, restore
from hw2tune.train.task import Blueprint
from tests.train.conftest import CPU, make_data
from tests.train.test_models import as_published

CONFIGURATIONS = {
    "mnist": ("mnist_cnn", "double_softmax", Hyperparameters(
        learning_rate=0.003, batch_size=50, optimizer="adam", weight_decay=1e-3)),
    "cifar10": ("cifar10_cnn", "cross_entropy", Hyperparameters(
        learning_rate=0.02, batch_size=32, optimizer="sgd", momentum=0.9, weight_decay=1e-3)),
}  # fmt: skip


def optimizer_of(parameters, hp):
    if hp.optimizer == "sgd":
        return torch.optim.SGD(parameters, lr=hp.learning_rate, momentum=hp.momentum, weight_decay=hp.weight_decay)
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[hp.optimizer]
    return kind(parameters, lr=hp.learning_rate, weight_decay=hp.weight_decay)


def plain_training(model_name, loss_name, hp, data, info, epochs, seed):
    """A tutorial's loop: DataLoader over normalised tensors, module in the published order, one batch after another."""
    torch.manual_seed(seed)
    ours = new_state(Blueprint(model=model_name), hp, seed=seed, device=CPU).model
    model = as_published(ours).to(memory_format=torch.contiguous_format)
    images = (data.train.images.float() / 255 - torch.tensor(info.mean)) / torch.tensor(info.std)
    dataset = TensorDataset(images.permute(0, 3, 1, 2).contiguous(), data.train.labels)
    order = torch.Generator().manual_seed(seed + ORDER_STREAM)
    optimizer = optimizer_of(model.parameters(), hp)
    losses = []
    for _ in range(epochs):
        model.train()
        total = 0.0
        indices = torch.randperm(len(dataset), generator=order).tolist()
        for x, y in DataLoader(dataset, batch_size=hp.batch_size, sampler=indices, generator=torch.Generator()):
            optimizer.zero_grad()
            out = model(x)
            loss = nn.functional.cross_entropy(out.softmax(1) if loss_name == "double_softmax" else out, y)
            loss.backward()
            optimizer.step()
            total += loss.item() * len(y)
        losses.append(total / len(dataset))
    return losses, model


@pytest.mark.parametrize("dataset", list(CONFIGURATIONS))
def test_the_loop_agrees_with_a_plain_one(dataset):
    model_name, loss_name, hp = CONFIGURATIONS[dataset]
    data = make_data(dataset)
    expected, plain_model = plain_training(model_name, loss_name, hp, data, dataset_info(dataset), epochs=3, seed=7)
    state = new_state(Blueprint(model=model_name), hp, seed=7, device=CPU)
    epochs = list(train_epochs(state, hp, data, loss=loss_name, max_epochs=3))
    assert [epoch["train_loss"] for epoch in epochs] == pytest.approx(expected, rel=2e-5)
    for ours, plain in zip(state.model.parameters(), plain_model.parameters(), strict=True):
        torch.testing.assert_close(ours.detach(), plain.detach(), rtol=1e-3, atol=2e-5)


def run(hp, data, *, epochs, dataset="mnist", seed=7, saved=None):
    model_name, loss_name, _ = CONFIGURATIONS[dataset]
    state = new_state(Blueprint(model=model_name), hp, seed=seed, device=CPU)
    if saved is not None:
        restore(state, saved)
    return state, list(train_epochs(state, hp, data, loss=loss_name, max_epochs=epochs))


def losses(epochs):
    return [(epoch["train_loss"], epoch["validation_loss"]) for epoch in epochs]


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("dataset", list(CONFIGURATIONS))
def test_training_resumed_from_a_checkpoint_repeats_the_uninterrupted_run_bit_for_bit(dataset, optimizer):
    hp = Hyperparameters(
        learning_rate=0.003, batch_size=64, optimizer=optimizer, weight_decay=1e-3,
        momentum=0.9 if optimizer == "sgd" else None,
    )  # fmt: skip
    data = make_data(dataset)
    whole, epochs = run(hp, data, epochs=4, dataset=dataset)
    saved = checkpoint(run(hp, data, epochs=2, dataset=dataset)[0])
    torch.manual_seed(99)  # another process has another generator
    resumed, later = run(hp, data, epochs=4, dataset=dataset, saved=saved)
    assert [epoch["epoch"] for epoch in later] == [3, 4]
    assert losses(epochs[2:]) == losses(later)
    for one, other in zip(whole.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_training_already_at_its_last_epoch_trains_no_more():
    hp, data = CONFIGURATIONS["mnist"][2], make_data("mnist")
    saved = checkpoint(run(hp, data, epochs=2)[0])
    resumed, later = run(hp, data, epochs=2, saved=saved)
    assert (resumed.epoch, later) == (2, [])
    assert checkpoint(resumed) == saved


def test_one_seed_gives_the_same_weights_and_order_to_every_configuration():
    slow, fast = (
        Hyperparameters(learning_rate=rate, batch_size=size, optimizer=optimizer)
        for rate, size, optimizer in ((0.001, 32, "sgd"), (0.1, 64, "adamw"))
    )
    one, other = (new_state(Blueprint(model="cifar10_cnn"), hp, seed=4, device=CPU) for hp in (slow, fast))
    for a, b in zip(one.model.parameters(), other.model.parameters(), strict=True):
        assert torch.equal(a, b)
    assert torch.equal(
        torch.randperm(9, generator=one.shuffle_generator), torch.randperm(9, generator=other.shuffle_generator)
    )
    different = new_state(Blueprint(model="cifar10_cnn"), slow, seed=5, device=CPU)
    assert not torch.equal(next(one.model.parameters()), next(different.model.parameters()))


def test_trainings_in_one_process_do_not_change_each_other_nor_what_the_process_draws():
    hp, data, loss = CONFIGURATIONS["mnist"][2], make_data("mnist"), "double_softmax"
    alone = [losses(run(hp, data, epochs=3, seed=seed)[1]) for seed in (7, 8)]
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    states = [new_state(Blueprint(model="mnist_cnn"), hp, seed=seed, device=CPU) for seed in (7, 8)]
    trainings = (train_epochs(state, hp, data, loss=loss, max_epochs=3) for state in states)
    in_turn = list(zip(*trainings, strict=True))  # one epoch of each
    assert torch.equal(torch.rand(3), expected)
    assert [losses(epochs) for epochs in zip(*in_turn, strict=True)] == alone


def test_checkpoints_of_earlier_versions_go_on():
    hp, data = CONFIGURATIONS["mnist"][2], make_data("mnist")
    state, epochs = run(hp, data, epochs=1)
    content = torch.load(io.BytesIO(checkpoint(state)), weights_only=True)
    content["history"] = [epochs[0] | {"metrics": {}} for _ in range(content.pop("epoch"))]  # as 83dc8fd kept them
    old = io.BytesIO()
    torch.save(content, old)
    assert losses(run(hp, data, epochs=2, saved=old.getvalue())[1]) == losses(run(hp, data, epochs=2)[1][1:])
    content["optimizer"] = content.pop("optimizers")[0]
    for key in ("device", "dropout", "augment", "own_draws"):
        del content[key]
    old = io.BytesIO()
    torch.save(content | {"random": torch.get_rng_state(), "cuda_random": None}, old)
    assert [epoch["epoch"] for epoch in run(hp, data, epochs=2, saved=old.getvalue())[1]] == [2]


def test_a_loss_that_is_no_number_ends_the_training_as_diverged():
    hp = Hyperparameters(learning_rate=1e9, batch_size=32, optimizer="sgd", momentum=0.9)
    state = new_state(Blueprint(model="cifar10_cnn"), hp, seed=0, device=CPU)
    data = make_data("cifar10")
    with pytest.raises(DivergedError, match=r"loss (nan|inf) \(training\), nan \(validation\)"):
        list(train_epochs(state, hp, data, loss="cross_entropy", max_epochs=3))
    assert state.epoch < 3


def test_an_epoch_record_says_what_was_measured():
    data = make_data("mnist")
    state, (epoch,) = run(CONFIGURATIONS["mnist"][2], data, epochs=1)
    loss, accuracy = evaluated(predict(state.model, data.validation), data.validation, LOSSES["double_softmax"])
    assert (epoch["epoch"], epoch["validation_loss"], epoch["validation_accuracy"]) == (1, loss, accuracy)
    assert epoch["images_per_second"] == pytest.approx(230 / epoch["train_seconds"])
    assert epoch["epoch_seconds"] >= epoch["train_seconds"] > 0
    assert round(230 * epoch["train_accuracy"]) == pytest.approx(230 * epoch["train_accuracy"])


def test_a_checkpoint_holds_the_networks_weights_and_loads_without_pickle():
    state, _ = run(CONFIGURATIONS["mnist"][2], make_data("mnist"), epochs=1)
    saved = torch.load(io.BytesIO(checkpoint(state)), weights_only=True)
    assert saved["epoch"] == 1 and "history" not in saved  # the epochs' records are in result.json
    for name, tensor in state.model.state_dict().items():
        assert torch.equal(saved["model"][name], tensor)


TRAIN_AND_RESUME = """
import sys, torch
from hw2tune.study.hyperparameters import Hyperparameters
from hw2tune.train.task import Blueprint
from hw2tune.train.loop import train_epochs
from hw2tune.train.state import checkpoint, new_state, restore
from tests.train.conftest import CPU, make_data
for optimizer in ("sgd", "adam", "adamw"):
    hp = Hyperparameters(learning_rate=0.01, batch_size=32, optimizer=optimizer)
    state = new_state(Blueprint(model="mnist_cnn"), hp, seed=0, device=CPU)
    list(train_epochs(state, hp, make_data("mnist"), loss="cross_entropy", max_epochs=1))
    restore(state, checkpoint(state))
print("torch._dynamo" in sys.modules)
"""


def test_training_leaves_the_compiler_unimported():
    shown = subprocess.run([sys.executable, "-c", TRAIN_AND_RESUME], capture_output=True, text=True, check=True)
    assert shown.stdout == "False\n"


def test_batches_are_normalised_as_the_data_set_asks():
    data = make_data("cifar10")
    images, labels = next(data.train.batches(8))
    expected = (data.train.images[:8].double() / 255 - 0.5) / 0.5
    torch.testing.assert_close(images.permute(0, 2, 3, 1).double(), expected, rtol=0, atol=1e-6)
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(labels, data.train.labels[:8])
