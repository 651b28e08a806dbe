"""Data sets by name: load one, fetch one, list them all."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hw2tune.data import decoded_cache, synthetic
from hw2tune.data.catalog import DATASETS, DatasetInfo, dataset_info
from hw2tune.data.dataset import Dataset, Progress, Unsplit, checksum, fingerprints
from hw2tune.data.download import download as fetch
from hw2tune.data.download import finish_moves, not_found
from hw2tune.data.guard import groups_of_equals
from hw2tune.data.layouts import Copy, find_copy
from hw2tune.data.own import OwnOptions, as_number, load_own
from hw2tune.data.packaged import PACKAGED
from hw2tune.data.roots import data_roots
from hw2tune.data.splits import validation_indices
from hw2tune.errors import DataError

SHOWN = 3  # changed files named


@dataclass(frozen=True, kw_only=True)
class DatasetStatus:
    """Whether a data set is at hand, as far as a glance tells."""

    name: str
    title: str
    found: bool  # there is a copy, sound or not
    source: str  # folder or package; empty where there is none
    problem: str | None  # what keeps it from being used, and the way out


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
    """The data set `name`, verified, in three splits: one that hw2tune knows, or with `own` one of the user's.

    Looks in `data_dir`, in the folder that HW2TUNE_DATA names and in the user's cache, in this order; downloads where
    there is nothing. `validation_size` images or, below 1, that share of the trainval (the data set's own number where
    None; 0 is allowed) validate, chosen by `split_seed`, each class in proportion. Raises DataError.
    """
    if own is not None:
        return load_own(name, own, validation_size=validation_size, split_seed=split_seed, progress=progress)
    info = dataset_info(name)
    whole = _read(info, data_roots(data_dir), download, progress)
    size = info.default_validation_size if validation_size is None else as_number(validation_size, len(whole.trainval))
    equals = groups_of_equals(fingerprints(whole.trainval))
    chosen = validation_indices(whole.trainval.labels, size, classes=info.classes, seed=split_seed, equals=equals)
    others = np.setdiff1d(np.arange(len(whole.trainval)), chosen, assume_unique=True)
    return Dataset(
        info=info,
        label=whole.label,
        source=whole.source,
        checksum=checksum(whole.trainval.images, whole.trainval.labels, whole.test.images, whole.test.labels),
        split_seed=split_seed,
        split_checksum=checksum(chosen),
        train=whole.trainval.take(others),
        validation=whole.trainval.take(chosen),
        test=whole.test,
        files=_files_by_split(whole, others, chosen),
        notes=whole.notes,
    )


def _files_by_split(
    whole: Unsplit, train: NDArray[np.int64], validation: NDArray[np.int64]
) -> dict[str, tuple[str, ...]]:
    if not whole.files:
        return {}
    return {
        "train": tuple(whole.files[place] for place in train),
        "validation": tuple(whole.files[place] for place in validation),
        "test": whole.files[len(whole.trainval) :],
    }


def fetch_dataset(name: str, *, data_dir: Path | None = None, progress: Progress | None = None) -> Path:
    """Make the data set ready for later and return where it lies; a copy that is there already is verified."""
    info = dataset_info(name)
    if info.synthetic:
        raise DataError(f"{name}: nothing to fetch, its images are made on the spot.")
    if (shipped := PACKAGED.get(name)) is not None:
        shipped.read(info)
        return shipped.shipped_file()
    copy = _find_or_download(info, data_roots(data_dir), True, progress)
    copy.read(progress)
    return copy.folder


def list_datasets(*, data_dir: Path | None = None) -> list[DatasetStatus]:
    """Every data set and whether it is at hand. Quick: no file is read, so damage inside one shows only on loading."""
    roots = data_roots(data_dir)
    return [_status(info, roots) for info in DATASETS.values()]


def verify_datasets(*, data_dir: Path | None = None) -> list[DatasetStatus]:
    """Every data set that is at hand, read to its last byte, and every folder of images that was decoded.

    The decoded copy of a folder whose files have changed is removed: the next command decodes it again.
    """
    there = [status for status in list_datasets(data_dir=data_dir) if status.found]
    return [*(_verified(status, data_roots(data_dir)) for status in there), *_verified_folders()]


def _verified(status: DatasetStatus, roots: tuple[Path, ...]) -> DatasetStatus:
    try:
        _read(dataset_info(status.name), roots, False, None)
    except DataError as error:
        return replace(status, problem=str(error))
    return status


def _verified_folders() -> Iterator[DatasetStatus]:
    for copy, sources in decoded_cache.sources():
        changed, folder, count = sources.changed(), Path(sources.folder), len(sources.digests)
        if changed:
            copy.unlink(missing_ok=True)
        more = ", ..." if len(changed) > SHOWN else ""
        problem = (
            f"{folder}: {len(changed):,} of {count:,} files are gone or changed since they were decoded "
            f"({', '.join(changed[:SHOWN])}{more}); the next command decodes them again"
        )
        yield DatasetStatus(
            name=folder.name, title=f"{count:,} decoded images", found=True, source=str(folder),
            problem=problem if changed else None,
        )  # fmt: skip


def _read(info: DatasetInfo, roots: tuple[Path, ...], download: bool, progress: Progress | None) -> Unsplit:
    if info.synthetic:
        return synthetic.make(info)
    if (shipped := PACKAGED.get(info.name)) is not None:
        return shipped.read(info)
    return _find_or_download(info, roots, download, progress).read(progress)


def _find_or_download(info: DatasetInfo, roots: tuple[Path, ...], download: bool, progress: Progress | None) -> Copy:
    finish_moves(info, roots)
    if (copy := find_copy(info.name, roots)) is not None:
        return copy
    if not download:
        raise not_found(info, roots, "downloading is off")
    return fetch(info, roots, progress)


def _status(info: DatasetInfo, roots: tuple[Path, ...]) -> DatasetStatus:
    source, problem = _glance(info, roots)
    return DatasetStatus(name=info.name, title=info.title, found=bool(source), source=source, problem=problem)


def _glance(info: DatasetInfo, roots: tuple[Path, ...]) -> tuple[str, str | None]:
    """Source (empty where there is none) and problem."""
    if info.synthetic:
        return synthetic.SOURCE, None
    source = ""
    try:
        if (shipped := PACKAGED.get(info.name)) is not None:
            return str(shipped.shipped_file()), None
        if (copy := find_copy(info.name, roots)) is None:
            return "", f"not on disk: run `hw2tune data fetch {info.name}`"
        source = str(copy.folder)
        copy.check_quickly()
    except DataError as error:
        return source, str(error)
    return source, None
