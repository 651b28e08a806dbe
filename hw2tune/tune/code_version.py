"""Which code trains: a digest, without importing any of it."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import resources


@cache
def training_code() -> str:
    """A digest of the source of `hw2tune.train`: a training of other code is another training."""
    digest = hashlib.sha256()
    for path in sorted(resources.files("hw2tune.train").iterdir(), key=lambda path: path.name):
        if path.name.endswith(".py"):
            digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]
