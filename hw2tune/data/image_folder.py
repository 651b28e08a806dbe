"""Folders of images, <class>/* in a folder or in each of its parts, and published data sets as such folders."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from pathlib import Path

import numpy as np

from hw2tune.data.catalog import DatasetInfo, damaged
from hw2tune.data.dataset import Progress, Split, Unsplit
from hw2tune.data.decoding import ImageFile, Wanted, decode, shown
from hw2tune.data.image_file import FORMAT_OF, Header, jpeg_quality
from hw2tune.errors import DataError

MODES = ("L", "RGB", "P")  # 8 bits a channel, so that converting loses nothing
LOSSY = ("JPEG", "WEBP", "AVIF")


@dataclass(frozen=True)
class ImageFolder:
    """The layout of torchvision's ImageFolder for a published data set."""

    info: DatasetInfo

    @property
    def place(self) -> str:
        return self.info.name

    @property
    def pattern(self) -> str:
        return f"{self.place}/{{train,test}}/<class>/*.png or *.jpg"

    def holds(self, folder: Path) -> bool:
        return any((folder / part).is_dir() for part in ("train", "test"))

    def check_quickly(self, folder: Path) -> None:
        """Raise DataError unless the folders are exactly those of the classes; opens no image."""
        expected = f"the class folders {', '.join(self.info.classes)}"
        for part in (folder / "train", folder / "test"):
            if not part.is_dir():
                raise DataError(
                    f"{part}: this folder is missing; an image folder of {self.info.title} needs train and test."
                )
            found = class_names(part)
            if unexpected := sorted(set(found) - set(self.info.classes)):
                raise damaged(part, expected=f"only {expected}", found=f"also {', '.join(unexpected)}")
            if missing := [name for name in self.info.classes if name not in found]:
                raise damaged(part, expected=expected, found=f"no {', '.join(missing)}")

    def read(self, folder: Path, progress: Progress | None = None) -> Unsplit:
        """Return the images in order of class and name. Raises DataError unless each has the data set's size."""
        self.check_quickly(folder)
        parts = {part: folder / part for part in ("train", "test")}
        wanted = Wanted(channels=self.info.image_shape[2], unfit=self._unfit)
        whole = read_parts(folder, parts, self.info.classes, wanted, progress)
        return replace(whole, label=self._label(folder, whole))

    def _unfit(self, path: Path, header: Header) -> str:
        height, width, _ = self.info.image_shape
        named = FORMAT_OF[path.suffix.lower()]
        if header.size != (height, width):
            return f"{header.size[1]}x{header.size[0]} pixels instead of {width}x{height}"
        if header.mode not in MODES:
            return f"mode {header.mode} instead of one of {', '.join(MODES)}"
        # A JPEG named .png would have no "JPEG" in the label.
        return "" if header.format == named else f"a {header.format} file, named as {named}"

    def _label(self, folder: Path, whole: Unsplit) -> str:
        """Return the title with the differences from the published pixels: a lossy format, missing images."""
        kinds = ["image folder"]
        for path in (folder / file for file in whole.trainval.files + whole.test.files):
            if (kind := FORMAT_OF[path.suffix.lower()]) in LOSSY:
                kinds = [jpeg_quality(path) if kind == "JPEG" else kind]
                break
        counts, published = (len(whole.trainval), len(whole.test)), (self.info.trainval_size, self.info.test_size)
        if counts != published:
            have, all_images = (f"{trainval:,} + {test:,}" for trainval, test in (counts, published))
            kinds.append(f"{have} of {all_images} images")
        return f"{self.info.title} ({', '.join(kinds)})"


def read_parts(
    folder: Path, parts: Mapping[str, Path], classes: Sequence[str], wanted: Wanted, progress: Progress | None = None
) -> Unsplit:
    """Return the images of `parts`, the folders by split; without a test folder the test is empty."""
    listed, left_out = list_images(folder, list(parts.values()), classes)
    files = [file for part in listed for file in part]
    decoded = decode(files, folder, wanted, progress)
    labels = np.array([file.label for file in files], np.int64)
    names = tuple(shown(file.path, folder) for file in files)
    ends = pairwise(accumulate(map(len, listed), initial=0))
    splits = {
        split: Split(images=decoded.images[start:end].copy(), labels=labels[start:end], files=names[start:end])
        for split, (start, end) in zip(parts, ends, strict=True)
    }
    return Unsplit(
        name=folder.name,
        label=f"{folder.name} ({len(files):,} images)",
        source=str(folder),
        classes=tuple(shown(Path(name), Path()) for name in classes),
        trainval=splits["train"],
        validation=splits.get("validation"),
        test=splits.get("test", splits["train"].take(np.arange(0))),
        notes=(*decoded.notes, *left_out_note(left_out)),
        white=decoded.white,
    )


def class_names(folder: Path) -> list[str]:
    """Return the class folders by name; hidden folders are not classes."""
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def list_images(
    folder: Path, parts: Sequence[Path], classes: Sequence[str]
) -> tuple[list[list[ImageFile]], list[Path]]:
    """Return the images of each of `parts` (`folder` itself or folders in it), and the paths left out.

    Images are below the folders of `classes`, at any depth, ordered by class and path. Raises DataError for a class
    without images.
    """
    left_out = [] if folder in parts else [path for path in folder.iterdir() if path not in parts]
    listed: list[list[ImageFile]] = []
    for part in parts:
        left_out += [path for path in part.iterdir() if path.name not in classes]
        listed.append([])
        for label, name in enumerate(classes):
            found = {entry.path: _is_image(entry) for entry in _below(part / name)}
            others = [Path(path) for path, is_image in found.items() if not is_image]
            if len(others) == len(found):
                note = "".join(f" ({text})" for text in left_out_note(others))
                raise DataError(f"{part / name}: no image of its class{note}; images are {', '.join(FORMAT_OF)}.")
            listed[-1] += [ImageFile(Path(path), label) for path, is_image in sorted(found.items()) if is_image]
            left_out += others
    return listed, left_out


def _below(folder: Path | str) -> Iterator[os.DirEntry[str]]:
    # Everything but plain folders; hidden folders and links to folders are not entered.
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
                yield from _below(entry.path)
            else:
                yield entry


def _is_image(entry: os.DirEntry[str]) -> bool:
    # By its name; a broken link counts, so that it is reported as an unreadable image.
    path = Path(entry.path)
    if path.name.startswith(".") or path.suffix.lower() not in FORMAT_OF:
        return False
    return entry.is_file(follow_symlinks=False) or (entry.is_symlink() and (path.is_file() or not path.exists()))


def left_out_note(paths: Sequence[Path]) -> list[str]:
    """Return a note like `5 left out: 3 .txt, 1 hidden, folder old`; empty without paths."""
    kinds = Counter(sorted(_kind(path) for path in paths))  # most_common keeps this order where counts are equal
    folders = [f"folder {shown(path, path.parent)}" for path in sorted(paths) if _kind(path) == "folder"]
    parts = [f"{count:,} {kind}" for kind, count in kinds.most_common() if kind != "folder"] + folders
    return [f"{len(paths):,} left out: {', '.join(parts)}"] if paths else []


def _kind(path: Path) -> str:
    if path.name.startswith("."):
        return "hidden"
    if path.is_dir():
        return "folder"
    suffix = Path(shown(path, path.parent)).suffix.lower()
    return f"{suffix} outside of the class folders" if suffix in FORMAT_OF else suffix or "without a suffix"
