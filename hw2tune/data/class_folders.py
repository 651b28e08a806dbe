"""Class folders: every file below them is an image of its class, or left out with a note."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hw2tune.data.image_file import FORMAT_OF
from hw2tune.errors import DataError


@dataclass(frozen=True)
class ImageFile:
    """An image on disk, not yet opened."""

    path: Path
    label: int


def class_names(folder: Path) -> list[str]:
    """Return the class folders by name; hidden folders are not classes."""
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def shown(path: Path, folder: Path) -> str:
    """Return the path below `folder` as text; bytes that are not UTF-8 are escaped, for records in UTF-8."""
    return os.fsencode(path.relative_to(folder)).decode(errors="backslashreplace")


def list_images(
    folder: Path, parts: Sequence[Path], classes: Sequence[str]
) -> tuple[list[list[ImageFile]], list[Path]]:
    """Return the images of each of `parts` (`folder` itself or folders in it), and the paths left out.

    Images are below the folders of `classes`, at any depth, ordered by class and path. Raises DataError for a class
    without images.
    """
    left_out = [] if folder in parts else [path for path in folder.iterdir() if path not in parts]
    return [_list_part(part, classes, left_out) for part in parts], left_out


def _list_part(folder: Path, classes: Sequence[str], left_out: list[Path]) -> list[ImageFile]:
    """Return the images of one part, and add all other paths to `left_out`."""
    left_out += [path for path in folder.iterdir() if path.name not in classes]
    images: list[ImageFile] = []
    for label, name in enumerate(classes):
        found = {entry.path: _is_image(entry) for entry in _below(folder / name)}
        others = [Path(path) for path, is_image in found.items() if not is_image]
        if len(others) == len(found):
            note = "".join(f" ({text})" for text in left_out_note(others))
            raise DataError(f"{folder / name}: no image of its class{note}; images are {', '.join(FORMAT_OF)}.")
        images += [ImageFile(Path(path), label) for path, is_image in sorted(found.items()) if is_image]
        left_out += others
    return images


def _below(folder: Path | str) -> Iterator[os.DirEntry[str]]:
    """Yield everything below a folder except plain folders; hidden folders and links to folders are not entered."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
                yield from _below(entry.path)
            else:
                yield entry


def _is_image(entry: os.DirEntry[str]) -> bool:
    """Return whether the name says so; a broken link counts, so that it is reported as an unreadable image."""
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
