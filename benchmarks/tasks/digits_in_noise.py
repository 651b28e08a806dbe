"""The 1,797 digits of scikit-learn under noise, so that networks differ: without it good ones reach 99.5 %."""

from typing import Any

import numpy as np
from sklearn.datasets import load_digits

NOISE = 0.2  # of the range of a pixel, standard deviation
MISLABELLED = (
    0.15  # of the training images, with a digit at random: what a falling rate and regularisation are good for
)
TRAIN, VALIDATION = 600, 500  # images; the other 697 are for the test


def load() -> dict[str, Any]:
    rng = np.random.default_rng(25)
    images, labels = load_digits(return_X_y=True)
    noisy = images / 16 + NOISE * rng.standard_normal(images.shape)
    pixels = np.rint(255 * np.clip(noisy, 0, 1)).astype(np.uint8).reshape(-1, 8, 8, 1)
    train, validation, test = np.split(rng.permutation(len(labels)), [TRAIN, TRAIN + VALIDATION])
    wrong = train[rng.random(TRAIN) < MISLABELLED]
    labels[wrong] = rng.integers(10, size=len(wrong))
    splits = {"train": train, "validation": validation, "test": test}
    return {name: (pixels[part], labels[part]) for name, part in splits.items()} | {"classes": list("0123456789")}
