import numpy as np
import pytest
import torch

from hw2tune.data.catalog import dataset_info
from hw2tune.data.dataset import Split
from hw2tune.train.device import TrainingData, on_device

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def random_split(name: str, count: int, random: np.random.Generator | None = None) -> Split:
    """Images whose class shows in their brightness, so that a few epochs learn something."""
    random = np.random.default_rng(3) if random is None else random
    labels = random.integers(0, 10, count)
    noise = random.integers(0, 60, (count, *dataset_info(name).image_shape))
    return Split(images=(noise + 19 * labels[:, None, None, None]).astype(np.uint8), labels=labels.astype(np.int64))


def make_data(name: str, train: int = 230, validation: int = 70) -> TrainingData:
    """Two of them on the CPU."""
    info, random = dataset_info(name), np.random.default_rng(3)
    splits = [on_device(random_split(name, count, random), info, CPU) for count in (train, validation)]
    return TrainingData(train=splits[0], validation=splits[1], info=info)
