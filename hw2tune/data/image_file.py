"""One image file as a camera, a scanner or a drawing program leaves it, as the pixels that a network takes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hw2tune.data.damage import damaged
from hw2tune.data.dataset import Pixels
from hw2tune.data.decode import BROKEN

if TYPE_CHECKING:
    from PIL.Image import Image

ORIENTATION = 0x0112  # the EXIF tag of a camera's rotation
GRAY = ("1", "L", "LA", "I", "I;16", "I;16B", "F")  # Pillow's modes with one channel of brightness


@dataclass(frozen=True)
class Header:
    """What Pillow knows of an image before it decodes it."""

    size: tuple[int, int]  # height, width, as it is looked at
    gray: bool
    what: tuple[str, ...]  # what has to be done to it, for the user


def read_header(path: Path) -> Header:
    """What is known of an image without its pixels. Raises DataError."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            what = []
            turned = image.getexif().get(ORIENTATION, 1)
            if turned != 1:
                what.append("turned as their camera noted (EXIF)")
            if image.mode in ("LA", "RGBA", "PA", "La", "RGBa") or "transparency" in image.info:
                what.append("with transparent parts, laid on white")
            if image.mode.startswith("I"):
                what.append("of 16 bits, scaled to 8")
            if image.mode == "F":
                what.append("of floating-point numbers, scaled to 8 bits")
            if image.mode == "CMYK":
                what.append("in CMYK, converted to RGB")
            if image.mode == "P":
                what.append("with a palette, resolved")
            if getattr(image, "n_frames", 1) > 1:
                what.append("of several frames, of which the first counts")
            width, height = image.size
            size = (width, height) if turned in (5, 6, 7, 8) else (height, width)
            return Header(size, image.mode in GRAY, tuple(what))
    except (*BROKEN, Image.DecompressionBombError) as error:
        raise damaged(path, expected="an image that can be decoded", found=f"'{error}'") from error


def read_pixels(path: Path, size: tuple[int, int], channels: int) -> Pixels:
    """The pixels (H, W, C) of an image, resized where it has another size (height, width). Raises DataError."""
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as opened:
            image = _plain(ImageOps.exif_transpose(opened)).convert("L" if channels == 1 else "RGB")
            if image.size != (size[1], size[0]):
                image = image.resize((size[1], size[0]), Image.Resampling.BILINEAR)
            return np.asarray(image, np.uint8).reshape(*size, channels)
    except (*BROKEN, Image.DecompressionBombError) as error:
        raise damaged(path, expected="an image that can be decoded", found=f"'{error}'") from error


def _plain(image: Image) -> Image:
    """Without transparency and with 8 bits a channel."""
    from PIL import Image as Pillow

    if image.mode == "F":  # TIFFs of numbers: of 0 to 1 where none is larger
        numbers = np.nan_to_num(np.asarray(image))
        scaled = np.rint(numbers * (255 if numbers.max(initial=0) <= 1 else 1))
        return Pillow.fromarray(np.clip(scaled, 0, 255).astype(np.uint8))
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.int64)
        return Pillow.fromarray((values // 257 if values.max(initial=0) > 255 else values).astype(np.uint8))
    if image.mode in ("LA", "RGBA", "PA", "La", "RGBa") or "transparency" in image.info:
        coloured = image.convert("RGBA")
        white = Pillow.new("RGBA", coloured.size, (255, 255, 255, 255))
        return Pillow.alpha_composite(white, coloured).convert("L" if image.mode in GRAY else "RGB")
    return image
