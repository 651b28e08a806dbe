"""A class that a study file names by its import path, where a table has no entry of the name."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from hw2tune.errors import Hw2tuneError, StudyFileError, UserCodeError
from hw2tune.study.notation import did_you_mean
from hw2tune.user_code.files import is_code
from hw2tune.user_code.importer import in_words, is_users, load


@contextlib.contextmanager
def told_as_users(key: str, name: str, code: Mapping[str, str]) -> Iterator[None]:
    """Around calls of a class that a study file may name: an error of the user's is told as theirs.

    Raises UserCodeError, with file and line.
    """
    try:
        yield
    except Hw2tuneError:
        raise
    except Exception as error:  # the user's code may raise anything
        if not (is_code(name) and is_users(error, code)):
            raise
        raise UserCodeError(f"{key} {name}: {in_words(error, code)}; fix it and run the same command again") from error


def class_at(key: str, name: str, known: Iterable[str], code: Mapping[str, str], base: type) -> Any:
    """Return the subclass of `base` that `package.module:Class` names; it is not called here.

    `known` are the names that would have done. Raises StudyFileError.
    """
    if not is_code(name):
        raise StudyFileError(f"{key}: no {key} {name!r}{did_you_mean(name, known, ', or package.module:Class')}")
    try:
        found = load(name, code)
    except (ImportError, AttributeError) as error:
        raise StudyFileError(f"{key}: {name} cannot be imported: {error}") from None
    except Exception as error:  # the user's module may raise anything
        raise StudyFileError(f"{key}: {name} cannot be imported: {in_words(error, code)}") from error
    if not (isinstance(found, type) and issubclass(found, base)):
        kind = found.__name__ if isinstance(found, type) else f"a {type(found).__name__}"
        raise StudyFileError(f"{key}: {name} is {kind}, not a class of optuna's {base.__name__}, so it is not called")
    return found
