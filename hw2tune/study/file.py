"""Study files in TOML. Reading a faulty file names all of its faults at once."""

import codecs
import contextlib
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hw2tune.errors import StudyFileError
from hw2tune.paths import expand
from hw2tune.study.conditions import as_list
from hw2tune.study.earlier import earlier_faults
from hw2tune.study.faults import checked
from hw2tune.study.names import REPLACED, shipped_studies
from hw2tune.study.notation import normal_form
from hw2tune.study.schema import Sampler, Study
from hw2tune.text.plain import nearest
from hw2tune.user_code.files import code_digest, flat, is_code, is_own, read_code

# UTF-32 first: its mark begins with UTF-16's.
_OTHER_ENCODINGS = {codecs.BOM_UTF32_LE: "UTF-32", codecs.BOM_UTF16_LE: "UTF-16", codecs.BOM_UTF16_BE: "UTF-16"}


def parse_study(
    text: str,
    place: str,
    overrides: Mapping[str, Any] | None = None,
    *,
    missing_code_ok: bool = False,
    was_run: Callable[[str], bool] = lambda name: False,
) -> Study:
    """Return the study in a TOML `text`, with `overrides` (`max_epochs`, `pruner.name`, ...) laid over it.

    The user's modules are read from beside `place`. Raises StudyFileError with a line for each fault: file, key,
    condition, value; with `missing_code_ok` not for modules, which a report can do without, and not for what earlier
    versions accepted if the study of this name `was_run`.
    """
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise StudyFileError(f"{place}: not valid TOML: {error}") from None
    except RecursionError:
        raise StudyFileError(f"{place}: not valid TOML: brackets nested too deeply to be read") from None
    except ValueError:  # Python's, of an integer of thousands of digits
        raise StudyFileError(f"{place}: not valid TOML: a number with too many digits to be read") from None
    content = normal_form(content)
    overrides = overrides or {}
    if overrides.get("budget") and not overrides.get("trials"):
        content.pop("trials", None)  # as many as fit
    if overrides.get("order") == "arrival":
        content.pop("slots", None)  # are of the virtual order
    for key, value in overrides.items():
        *tables, last = key.split(".")
        table = content
        for name in tables:
            table = table.setdefault(name, {})
        if isinstance(table, dict):  # else a fault that is named below
            table[last] = value
    study, faults = checked(normal_form(content))
    if study is not None and not faults and (earlier := earlier_faults(study)) and not was_run(study.name):
        faults = [f"{key}: {fault}" for key, fault in earlier.items()]
    if study is None or faults:
        raise StudyFileError("\n".join(f"{place}: {fault}" for fault in faults))
    return _with_code(study, place, missing_code_ok)


def _with_code(study: Study, place: str, missing_ok: bool) -> Study:
    """Return the study with the modules that it names, and with its folder of images as an absolute path."""
    if in_folder(study):
        images = Path(place).parent / expand(study.dataset, f"{place}: dataset")
        study = study.model_copy(update={"dataset": str(images.absolute())})
    values = {"model": study.model, "dataset": study.dataset, "objective": study.objective,
              "sampler": study.sampler.name, "pruner": study.pruner.name}  # fmt: skip
    named = {key: value for key, value in values.items() if is_code(value)}
    if not named:
        return study
    code, faults = read_code(named, Path(place).parent)
    if faults and not missing_ok:
        raise StudyFileError("\n".join(f"{place}: {fault}" for fault in faults))
    update: dict[str, Any] = {key: flat(value) for key, value in named.items()}
    for key in {"sampler", "pruner"} & named.keys():
        update[key] = getattr(study, key).model_copy(update={"name": update[key]})
    return study.model_copy(update={**update, "code": code})


def find_study(name_or_path: str, *, results: Path | None = None) -> tuple[str, str]:
    """Return the text and the place of a study file: a path (with a slash or .toml), a shipped one, one in `results`.

    Raises StudyFileError.
    """
    path = expand(name_or_path, "STUDY")
    if path.suffix == ".toml" or len(path.parts) > 1:
        return read_text(path), str(path)
    shipped = shipped_studies()
    if name_or_path in shipped:
        return read_text(shipped[name_or_path]), f"studies/{name_or_path}.toml"
    if results is not None and (results / name_or_path / "study.toml").is_file():
        return read_text(results / name_or_path / "study.toml"), str(results / name_or_path / "study.toml")
    raise StudyFileError(
        f"no study `{name_or_path}`: hw2tune ships {', '.join(shipped)}; a file of your own goes by its path, "
        f"for example `hw2tune study ./{name_or_path}.toml`"
    )


def read_text(path: Path) -> str:
    """Return the text of a user's file in UTF-8, with or without a byte order mark. Raises StudyFileError."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        with contextlib.suppress(OSError):
            if close := nearest(path.name, (one.name for one in path.parent.glob("*.toml"))):
                raise StudyFileError(f"{path}: no such file; did you mean {path.with_name(close)}?") from None
        raise StudyFileError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise StudyFileError(f"{path}: is a folder; name a study file in it") from None
    except OSError as error:
        raise StudyFileError(f"{path}: cannot be read ({error.strerror})") from None
    for mark, name in _OTHER_ENCODINGS.items():
        if content.startswith(mark):
            raise StudyFileError(f"{path}: is saved as {name}, as Notepad and PowerShell may do; save it as UTF-8")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise StudyFileError(
            f"{path}: line {line}: byte 0x{content[error.start]:02x} is not UTF-8; save the file as UTF-8"
        ) from None
    if "\0" in text:
        raise StudyFileError(f"{path}: holds a zero byte, so it is no text; save it as UTF-8")
    return text


def dump_study(study: Study) -> str:
    """Return the resolved study as TOML."""
    import tomli_w

    return tomli_w.dumps(study.model_dump(exclude_none=True))


# Keys that no finished trial depends on. Each run notes them in environment.json.
MAY_CHANGE = ("trials", "budget", "claims", "replicates", "max_replicates", "enqueue", "searches", "splits")


def may_change(study: Study) -> dict[str, Any]:
    """Return the keys of a study that may change between two runs, as JSON."""
    return study.model_dump(include=set(MAY_CHANGE))


_UNUSED = ("resize", "test_share")  # by a function that returns images


def with_replaced(study: Study) -> Study:
    """Return the study with what replaces its sampler, if that is one of an earlier version."""
    name = REPLACED.get(study.sampler.name)
    return study if name is None else study.model_copy(update={"sampler": Sampler(name=name)})


def differences(there: Study, here: Study) -> list[str]:
    """Return the differences of two studies, a line for each key, written `key: there -> here`.

    A folder of images may lie elsewhere: the checksum of its images counts. Arms may come and go, and not change. Slots
    left out are those that the study began with. The same value in other words is none: 0 and 0.0, or the values of a
    condition in another order; and a value that nothing uses.
    """
    if with_replaced(there).sampler == with_replaced(here).sampler:
        here = here.model_copy(update={"sampler": there.sampler})
    ignoring = {"name", *MAY_CHANGE, *({"dataset"} if in_folder(there) and in_folder(here) else ())}
    ignoring |= {"slots"} if here.slots is None else set()
    unused = {**earlier_faults(there), **earlier_faults(here)}
    ignoring |= {place for place in unused if place.startswith(("training.", "references.", *_UNUSED))}
    both = there.arms.keys() & here.arms.keys()
    old, new = (
        _flat(
            study.model_dump()
            | {"code": study.code and code_digest(study.code)}
            | {"arms": {arm: dict(study.arms[arm]) for arm in both}}
            | ({"arms": ", ".join(study.arms) or "none"} if bool(there.arms) != bool(here.arms) else {})
        )
        for study in (there, here)
    )
    same = {key for key in old.keys() & new.keys() if _meaning(key, old[key]) == _meaning(key, new[key])}
    changed = sorted((old.keys() | new.keys()) - same - ignoring)
    return [f"{key}: {old.get(key, 'absent')} -> {new.get(key, 'absent')}" for key in changed]


def _meaning(key: str, value: Any) -> Any:
    """Return what two values have in common that mean the same at a key."""
    return frozenset(as_list(value)) if ".when." in key else value


def in_folder(study: Study) -> bool:
    """Return whether the images are a folder of the user's own."""
    return is_own(study.dataset) and not is_code(study.dataset)


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return flat
