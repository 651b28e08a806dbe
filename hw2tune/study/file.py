"""Study files: TOML that says what is searched. Reading refuses a file with all of its faults at once."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from hw2tune.errors import StudyFileError
from hw2tune.study.faults import faults_in
from hw2tune.study.schema import Study


def parse_study(text: str, place: str, overrides: Mapping[str, Any] | None = None) -> Study:
    """The study in a TOML `text`, with `overrides` (`max_epochs`, `pruner.name`, ...) laid over it.

    Raises StudyFileError with one line for each fault: file, key, condition, value.
    """
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise StudyFileError(f"{place}: not valid TOML: {error}") from None
    for key, value in (overrides or {}).items():
        *tables, last = key.split(".")
        table = content
        for name in tables:
            table = table.setdefault(name, {})
        if isinstance(table, dict):  # else a fault that is named below
            table[last] = value
    faults = faults_in(content)
    if faults:
        raise StudyFileError("\n".join(f"{place}: {fault}" for fault in faults))
    return Study.model_validate(content)


def find_study(name_or_path: str, *, results: Path | None = None) -> tuple[str, str]:
    """The text of a study file and the place it came from.

    `name_or_path` is a path (with a slash or ending in .toml), a study that hw2tune ships, or one that stands in
    `results` already. Raises StudyFileError.
    """
    path = Path(name_or_path)
    if path.suffix == ".toml" or len(path.parts) > 1:
        return _read(path), str(path)
    shipped = shipped_studies()
    if name_or_path in shipped:
        return _read(shipped[name_or_path]), f"studies/{name_or_path}.toml"
    if results is not None and (results / name_or_path / "study.toml").is_file():
        return _read(results / name_or_path / "study.toml"), str(results / name_or_path / "study.toml")
    raise StudyFileError(
        f"no study `{name_or_path}`: hw2tune ships {', '.join(shipped)}; a file of your own goes by its path, "
        f"for example `hw2tune study ./{name_or_path}.toml`"
    )


def shipped_studies() -> dict[str, Path]:
    """The study files that hw2tune ships, by name."""
    package = Path(str(resources.files("hw2tune")))
    # In a wheel they lie inside the package, in a checkout beside it: one place, `studies/`, in the sources.
    folder = next(f for f in (package / "shipped_studies", package.parent / "studies") if f.is_dir())
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise StudyFileError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise StudyFileError(f"{path}: cannot be read: {error}") from None


def dump_study(study: Study) -> str:
    """The resolved study as TOML."""
    import tomli_w

    return tomli_w.dumps(study.model_dump(exclude_none=True))


def differences(there: Study, here: Study, ignoring: tuple[str, ...] = ("trials",)) -> list[str]:
    """What differs between two resolved studies, a line for each key, written `key: there -> here`."""
    old, new = _flat(there.model_dump()), _flat(here.model_dump())
    return [
        f"{key}: {old.get(key, 'absent')} -> {new.get(key, 'absent')}"
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key) and key not in ignoring
    ]


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return flat
