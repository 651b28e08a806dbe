"""The epochs of a trial on disk, `result.json`, and its checkpoints, the last two.

`result.json` holds one JSON line per epoch, as Ray Tune names and shapes it. A line carries the digest of the
checkpoint taken after its epoch, if one was, and is written first. A checkpoint is sound if some line knows it: whole,
and of this trial. A kill between the two leaves the checkpoint before, which its own line knows. Once a trial has
ended, the weights after its best epoch take the place of its checkpoints.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hw2tune.records.arrays import Array, write_npz
from hw2tune.records.atomic import Content, write_atomically, writing
from hw2tune.records.layout import TrialFolder
from hw2tune.text.plain import strict_json

DIGEST = "checkpoint_sha256"  # in an epoch's line


def append_epoch(folder: TrialFolder, record: Mapping[str, Any]) -> None:
    """Add one epoch; `record` must hold `epoch`. Raises NotWritableError."""
    line = strict_json(record, default=str).encode() + b"\n"
    with writing(folder.epochs, len(line)):
        folder.root.mkdir(parents=True, exist_ok=True)
        with folder.epochs.open("ab+") as file:
            if file.tell():
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    file.write(b"\n")  # a line torn by a kill must not swallow this one
            file.write(line)


def read_epochs(folder: TrialFolder) -> list[dict[str, Any]]:
    """The epochs in order. A line torn by a kill is omitted; of an epoch written twice the later one counts."""
    try:
        lines = folder.epochs.read_bytes().splitlines()
    except OSError:
        return []
    by_epoch = {}
    for line in lines:
        try:
            record = json.loads(line)
            if isinstance(record["epoch"], int):
                by_epoch[record["epoch"]] = record
        except (ValueError, KeyError, TypeError):
            continue
    return [by_epoch[epoch] for epoch in sorted(by_epoch)]


def saved_epoch(folder: TrialFolder) -> int:
    """The epoch of the last checkpoint, by the lines; 0 if there is none."""
    return max((int(record["epoch"]) for record in read_epochs(folder) if DIGEST in record), default=0)


def write_epochs(folder: TrialFolder, records: Iterable[Mapping[str, Any]]) -> None:
    """Replace the epochs."""
    write_atomically(folder.epochs, "".join(strict_json(record, default=str) + "\n" for record in records))


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The state to go on from: after `epoch`, or None at epoch 0. `damaged` names files that could not be trusted."""

    content: Content | None  # mapped into memory, not read
    epoch: int
    damaged: tuple[Path, ...] = ()


def digest(content: Content) -> str:
    """The checksum of a checkpoint, as a line holds it."""
    return hashlib.sha256(content).hexdigest()


def write_checkpoint(folder: TrialFolder, content: Content) -> None:
    """Write the last checkpoint; the one before is its reserve. Raises NotWritableError."""
    if folder.last.exists():
        with writing(folder.previous, len(content)):
            folder.last.replace(folder.previous)
    write_atomically(folder.last, content)


def write_weights(folder: TrialFolder, weights: Mapping[str, Array]) -> None:
    """Write the weights after the best epoch. Raises NotWritableError."""
    write_npz(folder.weights, weights, compressed=False)


def drop_checkpoints(folder: TrialFolder) -> None:
    """Remove the checkpoints of a trial that has ended. Raises NotWritableError."""
    with writing(folder.last, 0):
        folder.remove(*folder.checkpoints)


def find_checkpoint(folder: TrialFolder) -> Checkpoint:
    """Return the last checkpoint; if it is damaged the one before; if that is too, epoch 0.

    No checkpoint holds records, so a line that is missing before it makes it as useless as damage does.
    """
    known = [record for number, record in enumerate(read_epochs(folder), start=1) if record["epoch"] == number]
    epochs = {record[DIGEST]: int(record["epoch"]) for record in known if DIGEST in record}
    damaged: list[Path] = []
    for path in folder.checkpoints:
        try:
            content = _mapped(path)
        except FileNotFoundError:
            continue
        except OSError:
            damaged.append(path)
            continue
        if (epoch := epochs.get(digest(content))) is not None:
            return Checkpoint(content=content, epoch=epoch, damaged=tuple(damaged))
        damaged.append(path)
    return Checkpoint(content=None, epoch=0, damaged=tuple(damaged))


def _mapped(path: Path) -> Content:
    """A file's content, in the system's cache and not in this process; a file that takes its name changes nothing."""
    with path.open("rb") as file:
        try:
            return memoryview(mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ))
        except (OSError, ValueError):  # a file system without mappings, an empty file
            return file.read()
