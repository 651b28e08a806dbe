"""Data sets by name: load, fetch, list and verify them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hw2tune.data.catalog import DATASETS, DatasetInfo, dataset_info
from hw2tune.data.dataset import Dataset, Progress, Unsplit, checksum, fingerprints
from hw2tune.data.decoding import decoded_folders, file_digest
from hw2tune.data.download import download as fetch
from hw2tune.data.download import finish_moves, not_found
from hw2tune.data.layouts import PACKAGED, SYNTHETIC_SOURCE, find_copy, make_synthetic
from hw2tune.data.own import OwnOptions, absent_classes, own_info, read_own
from hw2tune.data.splits import group_indices, groups_of_equals, validation_indices
from hw2tune.errors import DataError
from hw2tune.paths import data_roots

SHOWN = 3  # changed files named
OWN_SHARE = 0.1  # default fraction of the trainval of own images for validation


@dataclass(frozen=True)
class DatasetStatus:
    """State of a data set on this machine, without reading its images."""

    name: str
    title: str
    found: bool  # a copy exists, perhaps damaged
    source: str  # folder or package; empty if not found
    problem: str | None  # the reason why it cannot be used, and the fix


def load_dataset(
    name: str,
    *,
    data_dir: Path | None = None,
    validation_size: float | None = None,
    split_seed: int = 0,
    download: bool = True,
    progress: Progress | None = None,
    own: OwnOptions | None = None,
) -> Dataset:
    """Return the data set `name`, verified, in three splits: one of the catalog, or with `own` one of the user's.

    Searches `data_dir`, the folder named by HW2TUNE_DATA and the user's cache, in this order, and downloads a missing
    data set. `validation_size` is a number of images or, below 1, a fraction of the trainval (None: the data set's
    default; 0 is allowed), drawn by `split_seed`, each class in proportion. Raises DataError.
    """
    return load_undivided(
        name, data_dir=data_dir, validation_size=validation_size, download=download, progress=progress, own=own
    )(split_seed)


def load_undivided(
    name: str,
    *,
    data_dir: Path | None = None,
    validation_size: float | None = None,
    download: bool = True,
    progress: Progress | None = None,
    own: OwnOptions | None = None,
) -> Callable[[int], Dataset]:
    """Read a data set as `load_dataset` does, and return the function that divides it by a split seed."""
    if own is not None:
        return partial(_three_splits, read_own(name, own, progress), None, validation_size)
    info = dataset_info(name)
    return partial(_three_splits, _read(info, data_roots(data_dir), download, progress), info, validation_size)


def _three_splits(whole: Unsplit, info: DatasetInfo | None, validation_size: float | None, seed: int) -> Dataset:
    classes, notes = info.classes if info else whole.classes, [*whole.notes]
    if whole.validation is not None and validation_size is not None:
        if whole.trainval.files:
            raise DataError(f"{whole.source}: has its own validation images; leave validation_size out.")
        # Studies of earlier versions have it.
        notes.append(f"validation_size is not used: {whole.source} returns validation images")
    if (validation := whole.validation) is not None:
        train, split_checksum = whole.trainval, checksum(validation.images, validation.labels)
    else:
        default = info.default_validation_size if info else OWN_SHARE
        chosen = _validation(whole, default if validation_size is None else validation_size, classes, seed)
        (train, validation), split_checksum = whole.trainval.divide(chosen), checksum(chosen)
    if info is None:
        info = own_info(whole, train, validation)
        notes += absent_classes(classes, train=train, validation=validation, test=whole.test)
    return Dataset(
        info=info,
        label=whole.label,
        source=whole.source,
        checksum=checksum(*(part for split in (whole.trainval, whole.test) for part in (split.images, split.labels))),
        split_seed=seed,
        split_checksum=split_checksum,
        train=train,
        validation=validation,
        test=whole.test,
        notes=tuple(notes),
        white=whole.white,
        scale=whole.scale,
    )


def _validation(whole: Unsplit, size: float, classes: Sequence[str], seed: int) -> NDArray[np.int64]:
    """Return the indices into the trainval of `size` images, below 1 of that fraction."""
    labels = whole.trainval.labels
    if whole.groups is not None:
        return group_indices(labels, whole.groups, size, classes=classes, seed=seed)
    equals = groups_of_equals(fingerprints(whole.trainval))
    return validation_indices(labels, size, classes=classes, seed=seed, equals=equals)


def fetch_dataset(name: str, *, data_dir: Path | None = None, progress: Progress | None = None) -> Path:
    """Download the data set, or verify an existing copy, and return its path."""
    info = dataset_info(name)
    if info.synthetic:
        raise DataError(f"{name}: nothing to fetch, its images are made on the spot.")
    whole = _read(info, data_roots(data_dir), True, progress)
    return PACKAGED[name].shipped_file() if name in PACKAGED else Path(whole.source)


def list_datasets(*, data_dir: Path | None = None) -> list[DatasetStatus]:
    """Return the state of every data set. No file is read, so damage inside a file shows only on loading."""
    roots = data_roots(data_dir)
    glances = ((info, *_glance(info, roots)) for info in DATASETS.values())
    return [DatasetStatus(info.name, info.title, bool(source), source, problem) for info, source, problem in glances]


def verify_datasets(*, data_dir: Path | None = None) -> list[DatasetStatus]:
    """Return the state of every data set found, read to its last byte, and of every decoded image folder.

    The decoded copy of a folder with changed files is removed: the next command decodes the folder again.
    """
    found = [status for status in list_datasets(data_dir=data_dir) if status.found]
    for place, status in enumerate(found):
        try:
            _read(dataset_info(status.name), data_roots(data_dir), False, None)
        except DataError as error:
            found[place] = replace(status, problem=str(error))
    return [*found, *_verified_folders()]


def _verified_folders() -> Iterator[DatasetStatus]:
    for copy, folder, digests in decoded_folders():
        changed = [file for file, digest in digests.items() if file_digest(folder / file) != digest]
        if changed:
            copy.unlink(missing_ok=True)
        more = ", ..." if len(changed) > SHOWN else ""
        problem = (
            f"{folder}: {len(changed):,} of {len(digests):,} files are gone or changed since they were decoded "
            f"({', '.join(changed[:SHOWN])}{more}); the next command decodes them again"
        )
        title = f"{len(digests):,} decoded images"
        yield DatasetStatus(folder.name, title, True, str(folder), problem if changed else None)


def _read(info: DatasetInfo, roots: tuple[Path, ...], download: bool, progress: Progress | None) -> Unsplit:
    if info.synthetic:
        return make_synthetic(info)
    if (shipped := PACKAGED.get(info.name)) is not None:
        return shipped.read(info)
    finish_moves(info, roots)
    copy = find_copy(info.name, roots)
    if copy is None and not download:
        raise not_found(info, roots, "downloading is off")
    folder, layout = copy or fetch(info, roots, progress)
    return layout.read(folder, progress)


def _glance(info: DatasetInfo, roots: tuple[Path, ...]) -> tuple[str, str | None]:
    if info.synthetic:
        return SYNTHETIC_SOURCE, None
    source = ""
    try:
        if (shipped := PACKAGED.get(info.name)) is not None:
            return str(shipped.shipped_file()), None
        if (copy := find_copy(info.name, roots)) is None:
            return "", f"not on disk: run `hw2tune data fetch {info.name}`"
        folder, layout = copy
        source = str(folder)
        layout.check_quickly(folder)
    except DataError as error:
        return source, str(error)
    return source, None
