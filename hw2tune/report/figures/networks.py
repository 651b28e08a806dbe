"""Inside the networks: weights and biases layer by layer, and feature maps of the convolutional layers."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from hw2tune.paths import safe_name
from hw2tune.records.arrays import Array
from hw2tune.report.configurations import params_of, same_configuration, same_sentence
from hw2tune.report.figures.drawing import CannotDrawError, Drawing, Recipe, choose, class_name, distinct_variants
from hw2tune.report.figures.examples import gallery_of, show_image
from hw2tune.report.figures.style import SEQUENTIAL, SMALL, WIDTH, Dashes, Look, legend, looks_of, new_figure
from hw2tune.report.study_data import StudyData
from hw2tune.study.names import MODELS
from hw2tune.study.schema import is_tuning
from hw2tune.text.numbers import counted, listed

WEIGHTS = "weights/"
FEWEST_BINS, MOST_BINS = 8, 50
MOST_LAYERS = 6  # in a figure, with two panels each: the first, the last, and some between
DASHES: tuple[Dashes, ...] = ("-", (0, (3, 1.2)))  # of the first variant, of the second
FEATURES = "features/"
UNSAFE = r"[^A-Za-z0-9._-]"  # in the name of a file
IMAGE_HEIGHT, LEAST_ROW, MOST_HEIGHT = 0.9, 0.95, 12.0  # inches; a row holds the variant's name, upright
TAIL = 0.5  # percent of the values at either end that share the colour of the end: one outlier would dim all else


class ParameterHistogram(NamedTuple):
    """One tensor of the network in each variant. `edges` (B + 1,); `shares` (B,) fractions of its values."""

    layer: str
    kind: str  # weight or bias
    sizes: dict[str, int]  # unlike ones where the variants' networks differ
    edges: NDArray[np.float64]
    shares: dict[str, NDArray[np.float64]]
    norms: dict[str, float]  # L2 norm after training
    initial_norm: float | None  # before it; None unless it is the same for all, as with one seed and size


def weight_table(arrays: Mapping[str, dict[str, Array]]) -> list[ParameterHistogram]:
    """The tensors in the network's order; only those that all variants have, with finite values."""
    names = [name for name in next(iter(arrays.values())) if name.startswith(WEIGHTS)]
    return [
        _histogram(name.removeprefix(WEIGHTS), arrays)
        for name in names
        if all(name in a and np.isfinite(a[name]).all() for a in arrays.values())
    ]


def _histogram(name: str, arrays: Mapping[str, dict[str, Array]]) -> ParameterHistogram:
    values = {variant: a[WEIGHTS + name].astype(np.float64).ravel() for variant, a in arrays.items()}
    sizes = {variant: v.size for variant, v in values.items()}
    bins = int(np.clip(np.sqrt(min(sizes.values())), FEWEST_BINS, MOST_BINS))
    edges = np.histogram_bin_edges(np.concatenate(list(values.values())), bins)
    starts = {float(norm) for a in arrays.values() if (norm := a.get(f"initial_norms/{name}")) is not None}
    initial = starts.pop() if len(starts) == len({*sizes.values()}) == 1 else None
    layer, _, kind = name.rpartition(".")
    shares = {variant: np.histogram(v, edges)[0] / v.size for variant, v in values.items()}
    norms = {variant: float(np.linalg.norm(v)) for variant, v in values.items()}
    return ParameterHistogram(layer, kind, sizes, edges, shares, norms, initial)


def draw_weights(data: StudyData, variants: tuple[str, str]) -> Drawing:
    """A row a layer: weights on the left, biases on the right. Raises CannotDrawError where both are one network."""
    if same_configuration(*(params_of(data, variant) for variant in variants)):
        raise CannotDrawError(same_sentence(data, *variants))
    shown = choose(data, variants, [WEIGHTS], required=variants)
    table = weight_table({variant: shown.one(variant) for variant in variants})
    if not table:
        raise CannotDrawError(f"The saved weights of {listed(variants)} have no tensor in common that is finite.")
    there = list(dict.fromkeys(histogram.layer for histogram in table))
    layers = [there[round(place)] for place in np.linspace(0, len(there) - 1, min(len(there), MOST_LAYERS))]
    table = [histogram for histogram in table if histogram.layer in layers]
    looks = looks_of(data.overview.study)
    figure = new_figure(height=0.9 + 1.55 * len(layers))
    panels = figure.subplots(len(layers), 2, squeeze=False)
    for axes in panels.flat:
        axes.set_axis_off()
    for histogram in table:
        _draw_histogram(panels[layers.index(histogram.layer), 0 if histogram.kind == "weight" else 1], histogram, looks)
    figure.supxlabel("value of a weight or bias (no unit)")
    figure.supylabel("share of the values in the panel (%)")
    lines = zip(variants, DASHES, strict=True)
    handles = [Line2D([], [], color=looks[v].colour, linestyle=dashes, label=v) for v, dashes in lines]
    legend(figure, handles, columns=2)
    one, other = variants
    some = f"Shown are {len(layers)} of {len(there)} layers: the first, the last, and others evenly between. "
    norms = [f"{h.layer} {' against '.join(f'{n:.2f}' for n in h.norms.values())}" for h in table if h.kind == "weight"]
    return Drawing(
        figure=figure,
        caption=(
            f"Weights (left) and biases (right) of each layer after the last epoch, {one} against {other}, counted "
            "in the same bins; the number of values in brackets. Below it the L2 norm (root of the sum of squares) "
            f"of each variant{' and before training' if any(h.initial_norm is not None for h in table) else ''}. "
            f"{some if len(layers) < len(there) else ''}{shown.sentence}"
        ),
        alt=(
            f"Histograms of weights and biases in {len(layers)} layers, {one} and {other} overlaid. L2 norms of the "
            f"weights: {listed(norms)}."
        ),
    )


def _draw_histogram(axes: Axes, histogram: ParameterHistogram, looks: Mapping[str, Look]) -> None:
    axes.set_axis_on()
    for dashes, (variant, shares) in zip(DASHES, histogram.shares.items(), strict=True):
        colour = looks[variant].colour
        axes.stairs(100 * shares, histogram.edges, color=colour, linestyle=dashes, linewidth=1.5, fill=False)
    sizes = " | ".join(dict.fromkeys(f"{size:,}" for size in histogram.sizes.values()))
    axes.set_title(f"{histogram.layer} {histogram.kind} ({sizes})\n", fontsize=SMALL)
    start = "" if histogram.initial_norm is None else f", at start {histogram.initial_norm:.2f}"
    norms = " | ".join(f"{norm:.2f}" for norm in histogram.norms.values())
    axes.text(0, 1.03, f"L2 norm {norms}{start}", transform=axes.transAxes, fontsize=SMALL, va="bottom")
    axes.set_ylim(bottom=0)
    axes.locator_params(axis="x", nbins=5)
    axes.locator_params(axis="y", nbins=4)


def weight_recipes(data: StudyData) -> list[Recipe]:
    """One figure a claim whose sides are trained alike but for what is changed, else one of the first claim."""
    claims = data.overview.study.claims
    found = []
    for claim in [claim for claim in claims if not is_tuning(claim)] or claims[:1]:
        new, old = claim.a.variant, claim.b.variant
        pair = (old, new) if old in data.references else (new, old)
        title = f"Weights and biases: {' against '.join(pair)}"
        found.append(Recipe(f"weights-{safe_name(new)}", "weights", title, partial(draw_weights, variants=pair), new))
    return found


def scale_of(maps: Mapping[str, Array]) -> tuple[float, float]:
    """The ends of one scale for maps (F, C, H, W) of all variants, but for TAIL at each end."""
    values = np.concatenate([m[np.isfinite(m)].ravel() for m in maps.values()])
    if not values.size:
        raise CannotDrawError("No feature map holds a finite value.")
    low, high = (float(v) for v in np.percentile(values, (TAIL, 100 - TAIL)))
    return low, high if high > low else low + 1.0


def mosaic_columns(channels: int) -> int:
    """Number of maps in a row: nearly as many as rows, with few places left empty."""
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
    shown = choose(data, variants, [FEATURES + layer])
    maps = {variant: shown.one(variant)[FEATURES + layer] for variant in shown.arrays}
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


def feature_recipes(data: StudyData) -> list[Recipe]:
    """One figure a layer; one that says why where there are none."""
    arrays = (data.arrays(replicate.variant, replicate.seed) or {} for replicate in data.replicates)
    layers = ([name.removeprefix(FEATURES) for name in each if name.startswith(FEATURES)] for each in arrays)
    found = next((each for each in layers if each), [])
    names = {layer: f"features-{re.sub(UNSAFE, '-', layer)}" for layer in found}
    return [
        Recipe(name, "features", f"Feature maps of {layer}", partial(draw_features, layer=layer), layer)
        for layer, name in names.items()
    ] or [Recipe("features", "features", "Feature maps", _none)]


def _none(data: StudyData) -> Drawing:
    if not data.replicates:
        raise CannotDrawError("No replicate was trained yet: feature maps are saved when replicates train.")
    raise CannotDrawError("No replicate has saved feature maps: its arrays are missing, damaged, or hold none.")
