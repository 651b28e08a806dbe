"""The epochs of a trial on disk: `result.json`, one JSON line an epoch, as Ray Tune names and shapes it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from typing import Any, BinaryIO

from hw2tune.records.atomic import write_atomically, writing
from hw2tune.records.layout import TrialFolder
from hw2tune.text.plain import strict_json


def append_epoch(folder: TrialFolder, record: Mapping[str, Any]) -> None:
    """Adds one epoch; `record` must hold `epoch`. Raises NotWritableError."""
    line = strict_json(record, default=str).encode() + b"\n"
    with writing(folder.epochs, len(line)):
        folder.root.mkdir(parents=True, exist_ok=True)
        with folder.epochs.open("ab+") as file:
            if file.tell() and not _ends_a_line(file):
                file.write(b"\n")  # a line torn by a kill must not swallow this one
            file.write(line)


def _ends_a_line(file: BinaryIO) -> bool:
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"


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
    """Replaces the epochs."""
    write_atomically(folder.epochs, "".join(strict_json(record, default=str) + "\n" for record in records))
