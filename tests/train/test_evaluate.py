"""What is read off a network."""

import numpy as np
import pytest
import torch

from hw2tune.records.replicates import Training
from hw2tune.train.evaluate import evaluate_network, evaluation, feature_maps, predictions
from hw2tune.train.metrics import RESAMPLES, resampled
from hw2tune.train.models import build_model
from hw2tune.train.state import weights_of
from hw2tune.train.task import Task
from tests.train.conftest import make_data
from tests.train.test_loop import CONFIGURATIONS


def test_feature_maps_are_the_convolutions_outputs():
    data = make_data("cifar10")
    torch.manual_seed(0)
    from hw2tune.networks import Cifar10Cnn

    model = Cifar10Cnn()
    images = data.validation.normalised(data.validation.images[:2])
    maps = feature_maps(model, images)
    assert {name: array.shape for name, array in maps.items()} == {"conv1": (2, 12, 28, 28), "conv2": (2, 24, 10, 10)}
    np.testing.assert_allclose(maps["conv1"], model.conv1(images).detach().numpy(), rtol=1e-5, atol=1e-6)


def f1_of_counts(labels, predicted):
    """Macro F1 over the classes that occur or are predicted, class by class."""
    scores = []
    for one in np.union1d(labels, predicted):
        right = np.sum((labels == one) & (predicted == one))
        scores.append(2 * right / (np.sum(labels == one) + np.sum(predicted == one)))
    return np.mean(scores)


@pytest.mark.parametrize("objective", ["validation_accuracy", "validation_loss", "macro_f1", "m.py:first"])
def test_a_test_keeps_the_logits_and_what_an_interval_over_images_needs(objective):
    data = make_data("mnist")
    task = Task(
        model="mnist_cnn", loss="cross_entropy", hyperparameters=CONFIGURATIONS["mnist"][2], seed=0, max_epochs=1,
        objective=objective, code={"m.py": "def first(logits, labels):\n    return logits[0, 0]\n"},
    )  # fmt: skip
    torch.manual_seed(0)
    weights = weights_of(build_model(task.blueprint(data.info), torch.device("cpu")))
    training = Training(key="", epochs=[{}], chosen_epoch=1, diverged="", arrays={
        f"{kind}/{name}": array for kind in ("chosen", "last") for name, array in weights.items()
    })  # fmt: skip
    evaluations, arrays = evaluate_network(training, task, data.info, data.validation, shown=[0])
    labels, logits = data.validation.labels.numpy(), arrays["logits"]
    assert (logits.dtype, logits.shape) == (np.float16, (len(labels), 10))
    losses = np.log(np.exp(logits.astype(float)).sum(1)) - logits[np.arange(len(labels)), labels]
    sample = np.random.RandomState(0).randint(0, len(labels), len(labels))  # the first
    measured = {
        "validation_accuracy": ("accuracy", np.mean(logits.argmax(1) == labels)),
        "validation_loss": ("loss", losses.mean()),
        "macro_f1": ("macro_f1", f1_of_counts(labels, arrays["predicted"])),
        "m.py:first": ("m.py:first", logits[0, 0]),
    }[objective]
    assert evaluations["chosen"]["metric"] == measured[0]
    assert evaluations["chosen"]["value"] == pytest.approx(measured[1], abs=1e-3)
    kept = {"validation_loss": {"losses"}, "macro_f1": {"resampled"}, "m.py:first": {"resampled"}}.get(objective, set())
    assert {"losses", "resampled"} & arrays.keys() == kept
    if "losses" in arrays:
        np.testing.assert_allclose(arrays["losses"], losses, atol=5e-3)
    if objective == "macro_f1":
        assert arrays["resampled"].shape == (RESAMPLES,)
        assert arrays["resampled"][0] == pytest.approx(f1_of_counts(labels[sample], arrays["predicted"][sample]))


def test_a_sample_that_the_users_metric_refuses_is_no_number_and_no_error():
    def first_class(logits, labels):
        assert (labels == 0).any()
        return {"f": float(labels.double().mean())}

    values = resampled(first_class, torch.zeros(3, 2), torch.tensor([0, 1, 1]))
    assert 0.2 < np.isnan(values).mean() < 0.4  # (2 / 3) ** 3 = 0.296


def test_predictions_and_evaluation_agree_with_counting_by_hand():
    logits = torch.tensor([[2.0, 0.0], [0.0, 1.0], [3.0, 0.0]])
    predicted, confidence = predictions(logits)
    assert predicted.tolist() == [0, 1, 0]
    assert confidence.tolist() == pytest.approx([1 / (1 + np.exp(-2)), 1 / (1 + np.exp(-1)), 1 / (1 + np.exp(-3))])
    result = evaluation(logits, torch.tensor([0, 1, 1]), "cross_entropy")
    assert (result["correct"], result["total"], result["accuracy"]) == (2, 3, 2 / 3)
    assert result["loss"] == pytest.approx((np.log1p(np.exp(-2)) + np.log1p(np.exp(-1)) + np.log1p(np.exp(3))) / 3)
