"""Pixels of one image file from a camera, a scanner or a drawing program."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hw2tune.data.dataset import Pixels
from hw2tune.errors import ImageError
from hw2tune.text.plain import first_line

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

# For folders, predict and exported scripts. Pillow opens more formats, and runs Ghostscript for some of them.
FORMAT_OF = {
    ".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".jpe": "JPEG", ".jfif": "JPEG", ".gif": "GIF", ".webp": "WEBP",
    ".bmp": "BMP", ".dib": "BMP", ".tif": "TIFF", ".tiff": "TIFF", ".avif": "AVIF",
    ".pbm": "PPM", ".pgm": "PPM", ".ppm": "PPM", ".pnm": "PPM",
}  # fmt: skip
FORMATS = tuple(dict.fromkeys(FORMAT_OF.values()))
# Pillow's errors for truncated or scrambled files.
BROKEN = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error)
ORIENTATION = 0x0112  # the EXIF tag of a camera's rotation
GRAY = ("1", "L", "LA", "I", "I;16", "I;16B", "F")  # Pillow's modes with one channel of brightness
TRANSPARENT = ("LA", "RGBA", "PA", "La", "RGBa")
INTEGERS, FLOATS = "integers", "floats"  # pixels of more than 8 bits
WHITE = {INTEGERS: 65_535.0, FLOATS: 1.0}  # for files of a data set without such files
DEPTHS = (8, 10, 12, 14, 16)  # bits of sensors


@dataclass(frozen=True)
class Header:
    """Facts of an image that Pillow knows before it decodes the pixels."""

    size: tuple[int, int]  # height, width, after rotation
    mode: str  # Pillow's name
    format: str  # of FORMATS, from the content, not the name
    transparent: bool
    what: tuple[str, ...]  # necessary changes, for the user

    @property
    def gray(self) -> bool:
        return self.mode in GRAY

    @property
    def deep(self) -> str:
        return INTEGERS if self.mode.startswith("I") else FLOATS if self.mode == "F" else ""


@contextmanager
def _opened(path: Path) -> Iterator[ImageFile]:
    """Open an image of one of FORMATS. Raises ImageError, also for errors in its pixels."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path, formats=FORMATS) as image:
            yield image
    except UnidentifiedImageError as error:
        raise ImageError(f"not an image of {', '.join(FORMATS)}") from error
    except FileNotFoundError as error:
        there = f"a link to {path.readlink()}, which does not exist" if path.is_symlink() else "no such file"
        raise ImageError(there) from error
    except (*BROKEN, Image.DecompressionBombError) as error:
        raise ImageError(first_line(getattr(error, "strerror", "") or error, type(error).__name__)) from error


def read_header(path: Path) -> Header:
    """Return size, mode and format of an image, and the necessary changes. Raises ImageError."""
    with _opened(path) as image:
        # Pillow cuts 16 bits to 8 where it has no mode for them: colours and transparency. Asked first, as it may read
        # the pixels for EXIF data, and then forgets how they lay.
        cut = not image.mode.startswith("I") and any(re.search(";16[BLN]", str(tile[3])) for tile in image.tile)
        turned = image.getexif().get(ORIENTATION, 1)
        transparent = image.mode in TRANSPARENT or "transparency" in image.info
        width, height = image.size
        facts = {
            "turned as their camera noted (EXIF)": turned != 1,
            "with transparent parts, laid on white": transparent,
            "in CMYK, converted to RGB": image.mode == "CMYK",
            "with a palette, resolved": image.mode == "P",
            "of several frames, of which the first counts": getattr(image, "n_frames", 1) > 1,
            "of 16 bits a channel, of which the upper 8 count": cut,
        }
        return Header(
            size=(width, height) if turned in (5, 6, 7, 8) else (height, width),
            mode=image.mode,
            format=image.format or "",
            transparent=transparent,
            what=tuple(text for text, holds in facts.items() if holds),
        )


def largest_value(path: Path) -> float:
    """Return the largest pixel of an image of more than 8 bits. Raises ImageError for values beyond 16 bits."""
    with _opened(path) as image:
        values = np.asarray(image)
    low, high = float(values.min()), float(values.max())
    if not (low >= 0 and high < 2 ** DEPTHS[-1]):  # also false for NaN
        raise ImageError(f"values from {low:,g} to {high:,g}; convert it to 0 to {2 ** DEPTHS[-1] - 1:,}")
    return high


def white_of(kind: str, largest: float) -> float:
    """Return the value that becomes 255 if `largest` is the largest pixel of a data set: one scale for all images."""
    if kind == FLOATS and largest <= 1:
        return 1.0
    return next(2.0**bits - 1 for bits in DEPTHS if largest < 2**bits)


def scale_note(kind: str, white: float) -> str:
    """Return the note on scaling, for the user."""
    bits = int(white).bit_length()
    if kind == FLOATS:
        return f"of floating-point numbers, scaled to 8 bits{'' if white == 1 else f' ({white:,.0f} is white)'}"
    return f"of {bits} bits, scaled to 8" if bits > 8 else "of 16 bits, of which 8 are used"


def read_pixels(path: Path, size: tuple[int, int], channels: int, white: Mapping[str, float]) -> Pixels:
    """Return the pixels (H, W, C) of an image, resized to `size` (height, width) if necessary. Raises ImageError.

    `white` is the data set's value for INTEGERS and FLOATS that becomes 255; larger values become 255 too.
    """
    from PIL import Image, ImageOps

    with _opened(path) as opened:
        image = _plain(ImageOps.exif_transpose(opened), {**WHITE, **white}).convert("L" if channels == 1 else "RGB")
        if image.size != (size[1], size[0]):
            image = image.resize((size[1], size[0]), Image.Resampling.BILINEAR)
        return np.asarray(image, np.uint8).reshape(*size, channels)


def _plain(image: Image, white: Mapping[str, float]) -> Image:
    from PIL import Image as Pillow

    if image.mode == "F":
        scaled = np.rint(np.asarray(image) * np.float32(255 / white[FLOATS]))
        return Pillow.fromarray(scaled.clip(0, 255).astype(np.uint8))
    if image.mode.startswith("I"):
        levels = np.asarray(image).astype(np.int64) * 255 // int(white[INTEGERS])
        return Pillow.fromarray(levels.clip(0, 255).astype(np.uint8))
    if image.mode in TRANSPARENT or "transparency" in image.info:
        coloured = image.convert("RGBA")
        ground = Pillow.new("RGBA", coloured.size, (255, 255, 255, 255))
        return Pillow.alpha_composite(ground, coloured).convert("L" if image.mode in GRAY else "RGB")
    return image


def jpeg_quality(path: Path) -> str:
    """Return "JPEG q75" if the luminance table is libjpeg's for quality 75, "JPEG" if it is of no quality."""
    from PIL import Image

    def table(file: Path | BytesIO) -> list[int]:
        with Image.open(file, formats=("JPEG",)) as image:
            return list(getattr(image, "quantization", {}).get(0, ()))

    of_file = table(path)
    for quality in range(100, 0, -1):
        Image.new("L", (8, 8)).save(saved := BytesIO(), "JPEG", quality=quality)
        if table(saved) == of_file:
            return f"JPEG q{quality}"
    return "JPEG"
