import numpy as np
import pytest
import torch

from hw2tune.data.catalog import dataset_info
from hw2tune.data.dataset import Split
from hw2tune.train.batches import TrainingData, on_device

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def make_data(name: str, train: int = 230, validation: int = 70) -> TrainingData:
    """Images whose class shows in their brightness, so that a few epochs learn something."""
    info = dataset_info(name)
    random = np.random.default_rng(3)

    def split(count: int) -> Split:
        labels = random.integers(0, 10, count)
        noise = random.integers(0, 60, (count, *info.image_shape))
        return Split(images=(noise + 19 * labels[:, None, None, None]).astype(np.uint8), labels=labels.astype(np.int64))

    return TrainingData(train=on_device(split(train), info, CPU), validation=on_device(split(validation), info, CPU))
