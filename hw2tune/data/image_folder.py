"""A published data set as a folder of images: {train,test}/<class>/*, the layout of torchvision's ImageFolder."""

from pathlib import Path

import numpy as np

from hw2tune.data.catalog import DatasetInfo, damaged
from hw2tune.data.class_folders import ImageFile, class_names, left_out_note, list_images, shown
from hw2tune.data.dataset import Progress, Split, Unsplit
from hw2tune.data.decoding import decode
from hw2tune.data.image_file import FORMAT_OF, Header, jpeg_quality
from hw2tune.errors import DataError

MODES = ("L", "RGB", "P")  # 8 bits a channel, so that converting loses nothing
LOSSY = ("JPEG", "WEBP", "AVIF")


def holds(folder: Path) -> bool:
    """Whether there is a train or a test folder, so that the folder means to be a data set."""
    return any((folder / part).is_dir() for part in ("train", "test"))


def check_quickly(info: DatasetInfo, folder: Path) -> None:
    """Raise DataError unless there is a folder for each class and none besides; opens no image."""
    for part in ("train", "test"):
        _check_class_folders(info, folder / part)


def read(info: DatasetInfo, folder: Path, progress: Progress | None = None) -> Unsplit:
    """The images in order of class and name. Raises DataError unless each is of the data set's size."""
    check_quickly(info, folder)
    (trainval, test), left_out = list_images(folder, [folder / "train", folder / "test"], info.classes)
    files, height, width = trainval + test, *info.image_shape[:2]

    def unfit(path: Path, header: Header) -> str:
        named = FORMAT_OF[path.suffix.lower()]
        if header.size != (height, width):
            return f"{header.size[1]}x{header.size[0]} pixels instead of {width}x{height}"
        if header.mode not in MODES:
            return f"mode {header.mode} instead of one of {', '.join(MODES)}"
        # A JPEG that is called .png would slip out of the label that says so.
        return "" if header.format == named else f"a {header.format} file, named as {named}"

    decoded = decode(files, folder, channels=info.image_shape[2], unfit=unfit, progress=progress)
    whole = Split(images=decoded.images, labels=np.array([file.label for file in files], np.int64))
    return Unsplit(
        label=_label(info, trainval, test),
        source=str(folder),
        trainval=Split(images=whole.images[: len(trainval)], labels=whole.labels[: len(trainval)]),
        test=Split(images=whole.images[len(trainval) :], labels=whole.labels[len(trainval) :]),
        files=tuple(shown(file.path, folder) for file in files),
        notes=(*decoded.notes, *left_out_note(left_out)),
    )


def _check_class_folders(info: DatasetInfo, folder: Path) -> None:
    if not folder.is_dir():
        raise DataError(f"{folder}: this folder is missing; an image folder of {info.title} needs train and test.")
    found = class_names(folder)
    expected = f"the class folders {', '.join(info.classes)}"
    if unexpected := sorted(set(found) - set(info.classes)):
        raise damaged(folder, expected=f"only {expected}", found=f"also {', '.join(unexpected)}")
    if missing := [name for name in info.classes if name not in found]:
        raise damaged(folder, expected=expected, found=f"no {', '.join(missing)}")


def _label(info: DatasetInfo, trainval: list[ImageFile], test: list[ImageFile]) -> str:
    """Says what makes these pixels other than the published ones: losses of a format, images omitted."""
    lossy = [file.path for file in trainval + test if FORMAT_OF[file.path.suffix.lower()] in LOSSY]
    kinds = ["image folder"]
    if lossy:
        kind = FORMAT_OF[lossy[0].suffix.lower()]
        kinds = [jpeg_quality(lossy[0]) if kind == "JPEG" else kind]
    if (len(trainval), len(test)) != (info.trainval_size, info.test_size):
        kinds.append(f"{len(trainval):,} + {len(test):,} of {info.trainval_size:,} + {info.test_size:,} images")
    return f"{info.title} ({', '.join(kinds)})"
