"""A trial's checkpoints, last and best, and which of them can be trusted.

Each epoch's line in `result.json` carries the digest of the checkpoint taken after it, and is written first. A file
is sound if some line knows it: whole, and of this trial. A kill between the two leaves the checkpoint of the epoch
before, which its own line knows.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from hw2tune.records.atomic import write_atomically, writing
from hw2tune.records.layout import TrialFolder
from hw2tune.records.trials.epochs import read_epochs

DIGEST = "checkpoint_sha256"  # in an epoch's line


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
    """Writes the last checkpoint; with `keep` the one before becomes the best one. Raises NotWritableError.

    One file is written an epoch, and the two are never of one epoch while a trial runs: each is the other's reserve.
    """
    if keep and folder.last.exists():
        with writing(folder.best, len(content)):
            folder.last.replace(folder.best)
    write_atomically(folder.last, content)


def keep_last(folder: TrialFolder) -> None:
    """Makes the last checkpoint the best one too, of a trial at its end. Raises NotWritableError."""
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
