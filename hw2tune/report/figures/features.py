"""Feature maps of the convolutional layers: the same images and one colour scale for all variants."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from hw2tune.records.replicates import Array
from hw2tune.report.figures.drawing import CannotDrawError, Drawing, Recipe, choose, class_name, distinct_variants
from hw2tune.report.figures.examples import gallery_of, show_image
from hw2tune.report.figures.style import SEQUENTIAL, SMALL, WIDTH, new_figure
from hw2tune.report.study_data import StudyData
from hw2tune.study.names import MODELS
from hw2tune.text.numbers import counted, listed

PREFIX = "features/"
UNSAFE = r"[^A-Za-z0-9._-]"  # in the name of a file
IMAGE_HEIGHT, LEAST_ROW, MOST_HEIGHT = 0.9, 0.95, 12.0  # inches; a row holds the variant's name, upright
TAIL = 0.5  # percent of the values at either end that share the colour of the end: one outlier would dim all else


def scale_of(maps: Mapping[str, Array]) -> tuple[float, float]:
    """The ends of one scale for maps (F, C, H, W) of all variants, but for TAIL at each end."""
    values = np.concatenate([m[np.isfinite(m)].ravel() for m in maps.values()])
    if not values.size:
        raise CannotDrawError("No feature map holds a finite value.")
    low, high = (float(v) for v in np.percentile(values, (TAIL, 100 - TAIL)))
    return low, high if high > low else low + 1.0


def mosaic_columns(channels: int) -> int:
    """How many maps stand in a row: nearly as many as rows, and few places left empty."""
    square = math.ceil(math.sqrt(channels))
    return min((square, square + 1), key=lambda columns: (-channels % columns, columns))


def mosaic(maps: Array) -> NDArray[np.float64]:
    """Maps (C, H, W) side by side, row by row, with lines of NaN between them."""
    channels, height, width = maps.shape
    columns = mosaic_columns(channels)
    gap = max(1, round(height / 12))
    picture = np.full((math.ceil(channels / columns) * (height + gap) - gap, columns * (width + gap) - gap), np.nan)
    for i, values in enumerate(maps):
        top, left = (i // columns) * (height + gap), (i % columns) * (width + gap)
        picture[top : top + height, left : left + width] = values
    return picture


def draw_features(data: StudyData, layer: str) -> Drawing:
    """A column an image, a row a variant; the images themselves on top."""
    gallery = gallery_of(data)
    variants, left_out = distinct_variants(data)
    shown = choose(data, variants, [PREFIX + layer])
    maps = {variant: shown.one(variant)[PREFIX + layer] for variant in shown.arrays}
    images = min(len(each) for each in (gallery.images, *maps.values()))
    if not images:
        raise CannotDrawError("The gallery of test images is empty.")
    maps = {variant: each[:images] for variant, each in maps.items()}
    low, high = scale_of(maps)
    _, channels, rows, columns = next(iter(maps.values())).shape
    mosaics = {variant: [mosaic(image) for image in each] for variant, each in maps.items()}
    height, width = next(iter(mosaics.values()))[0].shape
    row_height = max(LEAST_ROW, (WIDTH - 0.4) / images * height / width)  # inches
    figure = new_figure(height=min(MOST_HEIGHT, IMAGE_HEIGHT + 1.0 + (row_height + 0.08) * len(maps)))
    heights = [IMAGE_HEIGHT, *[row_height] * len(maps)]
    panels = figure.subplots(1 + len(maps), images, squeeze=False, height_ratios=heights)
    for axes, image, label in zip(panels[0], gallery.images, gallery.labels, strict=False):
        show_image(axes, image)
        axes.set_title(f"true {class_name(data, int(label))}", loc="center", fontweight="normal")
    for row, (variant, pictures) in zip(panels[1:], mosaics.items(), strict=True):
        for axes, values in zip(row, pictures, strict=True):
            picture = _show_maps(axes, values, low, high)
        row[0].set_ylabel(variant, fontweight="bold", fontsize=SMALL)
    bar = figure.colorbar(picture, ax=panels, location="bottom", shrink=0.7, aspect=40, extend="both", pad=0.02)
    known = data.overview.study.model in MODELS
    bar.set_label(f"output of {layer}{' before max-pooling and ReLU' if known else ''} (no unit)")
    return Drawing(
        figure=figure,
        caption=(
            f"What the {channels} channels of {layer} ({rows} x {columns} values each) make of the same "
            f"{counted(images, 'test image')}, the first in the gallery"
            f"{', before max-pooling and ReLU' if known else ''}, after the last epoch. One channel keeps its place in "
            f"every mosaic, and one colour scale holds for all of them; the {TAIL} % of the values beyond either end "
            f"have the colour of the end. {shown.sentence} {left_out}".strip()
        ),
        alt=(
            f"Mosaics of the {channels} feature maps of {layer} for {counted(images, 'test image')}, one row each for "
            f"{listed(list(maps))}, on one colour scale from {low:.2g} to {high:.2g}."
        ),
    )


def _show_maps(axes: Axes, values: NDArray[np.float64], low: float, high: float) -> AxesImage:
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    axes.grid(False)
    return axes.imshow(values, cmap=SEQUENTIAL, vmin=low, vmax=high)


def recipes(data: StudyData) -> list[Recipe]:
    """One figure a layer; one that says why where there are none."""
    arrays = (data.arrays(replicate.variant, replicate.seed) or {} for replicate in data.replicates)
    layers = ([name.removeprefix(PREFIX) for name in each if name.startswith(PREFIX)] for each in arrays)
    found = next((each for each in layers if each), [])
    names = {layer: f"features-{re.sub(UNSAFE, '-', layer)}" for layer in found}
    return [
        Recipe(name, "features", f"Feature maps of {layer}", partial(draw_features, layer=layer))
        for layer, name in names.items()
    ] or [Recipe("features", "features", "Feature maps", _none)]


def _none(data: StudyData) -> Drawing:
    if not data.replicates:
        raise CannotDrawError("No replicate was trained yet: feature maps are saved when replicates train.")
    raise CannotDrawError("No replicate has saved feature maps: its arrays are missing, damaged, or hold none.")
