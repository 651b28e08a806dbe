"""Our dropout against what PyTorch's does, by definition and by its moments."""

import pytest
import torch
from torch import nn

from hw2tune.train.models import Dropout, draw_from


def test_values_are_dropped_with_their_probability_and_the_others_scaled():
    layer, x = Dropout(0.25), torch.ones(40_000)
    draw_from(layer, torch.Generator().manual_seed(0))
    out = layer(x)
    assert out.unique().tolist() == pytest.approx([0, 1 / 0.75])
    assert (out == 0).float().mean().item() == pytest.approx(0.25, abs=0.01)  # sd 0.002


def test_whole_channels_are_dropped():
    layer, x = Dropout(0.5, whole_channels=True), torch.ones(400, 20, 3, 3)
    draw_from(layer, torch.Generator().manual_seed(0))
    sums = layer(x).sum((2, 3))
    assert set(sums.unique().tolist()) == {0.0, 18.0}
    assert (sums == 0).float().mean().item() == pytest.approx(0.5, abs=0.03)  # sd 0.006
    assert len({tuple(row) for row in (sums == 0).tolist()}) > 300  # each image by itself


def test_in_evaluation_nothing_is_dropped_and_nothing_drawn():
    layer = Dropout(0.5).eval()
    generator = torch.Generator().manual_seed(3)
    draw_from(layer, generator)
    before = generator.get_state()
    x = torch.rand(5, 5)
    assert torch.equal(layer(x), x) and torch.equal(generator.get_state(), before)


def test_one_generator_gives_one_sequence_and_gradients_follow_the_mask():
    x = torch.ones(50, requires_grad=True)
    first, second = Dropout(0.5), Dropout(0.5)
    draw_from(nn.Sequential(first), torch.Generator().manual_seed(1))
    draw_from(nn.Sequential(second), torch.Generator().manual_seed(1))
    out = first(x)
    assert torch.equal(out, second(x))
    out.sum().backward()
    assert torch.equal(x.grad, out.detach())
