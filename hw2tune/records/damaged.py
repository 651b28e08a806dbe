"""Records that no trial depends on: a damaged one is set aside and begun anew, and nothing else stops."""

from __future__ import annotations

from functools import cache
from itertools import count
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

Record = TypeVar("Record")


def read_record(path: Path, kind: type[Record]) -> Record | None:
    """The record in a JSON file; None where it is missing, damaged or of another shape. Unknown keys are ignored."""
    try:
        return parse_record(path.read_bytes(), kind)
    except OSError:
        return None


def parse_record(content: str | bytes, kind: type[Record]) -> Record | None:
    """Return the record in a JSON text, or None if it is damaged or of another shape. Unknown keys are ignored."""
    try:
        record: Record = _adapter(kind).validate_json(content)  # type: ignore[arg-type]  # a class hashes
    except ValidationError:
        return None
    return record


_adapter = cache(TypeAdapter)  # making one takes milliseconds


def set_aside(path: Path) -> Path:
    """Renames a damaged file to `<name>.damaged`, numbered where there is one, and returns the new path."""
    names = (f"{path.name}.damaged{'' if number == 1 else number}" for number in count(1))
    aside = next(path.with_name(name) for name in names if not path.with_name(name).exists())
    path.rename(aside)
    return aside
