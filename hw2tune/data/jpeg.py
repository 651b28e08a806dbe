"""How much a JPEG file threw away, read from its quantization table."""

from pathlib import Path

# Luminance table of JPEG (ITU-T T.81, table K.1), row by row; libjpeg's quality scales it.
# fmt: off
LUMINANCE = (
    16, 11, 10, 16, 24, 40, 51, 61,
    12, 12, 14, 19, 26, 58, 60, 55,
    14, 13, 16, 24, 40, 57, 69, 56,
    14, 17, 22, 29, 51, 87, 80, 62,
    18, 22, 37, 56, 68, 109, 103, 77,
    24, 35, 55, 64, 81, 104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101,
    72, 92, 95, 98, 112, 100, 103, 99,
)
# fmt: on


def jpeg_quality(path: Path) -> str:
    """Say "JPEG q75" where the luminance table is libjpeg's for quality 75, "JPEG" where it is of no quality."""
    from PIL import Image

    with Image.open(path, formats=("JPEG",)) as image:
        table = tuple(getattr(image, "quantization", {}).get(0, ()))
    quality = next((quality for quality in range(100, 0, -1) if table == _scaled(quality)), None)
    return "JPEG" if quality is None else f"JPEG q{quality}"


def _scaled(quality: int) -> tuple[int, ...]:
    """The table that libjpeg makes of a quality from 1 to 100 (jcparam.c: jpeg_quality_scaling)."""
    percent = 5_000 // quality if quality < 50 else 200 - 2 * quality
    return tuple(min(max((entry * percent + 50) // 100, 1), 255) for entry in LUMINANCE)
