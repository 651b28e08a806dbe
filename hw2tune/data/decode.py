"""Image files to pixels."""

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hw2tune.data.damage import damaged
from hw2tune.data.dataset import Pixels, Progress

if TYPE_CHECKING:
    from PIL.Image import Image

CHUNK = 500  # images between two reports of progress
FORMAT_OF = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
MODES = ("L", "RGB", "P")  # 8 bits a channel, so that converting loses nothing
# What Pillow raises for files that are cut short or scrambled.
BROKEN = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error)


def decode_images(paths: Sequence[str], shape: tuple[int, int, int], progress: Progress | None = None) -> Pixels:
    """The images at `paths`, each of `shape` (H, W, C), as (N, H, W, C); DataError names one that cannot be used.

    One thread: images this small are mostly Python's work, and two threads took 1.4 times as long (Pillow 13, 2 cores).
    """
    images = np.empty((len(paths), *shape), np.uint8)
    for n, path in enumerate(paths):
        images[n] = decode_image(Path(path), shape)
        if progress and ((n + 1) % CHUNK == 0 or n + 1 == len(paths)):
            progress("decoding images", n + 1, len(paths))
    return images


def decode_image(path: Path, shape: tuple[int, int, int]) -> Pixels:
    """The pixels of one image, (H, W, C)."""
    from PIL import Image

    height, width, channels = shape
    try:
        with Image.open(path) as image:
            _check_kind(path, image, width=width, height=height)
            pixels = np.asarray(image.convert("L" if channels == 1 else "RGB"))
    except BROKEN as error:
        raise damaged(path, expected="an image that can be decoded", found=f"'{error}'") from error
    return pixels.reshape(shape)


def _check_kind(path: Path, image: "Image", *, width: int, height: int) -> None:
    """Size, mode and format, all of which Pillow knows before it decodes."""
    if image.size != (width, height):
        found = f"{image.width}x{image.height}"
        raise damaged(path, expected=f"an image of {width}x{height} pixels", found=found)
    if image.mode not in MODES:
        raise damaged(path, expected=f"an image in one of the modes {', '.join(MODES)}", found=str(image.mode))
    # A JPEG that is called .png would slip out of the label that says so.
    if image.format != FORMAT_OF[path.suffix.lower()]:
        raise damaged(
            path, expected=f"a {FORMAT_OF[path.suffix.lower()]} file, as its name says", found=str(image.format)
        )
