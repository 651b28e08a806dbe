"""Feature maps of the convolutional layers: the same images and one colour scale for all variants."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from hw2tune.records.replicates import Array
from hw2tune.report.figures.chosen import choose, distinct_variants
from hw2tune.report.figures.drawing import CannotDrawError, Drawing, Recipe
from hw2tune.report.figures.examples import show_image
from hw2tune.report.figures.labels import class_names, short
from hw2tune.report.figures.style import SEQUENTIAL, SMALL, WIDTH, new_figure
from hw2tune.report.study_data import StudyData
from hw2tune.study.names import MODELS
from hw2tune.text.numbers import counted, listed

PREFIX = "features/"
UNSAFE = r"[^A-Za-z0-9._-]"  # in the name of a file
IMAGE_HEIGHT, LEAST_ROW, MOST_HEIGHT = 0.9, 0.95, 12.0  # inches; a row holds the variant's name, upright
TAIL = 0.5  # percent of the values at either end that share the colour of the end: one outlier would dim all else


@dataclass(frozen=True, kw_only=True)
class FeatureTable:
    """Mosaics (rows, columns) of one layer by variant, one an image, NaN between the maps; the ends of the scale."""

    mosaics: dict[str, list[NDArray[np.float64]]]
    channels: int
    map_shape: tuple[int, int]
    low: float
    high: float


def convolutions(data: StudyData) -> list[str]:
    """The layers that have feature maps in some replicate."""
    for replicate in data.replicates:
        layers = [
            n.removeprefix(PREFIX) for n in data.arrays(replicate.variant, replicate.seed) or {} if n.startswith(PREFIX)
        ]
        if layers:
            return layers
    return []


def feature_table(maps: Mapping[str, Array]) -> FeatureTable:
    """From maps (F, C, H, W) by variant. The scale spans all variants and images, but for TAIL at each end."""
    values = np.concatenate([m[np.isfinite(m)].ravel() for m in maps.values()])
    if not values.size:
        raise CannotDrawError("No feature map holds a finite value.")
    low, high = (float(v) for v in np.percentile(values, (TAIL, 100 - TAIL)))
    _, channels, height, width = next(iter(maps.values())).shape
    return FeatureTable(
        mosaics={variant: [mosaic(image) for image in m] for variant, m in maps.items()},
        channels=channels,
        map_shape=(height, width),
        low=low,
        high=high if high > low else low + 1.0,
    )


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
    if data.gallery is None:
        raise CannotDrawError("The gallery of test images is missing or damaged.")
    variants, left_out = distinct_variants(data)
    shown = choose(data, variants, [PREFIX + layer])
    maps = {variant: shown.one(variant)[PREFIX + layer] for variant in shown.variants}
    at_hand = min(len(images) for images in (data.gallery.images, *maps.values()))
    if not at_hand:
        raise CannotDrawError("The gallery of test images is empty.")
    maps = {variant: images[:at_hand] for variant, images in maps.items()}
    table = feature_table(maps)
    images = len(next(iter(table.mosaics.values())))
    shape = next(iter(table.mosaics.values()))[0].shape
    row_height = max(LEAST_ROW, (WIDTH - 0.4) / images * shape[0] / shape[1])  # inches
    figure = new_figure(height=min(MOST_HEIGHT, IMAGE_HEIGHT + 1.0 + (row_height + 0.08) * len(maps)))
    heights = [IMAGE_HEIGHT, *[row_height] * len(maps)]
    panels = figure.subplots(1 + len(maps), images, squeeze=False, height_ratios=heights)
    for column in range(images):
        show_image(panels[0, column], data.gallery.images[column])
        label = int(data.gallery.labels[column])
        panels[0, column].set_title(f"true {_class(data, label)}", loc="center", fontweight="normal")
    picture: AxesImage | None = None
    for row, (variant, mosaics) in enumerate(table.mosaics.items(), start=1):
        for axes, values in zip(panels[row], mosaics, strict=True):
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
            axes.grid(False)
            picture = axes.imshow(values, cmap=SEQUENTIAL, vmin=table.low, vmax=table.high)
        panels[row, 0].set_ylabel(variant, fontweight="bold", fontsize=SMALL)
    assert picture is not None  # `choose` gave at least one variant
    bar = figure.colorbar(picture, ax=panels, location="bottom", shrink=0.7, aspect=40, extend="both", pad=0.02)
    bar.set_label(f"output of {layer}{_before(data)} (no unit)")
    caption = _caption(data, layer, table, images, f"{shown.sentence} {left_out}".strip())
    return Drawing(figure=figure, caption=caption, alt=_alt(layer, table, images))


def _class(data: StudyData, label: int) -> str:
    names = class_names(data)
    return short(names[label]) if label < len(names) else str(label)


def _caption(data: StudyData, layer: str, table: FeatureTable, images: int, seed: str) -> str:
    height, width = table.map_shape
    return (
        f"What the {table.channels} channels of {layer} ({height} x {width} values each) make of the same "
        f"{counted(images, 'test image')}, the first in the gallery{_before(data, ',')}, after the last "
        f"epoch. One channel keeps its place in every mosaic, and one colour scale holds for all of them; the {TAIL} % "
        f"of the values beyond either end have the colour of the end. {seed}"
    )


def _before(data: StudyData, comma: str = "") -> str:
    """What follows a convolution in the networks that are known."""
    return f"{comma} before max-pooling and ReLU" if data.overview.study.model in MODELS else ""


def _alt(layer: str, table: FeatureTable, images: int) -> str:
    return (
        f"Mosaics of the {table.channels} feature maps of {layer} for {counted(images, 'test image')}, one row each "
        f"for {listed(list(table.mosaics))}, on one colour scale from {table.low:.2g} to {table.high:.2g}."
    )


def recipes(data: StudyData) -> list[Recipe]:
    """One figure a layer; one that says why where there are none."""

    def recipe(layer: str) -> Recipe:
        return Recipe(
            name=f"features-{re.sub(UNSAFE, '-', layer)}",
            section="features",
            title=f"Feature maps of {layer}",
            draw=lambda s: draw_features(s, layer),
        )

    return [recipe(layer) for layer in convolutions(data)] or [
        Recipe(name="features", section="features", title="Feature maps", draw=_none)
    ]


def _none(data: StudyData) -> Drawing:
    if not data.replicates:
        raise CannotDrawError("No replicate was trained yet: feature maps are saved when replicates train.")
    raise CannotDrawError("No replicate has saved feature maps: its arrays are missing, damaged, or hold none.")
