"""Pixels of image files, by one rule for a whole data set: decoded once, then read from the user's cache."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hw2tune.data import decoded_cache
from hw2tune.data.class_folders import ImageFile, shown
from hw2tune.data.dataset import Pixels, Progress
from hw2tune.data.image_file import Header, largest_value, read_header, read_pixels, scale_note, white_of
from hw2tune.errors import DataError, ImageError

CHUNK = 500  # images between two reports of progress
SHOWN = 10  # files named in one message

Unfit = Callable[[Path, Header], str]  # the reason why an image cannot be in this data set, or an empty string


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """Pixels of a data set (N, H, W, C), notes on changes to the images, and `Dataset.white`."""

    images: Pixels
    notes: tuple[str, ...]
    white: dict[str, float]


def decode(
    files: Sequence[ImageFile],
    folder: Path,
    *,
    resize: Sequence[int] | None = None,
    channels: int | None = None,
    unfit: Unfit = lambda path, header: "",
    progress: Progress | None = None,
) -> Decoded:
    """Return the images in the order of `files`, by default with one channel if all are gray, else three.

    Raises DataError with every unusable file, or with two files of different sizes unless `resize` is given.
    """
    try:
        key, fingerprint = _key(folder, resize, channels), _fingerprint(files)
        if (cached := decoded_cache.load(key, fingerprint)) is not None:
            images, facts = cached
            return Decoded(images=images, notes=tuple(facts["notes"]), white=facts["white"])
        decoded = _decoded(files, folder, resize, channels, unfit, progress)
    except (ImageError, OSError):
        raise _unusable(files, folder, unfit, progress) from None
    digests = {str(file.path.relative_to(folder)): decoded_cache.file_digest(file.path) for file in files}
    sources = decoded_cache.Sources(folder=str(folder.absolute()), digests=digests)
    facts = {"notes": decoded.notes, "white": decoded.white}
    decoded_cache.store(key, fingerprint, decoded.images, facts, sources)
    return decoded


def _decoded(
    files: Sequence[ImageFile], folder: Path, resize: Sequence[int] | None, channels: int | None, unfit: Unfit,
    progress: Progress | None,
) -> Decoded:  # fmt: skip
    paths = [file.path for file in files]
    headers = [_fitting(path, unfit) for path in paths]
    height, width = _common_size(paths, headers, resize)
    white = _white(paths, headers)
    channels = channels or (1 if all(header.gray for header in headers) else 3)
    images = np.empty((len(files), height, width, channels), np.uint8)
    for n, path in enumerate(paths):
        images[n] = read_pixels(path, (height, width), channels, white)
        if progress and ((n + 1) % CHUNK == 0 or n + 1 == len(paths)):
            progress("decoding images", n + 1, len(paths))
    counts = Counter(what for header in headers for what in _done_to(header, white))
    notes = [f"{_counted(count)} {what}" for what, count in sorted(counts.items())]
    if resize and (resized := sum(header.size != (height, width) for header in headers)):
        notes.append(f"{_counted(resized)} resized to {height} x {width} pixels")
    notes += _of_colours(paths, headers, folder, channels)
    notes += _of_blanks(files, headers, images, folder)
    return Decoded(images=images, notes=tuple(notes), white=white)


def _fitting(path: Path, unfit: Unfit) -> Header:
    header = read_header(path)
    if reason := unfit(path, header):
        raise ImageError(reason)
    return header


def _white(paths: Sequence[Path], headers: Sequence[Header]) -> dict[str, float]:
    """Return the value that becomes 255, by kind, from the largest of all images: one scale keeps them comparable."""
    largest: dict[str, float] = {}
    for path, header in zip(paths, headers, strict=True):
        if header.deep:
            largest[header.deep] = max(largest.get(header.deep, 0.0), largest_value(path))
    return {kind: white_of(kind, value) for kind, value in largest.items()}


def _done_to(header: Header, white: dict[str, float]) -> tuple[str, ...]:
    return (*header.what, scale_note(header.deep, white[header.deep])) if header.deep else header.what


def _common_size(paths: Sequence[Path], headers: Sequence[Header], resize: Sequence[int] | None) -> tuple[int, int]:
    if resize is not None:
        return resize[0], resize[1]
    first = headers[0].size
    other = next((n for n, header in enumerate(headers) if header.size != first), None)
    if other is not None:
        one, two = (f"{height} x {width}" for height, width in (first, headers[other].size))
        raise DataError(
            f"{paths[other]}: is {two} pixels (height x width), and {paths[0]} is {one}; images of one study must have "
            f"one size: write resize = [{first[0]}, {first[1]}] into the study file."
        )
    return first


def _of_colours(paths: Sequence[Path], headers: Sequence[Header], folder: Path, channels: int) -> list[str]:
    """Return a note if gray images get three channels because others have colours."""
    coloured = [path for path, header in zip(paths, headers, strict=True) if not header.gray]
    if channels == 1 or len(coloured) == len(paths):
        return []
    return [
        f"{_counted(len(paths) - len(coloured))} in gray get three channels, as {len(coloured):,} have colours "
        f"(such as {shown(coloured[0], folder)})"
    ]


def _of_blanks(files: Sequence[ImageFile], headers: Sequence[Header], images: Pixels, folder: Path) -> list[str]:
    """Return a note on drawings hidden by white ground. Raises DataError if a class has no other images."""
    blank = [n for n, header in enumerate(headers) if header.transparent and images[n].min() == 255]
    if not blank:
        return []
    example = shown(files[blank[0]].path, folder)
    lost = {files[n].label for n in blank} - {file.label for n, file in enumerate(files) if n not in set(blank)}
    text = f"all white once laid on white (such as {example}): drawn in white on a transparent ground"
    if lost:
        raise DataError(f"{folder}: every image of {len(lost)} of the classes is {text}; give them a dark ground.")
    return [f"{_counted(len(blank))} {text}"]


def _counted(count: int) -> str:
    return f"{count:,} {'image' if count == 1 else 'images'}"


def _unusable(files: Sequence[ImageFile], folder: Path, unfit: Unfit, progress: Progress | None) -> DataError:
    """Return the error with every unusable file, found by reading all files to the last pixel."""
    reasons: dict[str, str] = {}
    for n, file in enumerate(files):
        try:
            header = _fitting(file.path, unfit)
            if header.deep:
                largest_value(file.path)
            read_pixels(file.path, header.size, 1, {})
        except ImageError as error:
            reasons[shown(file.path, folder)] = str(error)
        if progress and (n + 1) % CHUNK == 0:
            progress("looking for all damaged images", n + 1, len(files))
    named = "; ".join(f"{file}: {reason}" for file, reason in list(reasons.items())[:SHOWN])
    more = f"; and {len(reasons) - SHOWN:,} more" if len(reasons) > SHOWN else ""
    return DataError(
        f"{folder}: {_counted(len(reasons))} cannot be used ({named}{more}). Replace or remove them; none is left out."
    )


def _key(folder: Path, *how: object) -> str:
    """Return the name of a folder's decoded copy, one per folder and decoding options."""
    return f"{folder.name}-{hashlib.sha256(os.fsencode(f'{folder.absolute()}{how}')).hexdigest()[:16]}"


def _fingerprint(files: Sequence[ImageFile]) -> str:
    """Return a digest that changes if an image is added, removed, renamed, moved, resized or touched."""
    digest = hashlib.sha256()
    for file in files:
        stat = file.path.stat()
        digest.update(os.fsencode(f"{file.path}\0{file.label}\0{stat.st_size}\0{stat.st_mtime_ns}\n"))
    return digest.hexdigest()[:32]
