"""What is read off a network."""

import numpy as np
import pytest
import torch

from hw2tune.train.evaluate import evaluation, feature_maps, predictions
from tests.train.conftest import make_data


def test_feature_maps_are_the_convolutions_outputs():
    data = make_data("cifar10")
    torch.manual_seed(0)
    from hw2tune.networks import Cifar10Cnn

    model = Cifar10Cnn()
    images = data.validation.normalised(data.validation.images[:2])
    maps = feature_maps(model, images)
    assert {name: array.shape for name, array in maps.items()} == {"conv1": (2, 12, 28, 28), "conv2": (2, 24, 10, 10)}
    np.testing.assert_allclose(maps["conv1"], model.conv1(images).detach().numpy(), rtol=1e-5, atol=1e-6)


def test_predictions_and_evaluation_agree_with_counting_by_hand():
    logits = torch.tensor([[2.0, 0.0], [0.0, 1.0], [3.0, 0.0]])
    predicted, confidence = predictions(logits)
    assert predicted.tolist() == [0, 1, 0]
    assert confidence.tolist() == pytest.approx([1 / (1 + np.exp(-2)), 1 / (1 + np.exp(-1)), 1 / (1 + np.exp(-3))])
    result = evaluation(logits, torch.tensor([0, 1, 1]), "cross_entropy")
    assert (result["correct"], result["total"], result["accuracy"]) == (2, 3, 2 / 3)
    assert result["loss"] == pytest.approx((np.log1p(np.exp(-2)) + np.log1p(np.exp(-1)) + np.log1p(np.exp(3))) / 3)
