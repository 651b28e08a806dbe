"""What needs a GPU: `uv run pytest -m cuda`."""

import os
import subprocess
import sys

import pytest
import torch

from hw2tune.data.catalog import dataset_info
from hw2tune.study.hyperparameters import Hyperparameters
from hw2tune.train.device import prepare_process
from hw2tune.train.task import Task, TrialData
from hw2tune.train.trainer import Trainer
from tests.train.conftest import random_split

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU that PyTorch can use"),
]
TASKS = {
    "mnist": Task(
        model="mnist_cnn", loss="double_softmax", seed=3, max_epochs=3, objective="validation_accuracy",
        hyperparameters=Hyperparameters(learning_rate=0.003, batch_size=50, optimizer="adam", weight_decay=1e-3),
    ),
    "cifar10": Task(
        model="cifar10_cnn", loss="cross_entropy", seed=3, max_epochs=3, objective="validation_accuracy",
        hyperparameters=Hyperparameters(
            learning_rate=0.01, batch_size=32, optimizer="sgd", momentum=0.9, weight_decay=1e-3
        ),
    ),
}  # fmt: skip


def data_of(name: str) -> TrialData:
    train, validation = (random_split(name, count) for count in (230, 70))
    return TrialData(info=dataset_info(name), train=train, validation=validation)


def losses(trainer: Trainer, task: Task, saved: bytes | None = None) -> list[float]:
    session = trainer.open(task, saved)
    return [session.step()["train_loss"] for _ in range(session.state.epoch, task.max_epochs)]


def test_a_process_that_was_given_a_gpu_uses_it_in_full_precision():
    assert prepare_process(1, gpu=True).type == "cuda"
    assert prepare_process(1, gpu=False).type == "cpu"
    assert not torch.backends.cudnn.allow_tf32 and not torch.backends.cuda.matmul.allow_tf32


def test_a_network_without_dropout_trains_as_on_the_cpu_to_float_tolerance():
    on_cpu, on_gpu = (Trainer(data_of("cifar10"), threads=1, gpu=gpu) for gpu in (False, True))
    assert losses(on_gpu, TASKS["cifar10"]) == pytest.approx(losses(on_cpu, TASKS["cifar10"]), rel=1e-3)


@pytest.mark.parametrize("dataset", list(TASKS))
def test_a_training_goes_on_from_its_checkpoint(dataset):
    trainer = Trainer(data_of(dataset), threads=1, gpu=True)
    whole = losses(trainer, TASKS[dataset])
    session = trainer.open(TASKS[dataset])
    session.step()
    assert losses(trainer, TASKS[dataset], session.checkpoint()) == pytest.approx(whole[1:], rel=1e-4)


def test_two_trainings_in_one_process_do_not_change_each_other():
    trainer, task = Trainer(data_of("mnist"), threads=1, gpu=True), TASKS["mnist"]
    alone = losses(trainer, task)
    sessions = [trainer.open(task), trainer.open(task)]
    in_turn = [[session.step()["train_loss"] for session in sessions] for _ in range(task.max_epochs)]
    for losses_of_one in zip(*in_turn, strict=True):
        assert losses_of_one == pytest.approx(alone, rel=1e-4)


def test_memory_that_a_gpu_does_not_have_is_told_in_words():
    from hw2tune.search.failures import failure_of

    try:
        torch.empty(1 << 50, device="cuda")
    except Exception as error:
        failure = failure_of(error, 1, {})
    assert failure.state == "out of memory" and failure.transient
    assert failure.reason.startswith("out of memory in epoch 1: ")


BREAKS = """
from hw2tune.data.load import load_dataset
from hw2tune.execution.trainable import WorkerBrokenError
from hw2tune.execution.trainable import TrainingTrial
from hw2tune.study.file import find_study, parse_study
from hw2tune.train.task import TrialData

NET = '''
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, input_shape, num_classes):
        super().__init__()
        self.layer = nn.Linear(784, num_classes)

    def forward(self, x):
        return self.layer(x.flatten(1))[:, torch.full((10,), 10 ** 6, device=x.device)]
'''
study = parse_study(*find_study("quickstart"))
configuration = study.references["baseline"]
study = study.model_copy(update={"model": "net.py:Net", "code": {"net.py": NET}})
data = load_dataset("synthetic-mnist", validation_size=100)
trial = TrainingTrial.__new__(TrainingTrial)
config = {"number": 0, "hyperparameters": configuration, "resume": None, "gpu": True}
trial.setup(config, TrialData(info=data.info, train=data.train, validation=data.validation), study, 1)
try:
    trial.step()
except WorkerBrokenError as error:
    print(error.args[0]["reason"])
"""


def test_a_worker_whose_cuda_is_broken_raises_and_is_not_used_again():
    shown = subprocess.run([sys.executable, "-c", BREAKS], capture_output=True, text=True)
    assert "CUDA error: device-side assert triggered" in shown.stdout and "in epoch 1: " in shown.stdout


@pytest.mark.ray
def test_two_trials_share_one_gpu(tmp_path):
    command = ["study", "quickstart", "--trials", "4", "--max-epochs", "1", "--gpus-per-trial", "0.5"]
    shown = subprocess.run(
        [sys.executable, "-m", "hw2tune", *command], cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "0", "COLUMNS": "200"},
    )  # fmt: skip
    assert shown.returncode == 0, shown.stderr
    assert "2 trials at once, 1 CPU and 0.5 GPU each" in shown.stderr
    assert "4 complete" in shown.stdout or "pruned" in shown.stdout
