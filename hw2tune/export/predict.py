"""`hw2tune predict`: image files as people have them, classified by a network of a study."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hw2tune.data.dataset import Pixels
from hw2tune.data.image_file import WHITE, largest_value, read_header, read_pixels, scale_note
from hw2tune.errors import DataError, ImageError, PathError
from hw2tune.export.trained import TrainedModel, find_model
from hw2tune.paths import expand
from hw2tune.user_code.importer import callers_modules_kept

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """One image file. `probabilities` are by class, the largest first; `notes` say what was done to the image.

    Where the file could not be used, `error` says why, and the rest is empty.
    """

    file: str
    probabilities: dict[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    error: str = ""

    @property
    def label(self) -> str:
        """The predicted class."""
        return next(iter(self.probabilities), "")

    @property
    def confidence(self) -> float:
        """Its probability."""
        return next(iter(self.probabilities.values()), float("nan"))


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """Predictions for image files, in their order."""

    model: TrainedModel
    images: list[Prediction]


@callers_modules_kept()
def predict(
    name: str,
    images: str | Path | Sequence[str | Path],
    *,
    variant: str | None = None,
    seed: int | None = None,
    trial: int | None = None,
    arm: str | None = None,
    results_dir: str | Path = "ray_results",
    data_dir: Path | None = None,
) -> Predictions:
    """Classify image files by a network of study `name`, chosen as `export_model` chooses it.

    Files are turned as their camera noted, laid on white where they are transparent, converted to the study's channels
    and resized to its size. One that cannot be used has an `error`, and the others are predicted. Raises Hw2tuneError.
    """
    model = find_model(results_dir, name, variant=variant, seed=seed, trial=trial, arm=arm, data_dir=data_dir)
    channels = model.images.image_shape[2]
    if channels not in (1, 3):
        raise DataError(f"{name}: its images have {channels} channels, and those of an image file are 1 or 3")
    if not model.takes_files:
        black, white = model.images.black_and_white
        raise DataError(
            f"{name}: its images lie between {black:g} and {white:g}, and no image file has values below 0; train on "
            "images from 0 to 1, or export the network and give it such arrays"
        )
    files = [images] if isinstance(images, str | Path) else list(images)
    read = [_read(model, file) for file in files]
    usable = [one[0] for one in read if not isinstance(one, Prediction)]
    rows: Iterator[Tensor] = iter(())
    if usable:
        from hw2tune.export.formats import evaluated

        rows = iter(evaluated(model, model.pixels_of(np.stack(usable))))
    found = [
        one if isinstance(one, Prediction) else _prediction(model, file, next(rows), one[1])
        for file, one in zip(files, read, strict=True)
    ]
    return Predictions(model=model, images=found)


def _read(model: TrainedModel, file: str | Path) -> tuple[Pixels, tuple[str, ...]] | Prediction:
    """Return pixels (H, W, C) with notes on the changes to them, or a prediction with the error."""
    height, width, channels = model.images.image_shape
    white = {**WHITE, **(model.images.white or {})}
    try:
        path = expand(file, "image")
        if path.is_dir() or not path.exists():
            error = "is a folder; name the images in it" if path.is_dir() else "no such file"
            return Prediction(file=str(file), error=error)
        header = read_header(path)
        pixels = read_pixels(path, (height, width), channels, white)
        clipped = bool(header.deep) and largest_value(path) > white[header.deep]
    except (ImageError, PathError, OSError) as error:
        return Prediction(file=str(file), error=f"cannot be read as an image ({error})")
    notes = [*header.what]
    if header.deep:
        above = "; brighter pixels became white" if clipped else ""
        notes.append(scale_note(header.deep, white[header.deep]) + above)
    if header.transparent and pixels.min() == 255:
        notes.append("all white on that ground")
    if header.size != (height, width):
        notes.append(f"resized from {header.size[1]} x {header.size[0]} to {width} x {height}")
    if header.gray != (channels == 1):
        notes.append("converted to gray" if channels == 1 else "gray, in three channels")
    return pixels, tuple(notes)


def _prediction(model: TrainedModel, file: str | Path, row: Tensor, notes: tuple[str, ...]) -> Prediction:
    order = row.argsort(descending=True, stable=True).tolist()
    return Prediction(
        file=str(file), probabilities={model.images.classes[k]: float(row[k]) for k in order}, notes=notes
    )
