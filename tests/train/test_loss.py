"""The two loss conventions."""

import math

import torch

from hw2tune.train.metrics import cross_entropy, double_softmax


def test_double_softmax_lies_between_its_two_published_bounds():
    labels = torch.tensor([3])
    sure = torch.full((1, 10), -1e4)
    sure[0, 3] = 1e4
    lowest = -math.log(math.e / (math.e + 9))  # softmax of a one-hot vector
    assert round(lowest, 4) == 1.4612
    torch.testing.assert_close(double_softmax(sure, labels), torch.tensor(lowest))
    torch.testing.assert_close(double_softmax(sure, torch.tensor([0])), torch.tensor(lowest + 1))


def test_cross_entropy_of_equal_logits_is_the_logarithm_of_the_classes():
    torch.testing.assert_close(cross_entropy(torch.zeros(4, 10), torch.arange(4)), torch.tensor(math.log(10)))
