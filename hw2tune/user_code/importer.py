"""Code that a study names, imported in the process that trains: modules of the study's own from memory, others as ever.

Nothing is written to disk, so that nothing is left there, and a worker on another machine needs no copy of a folder. A
study file may be somebody else's: installed code is called only if the user trusts it. Trust is kept in the
environment, which the processes that train inherit.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import linecache
import os
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.abc import InspectLoader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any

from hw2tune.errors import StudyFileError
from hw2tune.text.plain import first_line
from hw2tune.user_code.files import code_reference

OURS = str(Path(__file__).parents[1])
TRUST = "HW2TUNE_TRUST"


def load(text: str, code: Mapping[str, str]) -> Any:
    """Return the object named `net.py:Wide` or `package.module:factory`. Raises any error of its import."""
    reference = code_reference(text)
    if reference.file is not None:
        _FINDER.serve(code)
    return getattr(importlib.import_module(reference.module), reference.name)


@contextlib.contextmanager
def callers_modules_kept() -> Iterator[None]:
    """Give the caller of the API its own modules back after the `with`."""
    try:
        yield
    finally:
        _FINDER.withdraw()


class _Finder(MetaPathFinder, InspectLoader):
    """Find the modules of one study's code before any others of the same names, and load them from memory."""

    def __init__(self) -> None:
        self.code: dict[str, str] = {}
        self.files: dict[str, str | None] = {}  # by module; None for a folder without __init__.py
        self.callers: dict[str, ModuleType] = {}  # modules of these names that were imported before

    def serve(self, code: Mapping[str, str]) -> None:
        """Serve these modules from now on, and forget those of an earlier study."""
        if code == self.code and self in sys.meta_path:
            return
        self.withdraw()
        self.code = dict(code)
        names = [file.removesuffix(".py") for file in code]
        folders = {str(folder) for name in names for folder in PurePosixPath(name).parents[:-1]}
        self.files = {folder.replace("/", "."): None for folder in folders}
        self.files |= {name.removesuffix("/__init__").replace("/", "."): f"{name}.py" for name in names}
        self.callers = {name: sys.modules.pop(name) for name in self.files if name in sys.modules}
        sys.meta_path.insert(0, self)

    def withdraw(self) -> None:
        """Forget the modules of the study, and restore those of the caller."""
        for module in self.files:
            sys.modules.pop(module, None)
        sys.modules.update(self.callers)
        self.code, self.files, self.callers = {}, {}, {}
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of a module of the study, else None."""
        if fullname not in self.files:
            return None
        file = self.files[fullname]
        if file is None:
            return ModuleSpec(fullname, None, is_package=True)
        package = PurePosixPath(file).name == "__init__.py"
        return importlib.util.spec_from_loader(fullname, self, origin=file, is_package=package)

    def get_source(self, fullname: str) -> str | None:
        """Return the source of a module as it was next to the study file."""
        return self.code.get(self.files.get(fullname) or "")

    def exec_module(self, module: ModuleType) -> None:
        """Run the module under its file's name; tracebacks show its lines."""
        file = self.files[module.__name__] or ""
        module.__file__, text = file, self.code[file]
        linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
        exec(compile(text, file, "exec", dont_inherit=True), module.__dict__)


def is_users(error: BaseException, code: Mapping[str, str]) -> bool:
    """Return whether an error from a call of the user's code is theirs, and neither ours nor the disk's."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return bool(_users_line(error, code)) or not (isinstance(error, OSError) or last.filename.startswith(OURS))


def in_words(error: BaseException, code: Mapping[str, str]) -> str:
    """Return an error as one line, `net.py, line 12: ValueError: too wide`, with the innermost line of the `code`."""
    return _users_line(error, code) + ": ".join(filter(None, [type(error).__name__, first_line(error, "")]))


def _users_line(error: BaseException, code: Mapping[str, str]) -> str:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename in code]
    return f"{frames[-1].filename}, line {frames[-1].lineno}: " if frames else ""


_FINDER = _Finder()


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
