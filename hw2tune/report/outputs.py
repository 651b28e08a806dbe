"""Place and writing of a report: drawn into a folder of its own, and only then put in the earlier one's place.

A report that cannot be drawn to its end, for want of space or by Ctrl-C, leaves the earlier one as it was.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from hw2tune import paths
from hw2tune.errors import NotWritableError, PathError
from hw2tune.records.atomic import writing
from hw2tune.records.layout import StudyFolder

PAGE, SUMMARY = "index.html", "summary.json"
REPRODUCTION = "reproduction.md", "reproduction.csv"  # what tells a reproduction's report
REPRODUCTION_FIGURES = [
    f"figures/reproduction-{what}.{kind}" for what in ("loss", "accuracy") for kind in ("png", "pdf")
]
TELLING = (SUMMARY, *REPRODUCTION)
KINDS = ("tables", "figures")  # the folders of a report
SPACE = 10_000_000  # bytes; a report takes about half
SCRATCH, LEFT = ".drawing-", ".part"  # the folder that a report is drawn into; a mirror passes over `.part`
LONGEST_NAME = 200  # bytes; file systems take 255


def default_target(folders: Sequence[StudyFolder]) -> Path:
    """`<study>/report` for one study, `<results>/report-<name>-<name>` for several."""
    if len(folders) == 1:
        return folders[0].root / "report"
    name = "-".join(["report", *(folder.root.name for folder in folders)])
    if len(os.fsencode(name)) > LONGEST_NAME:
        name = f"report-on-{len(folders)}-studies-{hashlib.sha256(os.fsencode(name)).hexdigest()[:8]}"
    return folders[0].root.parent / name


def checked_target(target: Path) -> Path:
    """A folder that was asked for, if a report can stand there. Raises Hw2tuneError."""
    refuse_unwritable(target)
    refuse_foreign(target)
    return target


def each_target(folders: Sequence[StudyFolder], output: Path | None) -> list[Path]:
    """The place of each study's own report: its folder, or `output`, or folders in it. Raises Hw2tuneError."""
    if output is not None:
        return [checked_target(output if len(folders) == 1 else output / one.name) for one in folders]
    targets = [default_target([one]) for one in folders]
    for target in targets:
        refuse_unwritable(target)
    return targets


def refuse_foreign(
    target: Path, option: str = "--output", what: str = "report", is_ours: Callable[[Path], bool] | None = None
) -> None:
    """Raises PathError where a folder that was asked for holds anything but `what` of ours."""
    with contextlib.suppress(OSError):  # not there, or no folder: `refuse_unwritable` says so
        names = sorted(path.name for path in target.iterdir() if not path.name.startswith(SCRATCH))
        if names and not (is_ours or _is_report)(target):
            shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
            raise PathError(
                f"{option} {target}: holds no {what} but {shown}, and a {what} is not mixed with other files; "
                "name a new or an empty folder"
            )


def refuse_unwritable(target: Path, option: str = "--output", what: str = "report") -> None:
    """Raises PathError where no `what` can be written to `target`; nothing is left there."""
    for folder in (target, *(path for kind in KINDS if os.path.lexists(path := target / kind))):
        paths.refuse_unwritable(folder, what)
    free = shutil.disk_usage(next(path for path in (target, *target.absolute().parents) if path.exists())).free
    if free < SPACE:
        raise PathError(
            f"{what}: {target}: a {what} takes about {SPACE / 1e6:.0f} MB, and {free / 1e6:.1f} MB are free; make "
            f"room, or name another place with {option}"
        )


@contextlib.contextmanager
def replacing(
    target: Path, option: str = "--output", what: str = "report", earlier: Sequence[str] = ()
) -> Iterator[Path]:
    """A folder to write a report, or `what`, into. Where the `with` ends well, its files take the earlier one's place.

    Files in `target` that neither `earlier` nor a report of ours names stay. Raises PathError and NotWritableError.
    """
    refuse_unwritable(target, option, what)
    paths.refuse_links_out(target)
    new_folders = [path for path in (target, *target.absolute().parents) if not path.exists()]
    try:
        with writing(target, 0):
            target.mkdir(parents=True, exist_ok=True)
            earlier = [*earlier, *files_of(target / SUMMARY), *REPRODUCTION_FIGURES, *_remove_what_a_kill_left(target)]
        with _scratch(target) as scratch:
            try:
                yield scratch
            except NotWritableError as error:
                text = str(error).replace(str(scratch), str(target))
                raise NotWritableError(f"{text}; an earlier {what} there stays as it was") from error
            _put_in_place(scratch, target, earlier)
    finally:
        for folder in new_folders:
            with contextlib.suppress(OSError):  # it holds the report
                folder.rmdir()


@contextlib.contextmanager
def _scratch(target: Path) -> Iterator[Path]:
    """A folder inside of `target`, on its disk; the lock on it ends with this process, however that dies."""
    with writing(target, 0):
        folder = Path(tempfile.mkdtemp(prefix=SCRATCH, suffix=LEFT, dir=target))
        held = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # not every file system locks; then nobody removes what a kill leaves
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield folder
    finally:
        os.close(held)
        shutil.rmtree(folder, ignore_errors=True)


def _remove_what_a_kill_left(target: Path) -> list[str]:
    """Returns what it was about to put in place: some of it may stand there, named by no summary."""
    named: list[str] = []
    for folder in target.glob(f"{SCRATCH}*{LEFT}"):
        with contextlib.suppress(OSError):  # locked: another process is drawing there
            held = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                named += files_of(folder / SUMMARY)
                shutil.rmtree(folder)
            finally:
                os.close(held)
    return named


def _put_in_place(scratch: Path, target: Path, earlier: Sequence[str]) -> None:
    """Move a report's files and remove those of the earlier one that it has no more; takes milliseconds.

    The page comes after what it links to. What tells that it is a report comes first into a new folder, and else last:
    a kill in between leaves a folder that the next call knows as its own, with all its files.
    """
    names, begun = [path.relative_to(scratch) for path in scratch.rglob("*") if path.is_file()], _is_report(target)
    names.sort(key=lambda name: ((name.name in TELLING) == begun, name.name == PAGE, name))
    ours = [(target / kind).resolve() for kind in KINDS]  # a summary may come from elsewhere: nothing outside is meant
    past = [target / name for name in earlier if Path(name) not in names]
    stale = [path for path in past if path.is_file() and any(path.resolve().is_relative_to(one) for one in ours)]
    try:
        _move(scratch, target, names, stale)
    except KeyboardInterrupt:
        _move(scratch, target, names, stale)  # half of a report would be no report
        raise


def _move(scratch: Path, target: Path, order: Sequence[Path], stale: Sequence[Path]) -> None:
    for name in order:
        with writing(target / name, 0):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):  # moved already
                os.replace(scratch / name, target / name)  # noqa: PTH105  # pathlib's rename would need the same two paths
    for path in stale:
        path.unlink(missing_ok=True)


def _is_report(target: Path) -> bool:
    return bool(_studies(target / SUMMARY)) or all((target / name).is_file() for name in REPRODUCTION)


def files_of(summary: Path) -> list[str]:
    """The tables and figures that an earlier summary names; none where there is no summary of ours."""
    names: list[object] = []
    try:
        for study in _studies(summary):
            names += study["tables"].values()
            names += [figure[kind] for figure in study["figures"] for kind in ("png", "pdf") if kind in figure]
    except (KeyError, TypeError, AttributeError):
        return []
    return [name for name in names if isinstance(name, str)]


def _studies(summary: Path) -> list[dict[str, Any]]:
    try:
        studies = json.loads(summary.read_text(encoding="utf-8"))["studies"]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return studies if isinstance(studies, list) and all(isinstance(study, dict) for study in studies) else []
