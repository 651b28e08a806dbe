"""Opening a study's folder for a run: one process at a time, and only for the study that it holds."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from hw2tune.data.dataset import Dataset
from hw2tune.errors import StudyFolderError
from hw2tune.records.atomic import not_writable, write_atomically
from hw2tune.records.dataset import keep_images
from hw2tune.records.layout import KEPT_FILES, StudyFolder, study_folders
from hw2tune.records.leftovers import set_aside, size_of
from hw2tune.records.lock import Say, in_use, locked, make_folder, owner_of
from hw2tune.records.overview import Overview, read_overview, without_trials
from hw2tune.study.arms import searches
from hw2tune.study.file import differences, dump_study
from hw2tune.study.schema import Study


@contextlib.contextmanager
def opened(
    results: Path, study: Study, data: Dataset | None = None, *, fresh: bool = False,
    say: Say = lambda text: None, known: Overview | None = None,
) -> Iterator[StudyFolder]:  # fmt: skip
    """The folder of `study`, held by this process for the length of a `with`.

    `fresh` sets a folder that is there aside under a dated name. Raises StudyFolderError if another process runs
    the study, or where the folder holds a different one, or one of other images than `data`.
    """
    folder = StudyFolder(results / study.name)
    with locked(folder, say):
        if fresh:
            _set_aside(folder)
        there = _refuse_different(folder, study, known)
        if data is not None:
            keep_images(folder, data)
        for name, text in study.code.items():
            write_atomically(folder.code / name, text, durable=True)
        if there is not None:  # the sampler that has drawn, which may be one of an earlier version
            study = study.model_copy(update={"sampler": there.study.sampler})
        write_atomically(folder.study_file, dump_study(study), durable=True)
        yield folder


def refuse_another_study(folder: StudyFolder, study: Study) -> Overview | None:
    """Return what the folder holds of the study; None before it was run.

    Raises StudyFolderError if the folder is in use or holds another study, naming what differs; also for an arm that
    was removed and comes back as another one.
    """
    refuse_in_use(folder)
    there = _refuse_different(folder, study, None)
    arms = [_refuse_different(StudyFolder(folder.arms / search.name), search, None) for search in searches(study)]
    return there and read_overview(folder, replace(there, searches=tuple(filter(None, arms))))


def refuse_in_use(folder: StudyFolder) -> None:
    """Raise StudyFolderError if a process runs the study, or is at one of its arms."""
    for one in (folder, *study_folders(folder.arms)):
        if (owner := owner_of(one)) is not None:
            raise in_use(one.root, owner, one.owner)


def _refuse_different(folder: StudyFolder, study: Study, known: Overview | None) -> Overview | None:
    if not folder.has_run:  # nothing has run under this name
        return None
    if not os.path.lexists(folder.study_file):
        raise StudyFolderError(
            f"{folder.root}: holds trials but no study.toml, as an interrupted --fresh leaves it; "
            "run the command with --fresh again"
        )
    there = without_trials(folder, known)
    if changed := differences(there.study, study):
        other = f"continue that one (`hw2tune study {folder.study_file}`), use another --name"
        if folder.is_arm:
            other = "give the arm another name"
        raise StudyFolderError(
            f"{folder.root}: holds a different study ({'; '.join(changed)}); {other}, or move it aside with --fresh"
        )
    return there


def _set_aside(folder: StudyFolder) -> None:
    """Move what is there to `set-aside/<name>.<date>` in the results; nothing is removed before all is there.

    The study's folder may be a link to another disk, or one mounted: then its files are copied. study.toml goes first
    and the journal last: whatever a kill leaves is no study that could go on, and --fresh again moves the rest.
    """
    content = [path for path in folder.root.iterdir() if path.name not in KEPT_FILES]
    if not content:
        return
    content.sort(key=lambda path: (path != folder.study_file, path in (folder.journal, folder.arms)))
    newest = datetime.fromtimestamp(max(path.lstat().st_mtime for path in content), UTC)
    dated = folder.root.parent / "set-aside" / f"{folder.name}.{newest:%Y-%m-%d-%H%M%S}"
    aside = _begun(folder) or _free_name(dated)
    make_folder(aside)
    try:
        for path in content:
            path.rename(aside / path.name)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise not_writable(aside, error, 0) from error
        _copy_aside([path for path in content if os.path.lexists(path)], aside)


def _copy_aside(content: list[Path], aside: Path) -> None:
    try:
        for path in content:
            if path.is_dir() and not path.is_symlink():
                shutil.copytree(path, aside / path.name, symlinks=True)
            else:
                shutil.copy2(path, aside / path.name, follow_symlinks=False)
    except (OSError, shutil.Error) as error:
        for path in content:  # what was moved before these stays
            _remove(aside / path.name)
        with contextlib.suppress(OSError):
            aside.rmdir()
        cause = error if isinstance(error, OSError) and error.errno else OSError(errno.EIO, str(error))
        raise not_writable(aside, cause, sum(map(size_of, content))) from error
    for path in content:
        _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _begun(folder: StudyFolder) -> Path | None:
    """The folder to which a killed --fresh has moved study.toml, and not yet the journal."""
    if os.path.lexists(folder.study_file):
        return None
    paths = [path for one in set_aside(folder.root.parent, folder.name) for path in one.paths]
    return next((path for path in paths if not StudyFolder(path).has_run), None)


def _free_name(path: Path) -> Path:
    """The path, numbered if a folder with files has it."""
    names = (path if number == 1 else path.with_name(f"{path.name}-{number}") for number in count(1))
    return next(free for free in names if not free.exists() or not any(free.iterdir()))
