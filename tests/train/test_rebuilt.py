"""A network is built again from its seed for the test, export and predictions: it must be the one that was trained."""

import numpy as np
import pytest
import torch

from hw2tune.train.evaluate import evaluate_network
from hw2tune.train.loop import predict
from hw2tune.train.models import build_model
from hw2tune.train.probe import probe
from hw2tune.user_code.importer import callers_modules_kept
from tests.train.conftest import CPU, make_data
from tests.train.test_own_network import blueprint, request
from tests.train.test_trainer import finish, task, trainer_on

DRAWN = """
import random
import numpy as np
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, input_shape, num_classes):
        super().__init__()
        size = input_shape[0] * input_shape[1] * input_shape[2]
        {drawn}
        self.head = nn.Linear(size, num_classes)

    def forward(self, x):
        return self.head({used})
"""
PERMUTED = "self.order = torch.randperm(size)", "x.flatten(1)[:, self.order]"
IN_EVALUATION = "self.size = size", "x.flatten(1)[:, torch.randperm(self.size)]"
BUFFER = 'self.register_buffer("order", torch.randperm(size), persistent=False)', "x.flatten(1)[:, self.order]"
PYTHONS = "self.order = random.sample(range(size), size)", "x.flatten(1)[:, self.order]"
NUMPYS = "self.order = np.random.permutation(size)", "x.flatten(1)[:, torch.from_numpy(self.order)]"
OF_ITS_OWN = "self.order = np.random.default_rng().permutation(size)", "x.flatten(1)[:, torch.from_numpy(self.order)]"
KEPT = 'self.register_buffer("order", torch.randperm(size))', "x.flatten(1)[:, self.order]"
COUNTED = "self.steps = 0.0", "x.flatten(1) * self._count()"
COUNTS = """
    def _count(self):
        self.steps += self.training
        return 1 + self.steps
"""


def net(drawn: tuple[str, str]) -> str:
    return DRAWN.format(drawn=drawn[0], used=drawn[1]) + (COUNTS if drawn is COUNTED else "")


@pytest.mark.parametrize("drawn", [PERMUTED, BUFFER, PYTHONS, NUMPYS])
def test_what_a_network_draws_outside_of_its_state_dict_is_the_same_when_it_is_tested(drawn):
    data, one = make_data("mnist"), task(model="net.py:Net", code={"net.py": net(drawn)})
    records, training = finish(trainer_on(data).train(one))
    torch.manual_seed(77)
    np.random.seed(77)
    evaluations, _ = evaluate_network(training, one, data.info, data.validation, shown=[])
    assert evaluations["last"]["loss"] == records[-1]["validation_loss"]
    assert evaluations["chosen"]["loss"] == records[training.chosen_epoch - 1]["validation_loss"]


def test_what_a_module_draws_while_it_is_imported_does_not_depend_on_the_training_that_imports_it():
    text = net(KEPT).replace("class Net", "OFFSET = torch.randn(1)\n\nclass Net")

    def built(first: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        with callers_modules_kept():  # the module is imported anew
            for each in (first, seed):
                torch.manual_seed(each)
                model = build_model(blueprint(text), CPU)
            return model.head.weight, __import__("net").OFFSET

    (one, offset), (other, other_offset) = built(5, 5), built(6, 5)
    assert torch.equal(offset, other_offset) and torch.equal(one, other)
    with callers_modules_kept():
        torch.manual_seed(5)
        assert torch.equal(build_model(blueprint(text), CPU).head.weight, one)


def test_a_network_that_draws_when_it_predicts_has_the_numbers_of_its_seed():
    data, one = make_data("mnist"), task(model="net.py:Net", code={"net.py": net(IN_EVALUATION)})
    first = [record["validation_loss"] for record in finish(trainer_on(data).train(one))[0]]
    torch.manual_seed(77)
    records, training = finish(trainer_on(data).train(one))
    assert [record["validation_loss"] for record in records] == first
    evaluations, _ = evaluate_network(training, one, data.info, data.validation, shown=[])
    assert evaluations["last"]["loss"] == records[-1]["validation_loss"]
    before = torch.get_rng_state()
    predict(build_model(one.blueprint(data.info), CPU), data.validation)
    drawn = torch.get_rng_state()  # by the constructor
    torch.set_rng_state(before)
    model = build_model(one.blueprint(data.info), CPU)
    assert torch.equal(torch.get_rng_state(), drawn)  # predicting leaves the draws of the process alone
    assert torch.equal(predict(model, data.validation), predict(model, data.validation))


NOT_KEPT = (
    "its constructor draws {named}numbers that are not in its state_dict; hw2tune draws them again from the seed, and "
    "other programs that load the weights have others: use register_buffer"
)
NOT_AGAIN = (
    "built again from its seed and weights it returns other logits{named}, and it is built again for the test, for "
    "export and when a trial resumes; use register_buffer for what training changes, and draw from torch, random and "
    "numpy.random alone"
)


@pytest.mark.parametrize(
    ("drawn", "note"),
    [
        (KEPT, ""),
        (PERMUTED, NOT_KEPT.format(named="`order`, ")),
        (BUFFER, NOT_KEPT.format(named="`order`, ")),
        (NUMPYS, NOT_KEPT.format(named="`order`, ")),
        (PYTHONS, NOT_KEPT.format(named="")),
        (OF_ITS_OWN, NOT_AGAIN.format(named=" (`order` differs)")),
        (COUNTED, NOT_AGAIN.format(named="")),
        (IN_EVALUATION, ""),
    ],
)
def test_the_pass_before_a_study_notes_what_is_in_no_state_dict(drawn, note):
    assert probe(*request(net(drawn)))["notes"] == ([f"net.py:Net: {note}"] if note else [])
