"""The epochs of a trial on disk, `result.json`, and its checkpoints, last and best.

`result.json` holds one JSON line per epoch, as Ray Tune names and shapes it. Each line carries the digest of the
checkpoint taken after it, and is written first. A checkpoint is sound if some line knows it: whole, and of this trial.
A kill between the two leaves the checkpoint of the epoch before, which its own line knows.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hw2tune.records.atomic import write_atomically, writing
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


def write_epochs(folder: TrialFolder, records: Iterable[Mapping[str, Any]]) -> None:
    """Replace the epochs."""
    write_atomically(folder.epochs, "".join(strict_json(record, default=str) + "\n" for record in records))


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The state to go on from: after `epoch`, or None at epoch 0. `damaged` names files that could not be trusted."""

    content: bytes | None
    epoch: int
    damaged: tuple[Path, ...] = ()


def digest(content: bytes) -> str:
    """The checksum of a checkpoint, as a line holds it."""
    return hashlib.sha256(content).hexdigest()


def write_checkpoint(folder: TrialFolder, content: bytes, *, keep: bool) -> None:
    """Write the last checkpoint; with `keep` the one before becomes the best one. Raises NotWritableError.

    One file is written an epoch, and the two are never of one epoch while a trial runs: each is the other's reserve.
    """
    if keep and folder.last.exists():
        with writing(folder.best, len(content)):
            folder.last.replace(folder.best)
    write_atomically(folder.last, content)


def keep_last(folder: TrialFolder) -> None:
    """Make the last checkpoint the best one too, of a trial at its end. Raises NotWritableError."""
    if folder.last.exists():
        write_atomically(folder.best, folder.last.read_bytes())


def find_checkpoint(folder: TrialFolder) -> Checkpoint:
    """Return the last checkpoint; if it is damaged the best one; if that is too, epoch 0.

    No checkpoint holds records, so a line that is missing before it makes it as useless as damage does.
    """
    known = [record for number, record in enumerate(read_epochs(folder), start=1) if record["epoch"] == number]
    epochs = {record[DIGEST]: int(record["epoch"]) for record in known if DIGEST in record}
    damaged: list[Path] = []
    for path in (folder.last, folder.best):
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            continue
        except OSError:
            damaged.append(path)
            continue
        if (epoch := epochs.get(digest(content))) is not None:
            return Checkpoint(content=content, epoch=epoch, damaged=tuple(damaged))
        damaged.append(path)
    return Checkpoint(content=None, epoch=0, damaged=tuple(damaged))
