"""Trust in installed code: a study file, which may be somebody else's, says what is called with which arguments.

Trust is kept in the environment, which the processes that train inherit.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator

from hw2tune.errors import StudyFileError
from hw2tune.user_code.files import code_reference

TRUST = "HW2TUNE_TRUST"


@contextlib.contextmanager
def trusting(names: Iterable[str]) -> Iterator[None]:
    """Trust installed packages, modules or `package.module:name` within the `with`, besides those trusted already."""
    before = os.environ.get(TRUST, "")
    os.environ[TRUST] = ",".join(filter(None, [before, *names]))
    try:
        yield
    finally:
        os.environ[TRUST] = before


def trust_variable() -> dict[str, str]:
    """Return the variable for processes on other machines; empty if nothing is trusted."""
    return {TRUST: os.environ[TRUST]} if os.environ.get(TRUST) else {}


def is_trusted(text: str) -> bool:
    """Return whether what a study names is a file that came with it, or was named by the user."""
    trusted = os.environ.get(TRUST, "").split(",")
    module = code_reference(text).module
    inside = (text == name or f"{module}.".startswith(f"{name}.") for name in trusted if name)
    return code_reference(text).file is not None or any(inside)


def refuse_untrusted(key: str, text: str, kind: str) -> None:
    """Raise StudyFileError for installed code that the user has not named: it is not called."""
    if not is_trusted(text):
        raise StudyFileError(
            f"{key}: {text} is not known to be {kind}, so it is not called; --trust {code_reference(text).place} "
            "allows it"
        )
