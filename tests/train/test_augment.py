"""Augmentation on images whose pixels name their place."""

import pytest
import torch

from hw2tune.study.hyperparameters import Hyperparameters
from hw2tune.train.device import Augmentation
from hw2tune.train.loop import train_epochs
from hw2tune.train.state import checkpoint, new_state, restore
from hw2tune.train.task import Blueprint
from tests.train.conftest import CPU, make_data


def numbered(count: int, size: int = 16) -> torch.Tensor:
    """(N, H, W, 1) images of which each pixel is its place."""
    return torch.arange(size * size, dtype=torch.uint8).view(1, size, size, 1).expand(count, -1, -1, -1).contiguous()


def augmented(name: str, images: torch.Tensor, seed: int = 0) -> torch.Tensor:
    augmentation = Augmentation(name, torch.Generator().manual_seed(seed))
    return augmentation.covered(augmentation.pixels(images).permute(0, 3, 1, 2).float()).permute(0, 2, 3, 1)


def test_a_flip_mirrors_about_half_of_the_images_and_nothing_else():
    images = numbered(400)
    flipped = augmented("flip", images)
    mirrored = [torch.equal(image, original.flip(1).float()) for image, original in zip(flipped, images, strict=True)]
    as_before = [torch.equal(image, original.float()) for image, original in zip(flipped, images, strict=True)]
    assert all(one != other for one, other in zip(mirrored, as_before, strict=True))
    assert 160 < sum(mirrored) < 240  # four standard deviations of a fair coin


def test_a_crop_shifts_by_up_to_an_eighth_and_mirrors_at_the_edge():
    images = numbered(300)
    shifts = set()
    for image in augmented("crop", images)[..., 0]:
        row, column = divmod(int(image[8, 8]), 16)
        down, right = row - 8, column - 8
        shifts.add((down, right))
        places = [[15 - abs(15 - abs(at + shift)) for at in range(16)] for shift in (down, right)]
        expected = images[0, ..., 0][places[0]][:, places[1]].float()
        assert torch.equal(image, expected)
    assert shifts == {(down, right) for down in range(-2, 3) for right in range(-2, 3)}


def test_a_cutout_covers_one_square_of_half_the_size():
    covered = augmented("cutout", torch.full((200, 16, 16, 3), 7, dtype=torch.uint8)) == 0
    assert torch.equal(covered[..., 0], covered[..., 2])
    for image in covered[..., 0]:
        rows, columns = image.any(1), image.any(0)
        assert 1 <= rows.sum() <= 8 and 1 <= columns.sum() <= 8
        assert torch.equal(image, rows[:, None] & columns[None, :])


def test_one_seed_draws_the_same_and_none_is_none():
    images = numbered(9)
    assert torch.equal(augmented("flip+crop", images, 3), augmented("flip+crop", images, 3))
    assert not torch.equal(augmented("flip+crop", images, 3), augmented("flip+crop", images, 4))
    assert torch.equal(augmented("none", images), images.float())


@pytest.mark.parametrize("schedule", ["constant", "cosine", "one_cycle"])
def test_a_training_with_everything_goes_on_from_a_checkpoint_bit_for_bit(schedule):
    hp = Hyperparameters(
        learning_rate=0.01, batch_size=32, optimizer="sgd", momentum=0.9, nesterov=True, schedule=schedule, warmup=0.2,
        label_smoothing=0.1, augment="flip+crop+cutout", gradient_clip=1.0,
    )  # fmt: skip
    data = make_data("cifar10")

    def trained(epochs: int, saved: bytes | None = None):
        state = new_state(Blueprint(model="cifar10_cnn"), hp, seed=2, device=CPU)
        if saved is not None:
            restore(state, saved)
        losses = []
        for epoch in train_epochs(state, hp, data, loss="cross_entropy", max_epochs=4):
            losses.append(epoch["train_loss"])
            if epoch["epoch"] == epochs:
                break
        return state, losses

    (whole, losses), (resumed, later) = trained(4), trained(4, checkpoint(trained(2)[0]))
    assert losses[2:] == later
    for one, other in zip(whole.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(one, other)
