"""A class that a study file names by its import path, where a table has no entry of the name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hw2tune.errors import StudyFileError
from hw2tune.study.notation import did_you_mean
from hw2tune.user_code.files import is_code
from hw2tune.user_code.importer import load


def class_at(key: str, name: str, known: Iterable[str], code: Mapping[str, str]) -> Any:
    """What `package.module:Class` names; `known` are the names that would have done. Raises StudyFileError."""
    if not is_code(name):
        raise StudyFileError(f"{key}: no {key} {name!r}{did_you_mean(name, known, ', or package.module:Class')}")
    try:
        return load(name, code)
    except (ImportError, AttributeError) as error:
        raise StudyFileError(f"{key}: {name} cannot be imported: {error}") from None
