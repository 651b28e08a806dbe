"""Image folders of a few random images, for tests. A module of its own: `conftest` is a name that many folders have."""

from pathlib import Path

import numpy as np
from PIL import Image

from hw2tune.data.catalog import DATASETS, DatasetInfo


def write_image_folder(
    root: Path, name: str = "cifar10", *, suffix: str = ".png", per_class: int = 3, **save: int
) -> Path:
    info = DATASETS[name]
    for label, class_name in enumerate(info.classes):
        for part, count in (("train", per_class), ("test", 1)):
            for n in range(count):
                path = root / name / part / class_name / f"{n:04}{suffix}"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels_of(info, part, label, n)).save(path, **save)
    return root


def pixels_of(info: DatasetInfo, part: str, label: int, n: int) -> np.ndarray:
    """What image `n` of a class holds in such a folder: (H, W, 3), or (H, W) in grey."""
    random = np.random.default_rng([part == "test", label, n])
    shape = info.image_shape if info.image_shape[2] == 3 else info.image_shape[:2]
    return random.integers(0, 256, shape, dtype=np.uint8)
