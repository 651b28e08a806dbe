"""Pixels of image files, by one rule for a whole data set: decoded once, then read from the user's cache."""

import hashlib
import json
import os
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hw2tune.data.dataset import Pixels, Progress
from hw2tune.data.image_file import Header, largest_value, read_header, read_pixels, scale_note, white_of
from hw2tune.errors import DataError, ImageError
from hw2tune.paths import cache_dir

CHUNK = 500  # images between two reports of progress
SHOWN = 10  # files named in one message
# Errors from reading a cache file that is damaged or from an earlier version.
UNUSABLE = (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile)


@dataclass(frozen=True)
class ImageFile:
    """An image on disk, not yet opened."""

    path: Path
    label: int


@dataclass(frozen=True)
class Wanted:
    """Requirements of a data set on its images."""

    resize: Sequence[int] | None = None  # height, width; else all images must have one size
    channels: int | None = None  # else one if all images are gray, and three otherwise
    unfit: Callable[[Path, Header], str] = lambda path, header: ""  # the reason why an image is not allowed, or ""
    refuse_too_large: Callable[[int], None] = lambda size: None  # called with the bytes of all, before they are decoded


@dataclass(frozen=True)
class Decoded:
    """Pixels of a data set (N, H, W, C), notes on changes to the images, and `Dataset.white`."""

    images: Pixels
    notes: Sequence[str]
    white: Mapping[str, float]


def decode(files: Sequence[ImageFile], folder: Path, wanted: Wanted, progress: Progress | None = None) -> Decoded:
    """Return the images in the order of `files`. Raises DataError with every unusable file, or two of other sizes."""
    how = f"{folder.absolute()}{(wanted.resize, wanted.channels)}"  # one decoded copy per folder and options
    key = f"{folder.name}-{hashlib.sha256(os.fsencode(how)).hexdigest()[:16]}"
    try:
        # Changes if an image is added, removed, renamed, moved, resized or touched.
        stats = [(file, file.path.stat()) for file in files]
        lines = (f"{one.path}\0{one.label}\0{stat.st_size}\0{stat.st_mtime_ns}\n" for one, stat in stats)
        fingerprint = hashlib.sha256(os.fsencode("".join(lines))).hexdigest()[:32]
        if (cached := load_decoded(key, fingerprint)) is not None:
            return cached
        decoded = _decoded(files, folder, wanted, progress)
    except (ImageError, OSError):
        raise _unusable(files, folder, wanted, progress) from None
    digests = {str(file.path.relative_to(folder)): file_digest(file.path) for file in files}
    store_decoded(key, fingerprint, decoded, folder, digests)
    return decoded


def _decoded(files: Sequence[ImageFile], folder: Path, wanted: Wanted, progress: Progress | None) -> Decoded:
    paths = [file.path for file in files]
    headers = [_fitting(path, wanted) for path in paths]
    height, width = _common_size(paths, headers, wanted.resize)
    channels = wanted.channels or (1 if all(header.gray for header in headers) else 3)
    wanted.refuse_too_large(len(files) * height * width * channels)
    white = _white(paths, headers)
    images = np.empty((len(files), height, width, channels), np.uint8)
    for n, path in enumerate(paths):
        images[n] = read_pixels(path, (height, width), channels, white)
        if progress and ((n + 1) % CHUNK == 0 or n + 1 == len(paths)):
            progress("decoding images", n + 1, len(paths))
    done = [what for header in headers for what in header.what]
    done += [scale_note(header.deep, white[header.deep]) for header in headers if header.deep]
    counts = Counter(done)
    notes = [f"{_counted(count)} {what}" for what, count in sorted(counts.items())]
    if wanted.resize and (resized := sum(header.size != (height, width) for header in headers)):
        notes.append(f"{_counted(resized)} resized to {height} x {width} pixels")
    notes += _of_colours(paths, headers, folder, channels)
    notes += _of_blanks(files, headers, images, folder)
    return Decoded(images, notes, white)


def _fitting(path: Path, wanted: Wanted) -> Header:
    header = read_header(path)
    if reason := wanted.unfit(path, header):
        raise ImageError(reason)
    return header


def _white(paths: Sequence[Path], headers: Sequence[Header]) -> dict[str, float]:
    """Return the value that becomes 255, by kind, from the largest of all images: one scale keeps them comparable."""
    largest: dict[str, float] = {}
    for path, header in zip(paths, headers, strict=True):
        if header.deep:
            largest[header.deep] = max(largest.get(header.deep, 0.0), largest_value(path))
    return {kind: white_of(kind, value) for kind, value in largest.items()}


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


def _unusable(files: Sequence[ImageFile], folder: Path, wanted: Wanted, progress: Progress | None) -> DataError:
    reasons: dict[str, str] = {}
    for n, file in enumerate(files):
        try:
            header = _fitting(file.path, wanted)
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


def shown(path: Path, folder: Path) -> str:
    """Return the path below `folder` as text; bytes that are not UTF-8 are escaped, for records in UTF-8."""
    return os.fsencode(path.relative_to(folder)).decode(errors="backslashreplace")


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file; empty if it cannot be read."""
    with suppress(OSError), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
    return ""


def _cache_file(key: str) -> Path:
    return cache_dir() / "decoded" / f"{key}.npz"


def cached_files() -> list[Path]:
    """Return all files of the cache, also unfinished ones left by a kill. A removed file is decoded again if needed."""
    return sorted(path for path in _cache_file("").parent.glob("*") if path.suffix in (".npz", ".part"))


def load_decoded(key: str, fingerprint: str) -> Decoded | None:
    """Return the decoded images in the cache, or None if they are missing, damaged or outdated."""
    with suppress(*UNUSABLE), _cache_file(key).open("rb") as file, np.load(file) as stored:  # its zip checks a CRC
        if stored["fingerprint"].item() == fingerprint:
            return Decoded(stored["images"], **json.loads(stored["facts"].item()))
    return None


def decoded_folders() -> Iterator[tuple[Path, Path, dict[str, str]]]:
    """Yield each file of the cache with its folder of images, and the SHA-256 of each image by its path in there."""
    for path in cached_files():
        with suppress(*UNUSABLE), path.open("rb") as file, np.load(file) as stored:
            sources = json.loads(stored["sources"].item())
            yield path, Path(sources["folder"]), sources["digests"]


def store_decoded(key: str, fingerprint: str, decoded: Decoded, folder: Path, digests: Mapping[str, str]) -> None:
    """Store `decoded` atomically in place of an older copy; a cache that cannot be written only costs time."""
    file = _cache_file(key)
    facts = json.dumps({"notes": decoded.notes, "white": decoded.white})
    sources = json.dumps({"folder": str(folder.absolute()), "digests": digests})
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(".part", dir=file.parent)
        try:
            with os.fdopen(handle, "wb") as part:
                np.savez(part, images=decoded.images, fingerprint=fingerprint, facts=facts, sources=sources)
            Path(name).replace(file)
        finally:
            Path(name).unlink(missing_ok=True)
