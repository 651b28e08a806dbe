"""The generators of a process that networks draw from: set for a while, and given back as they were."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from hw2tune.user_code.importer import load


@contextlib.contextmanager
def seeded(seed: int, gpus: Sequence[torch.device] = ()) -> Iterator[None]:
    """Seed PyTorch, `random` and `numpy.random`, and give the process its own states back afterwards."""
    python, numpys = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=gpus):
            torch.manual_seed(seed)
            random.seed(seed)
            np.random.seed(seed % 2**32)
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpys)


def loaded(text: str, code: Mapping[str, str]) -> Any:
    """Return the object that a study names.

    A module may draw while it is imported, which only the first training of a process does: it draws the same in all.
    """
    with seeded(0):
        return load(text, code)
