"""A folder of the user's own images: {train,val,test}/<class>/*, or <class>/* with a share of them for the test."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

import numpy as np

from hw2tune.data.class_folders import class_names, left_out_note, list_images, shown
from hw2tune.data.dataset import OwnData, Progress, Split, fingerprints
from hw2tune.data.decoding import decode
from hw2tune.data.guard import groups_of_equals
from hw2tune.data.splits import held_out_indices
from hw2tune.errors import DataError

MOST_CLASSES = 10_000
# What folders of splits are called, in small or capital letters.
SPLITS = {
    "train": "train", "training": "train", "val": "validation", "valid": "validation", "validation": "validation",
    "test": "test", "testing": "test",
}  # fmt: skip


def read_folder(
    folder: Path,
    *,
    test_share: float | None,
    resize: Sequence[int] | None,
    tear_copies: bool = False,
    progress: Progress | None = None,
) -> OwnData:
    """The images in order of class and path. Raises DataError, naming every file that cannot be used.

    What is gray throughout has one channel, all else three: palettes are resolved, transparent parts laid on white,
    more than 8 bits scaled by one rule for all, CMYK converted, and the rotation that a camera noted is carried out.
    Images of different sizes are refused unless `resize` (height, width) says what they become. A share for the test
    keeps equal pictures together, unless `tear_copies`.
    """
    try:
        parts = split_folders(folder) or {"train": folder}
        _check_share(folder, parts, test_share)
        classes = _classes(folder, parts)
        listed, left_out = list_images(folder, list(parts.values()), classes)
    except OSError as error:
        raise DataError(f"{error.filename}: cannot be read ({error.strerror}).") from error
    files = [file for part in listed for file in part]
    decoded = decode(files, folder, resize=resize, progress=progress)
    whole = Split(images=decoded.images, labels=np.array([file.label for file in files], np.int64))
    ends = list(accumulate(map(len, listed), initial=0))
    places = {split: np.arange(ends[n], ends[n + 1]) for n, split in enumerate(parts)}
    notes = [*decoded.notes, *left_out_note(left_out)]
    if test_share is not None:
        train = whole.take(places["train"])
        equals = [] if tear_copies else groups_of_equals(fingerprints(train))
        in_test = held_out_indices(train.labels, test_share, classes=classes, equals=equals)
        places |= {"test": places["train"][in_test], "train": np.delete(places["train"], in_test)}
    names = [shown(file.path, folder) for file in files]
    return OwnData(
        name=folder.name,
        label=f"{folder.name} ({len(files):,} images)",
        source=str(folder),
        classes=tuple(shown(Path(name), Path()) for name in classes),
        trainval=whole.take(places["train"]),
        validation=whole.take(places["validation"]) if "validation" in places else None,
        test=whole.take(places["test"]),
        files={split: tuple(names[place] for place in chosen) for split, chosen in places.items()},
        notes=tuple(notes),
        white=decoded.white,
    )


def split_folders(folder: Path) -> dict[str, Path]:
    """The folders of `train`, `test` and `validation`, of those that there are; empty where classes lie side by side.

    A folder with such a name that holds no folder is a class. Raises DataError for names that do not go together.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder of images.")
    found: defaultdict[str, list[Path]] = defaultdict(list)
    for name in class_names(folder):
        if name.lower() in SPLITS and class_names(folder / name):
            found[SPLITS[name.lower()]].append(folder / name)
    for split, paths in found.items():
        if len(paths) > 1:
            raise DataError(f"{folder}: {' and '.join(path.name for path in paths)} both mean {split}; merge them.")
    if found and "train" not in found:
        raise DataError(f"{folder}: holds {found.popitem()[1][0].name} and no train folder; add or rename one.")
    return {split: found[split][0] for split in ("train", "test", "validation") if split in found}


def _check_share(folder: Path, parts: dict[str, Path], test_share: float | None) -> None:
    if "test" in parts and test_share is not None:
        raise DataError(f"{folder}: holds a test folder of its own; leave test_share out.")
    if "test" in parts or test_share is not None:
        return
    if (train := parts["train"]) == folder:
        raise DataError(f"{folder}: has no train and test folders; say with test_share = 0.2 how much is for the test.")
    renamed = f", rename {parts['validation'].name} to test" if "validation" in parts else ""
    raise DataError(
        f"{folder}: holds {train.name} and no test; add test{renamed}, or keep a part with test_share = 0.2."
    )


def _classes(folder: Path, parts: dict[str, Path]) -> list[str]:
    """The classes, which all parts have. Raises DataError."""
    found = {path: class_names(path) for path in parts.values()}
    classes = found[parts["train"]]
    for path, names in found.items():
        if len(names) < 2:
            inner = f" ({names[0]}); if the classes lie in there, name {path / names[0]}" if names else ""
            raise DataError(
                f"{path}: must hold a folder for each of at least two classes, but holds {len(names)}{inner}."
            )
        if names != classes:
            raise DataError(
                f"{folder}: {parts['train'].name} and {path.name} must hold the same classes, but "
                f"{sorted(set(classes) ^ set(names))[0]} is in one of them alone."
            )
        for name in names:
            if inside := [one for one in class_names(path / name) if one.lower() in SPLITS]:
                raise DataError(
                    f"{path / name}: holds {inside[0]}, but splits come before classes: "
                    f"{folder / inside[0] / name}; move it, or give it another name."
                )
    if len(classes) > MOST_CLASSES:
        raise DataError(f"{folder}: holds {len(classes):,} classes, and {MOST_CLASSES:,} are the most.")
    return classes
