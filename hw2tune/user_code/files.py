"""The user's own code that a study names: `file.py:name` beside the study file, or `package.module:name`.

Reading a study runs nothing: its files are parsed, never imported. What a file imports from beside it is read as well,
so that all of it can travel to workers and be part of a training's key.
"""

from __future__ import annotations

import ast
import hashlib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path, PurePosixPath

from hw2tune.errors import StudyFileError
from hw2tune.text.plain import nearest

FOLDER = "code"  # in a study's folder, where its own modules are kept
# Modules of these names beside a study file are not the user's: Python's own, and what training imports.
_RESERVED = {*sys.stdlib_module_names, "hw2tune", "numpy", "optuna", "pandas", "ray", "torch", "torchvision"}


@dataclass(frozen=True)
class CodeReference:
    """`net.py:Wide` or `package.module:factory`: `file` is None for an installed module."""

    place: str
    name: str

    @property
    def file(self) -> str | None:
        """The file, as it was written."""
        return self.place if self.place.endswith(".py") else None

    @property
    def module(self) -> str:
        """The module's name in an import."""
        return PurePosixPath(self.place).stem if self.file else self.place


def is_code(text: str) -> bool:
    """Return whether a value of a study file names code, not an entry of a table."""
    return ":" in text


def is_own(dataset: str) -> bool:
    """Return whether a data set is a folder's path or code, not a name in the catalog."""
    return is_code(dataset) or "/" in dataset or dataset.startswith((".", "~"))


def code_reference(text: str) -> CodeReference:
    """Return the parts of a value for which `reference_error` is None."""
    place, _, name = text.rpartition(":")
    return CodeReference(place, name)


def reference_error(text: str) -> str | None:
    """Return the fault in the form of a value that names code, or None."""
    reference = code_reference(text)
    if not reference.name.isidentifier():
        return "behind the colon there must be a name, as in net.py:Wide"
    if reference.file is not None:
        if not reference.module.isidentifier():
            return f"{reference.file} cannot be imported: a module's name is of letters, digits and `_`"
        if reference.module in _RESERVED:
            return f"{reference.file} has the name of a package that training imports; call it something else"
    elif not all(part.isidentifier() for part in reference.place.split(".")):
        return "before the colon there must be a file.py or a package.module"
    return None


def read_code(values: Mapping[str, str], folder: Path) -> tuple[dict[str, str], list[str]]:
    """Return the files that these values of a study file name and their imports from the same folder; and faults.

    `values` are by key of the study file. Files lie beside the study file, in `folder`, or in `code/` there.
    """
    code: dict[str, str] = {}
    faults: list[str] = []
    for key, text in values.items():
        reference = code_reference(text)
        if reference.file is None:
            continue
        file = Path(reference.file).expanduser()
        path = next((p for p in (folder / file, folder / FOLDER / file.name) if p.is_file()), None)
        if path is None:
            faults.append(f"{key}: there is no file {folder / file}")
            continue
        try:
            found = dict(_with_imports(path))
            _defines(found[path.name], path, reference.name)
        except StudyFileError as error:
            faults.append(f"{key}: {error}")
            continue
        for name in found:
            if code.get(name, found[name]) != found[name]:
                faults.append(f"{key}: two files are called {name}; call one of them something else")
        code |= found
    return code, faults


def flat(text: str) -> str:
    """Return a reference to a file as written if all files are in one folder."""
    reference = code_reference(text)
    return text if reference.file is None else f"{PurePosixPath(reference.file).name}:{reference.name}"


def code_digest(code: Mapping[str, str]) -> str:
    """Return a digest of names and contents."""
    digest = hashlib.sha256()
    for name in sorted(code):
        digest.update(f"{name}\0{code[name]}\0".encode())
    return digest.hexdigest()[:16]


def _with_imports(path: Path) -> Iterator[tuple[str, str]]:
    """A file and every module in its folder that it, or one of those, imports: names relative to the folder."""
    beside, waiting, seen = path.parent, [path], set()
    while waiting:
        file = waiting.pop()
        name = file.relative_to(beside).as_posix()
        if name in seen:
            continue
        seen.add(name)
        text, tree = _parsed(file)
        yield name, text
        for node in ast.walk(tree):
            modules: list[str] = []
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                modules = [node.module]
            for module in (name.partition(".")[0] for name in modules):
                waiting += _files_of(beside, module) if module not in _RESERVED else []


def _files_of(folder: Path, module: str) -> list[Path]:
    if (folder / f"{module}.py").is_file():
        return [folder / f"{module}.py"]
    spec = PathFinder.find_spec(module)  # without an origin it is the folder of this name, as a namespace
    if (folder / module / "__init__.py").is_file() or spec is None or spec.origin is None:
        return sorted((folder / module).rglob("*.py"))
    return []


def _parsed(path: Path) -> tuple[str, ast.Module]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
        return text, ast.parse(text)
    except OSError as error:
        raise StudyFileError(f"{path} cannot be read ({error.strerror})") from None
    except (MemoryError, RecursionError):
        raise StudyFileError(f"{path} is nested too deeply to be parsed") from None
    except SyntaxError as error:
        raise StudyFileError(f"{path}, line {error.lineno}: {error.msg}") from None
    except (UnicodeDecodeError, ValueError) as error:
        raise StudyFileError(f"{path} is no Python file in UTF-8 ({error})") from None


def _defines(text: str, path: Path, name: str) -> None:
    """Raise StudyFileError if a module does not define `name`, as far as its text shows."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names.update((alias.asname or alias.name).partition(".")[0] for alias in node.names)
    if name not in names and "*" not in names:
        close = nearest(name, sorted(names))
        raise StudyFileError(f"{path} defines no {name!r}{f'; did you mean `{close}`?' if close else ''}")
