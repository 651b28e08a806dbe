"""Weights and biases, layer by layer: two variants on shared axes and bins, with L2 norms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from hw2tune.paths import safe_name
from hw2tune.records.replicates import Array
from hw2tune.report.figures.drawing import Arrays, CannotDrawError, Drawing, Recipe, choose
from hw2tune.report.figures.style import SMALL, Dashes, Look, legend, looks_of, new_figure
from hw2tune.report.inference.pairs import params_of, same_configuration, same_sentence
from hw2tune.report.study_data import StudyData
from hw2tune.study.schema import is_tuning
from hw2tune.text.numbers import listed

PREFIX = "weights/"
FEWEST_BINS, MOST_BINS = 8, 50
MOST_LAYERS = 6  # in a figure, with two panels each: the first, the last, and some between
DASHES: tuple[Dashes, ...] = ("-", (0, (3, 1.2)))  # of the first variant, of the second


class ParameterHistogram(NamedTuple):
    """One tensor of the network in each variant. `edges` (B + 1,); `shares` (B,) fractions of its values."""

    layer: str
    kind: str  # weight or bias
    size: int
    edges: NDArray[np.float64]
    shares: dict[str, NDArray[np.float64]]
    norms: dict[str, float]  # L2 norm after training
    initial_norm: float | None  # before it; the same for variants of one seed


def weight_table(arrays: Mapping[str, Arrays]) -> list[ParameterHistogram]:
    """The tensors in the network's order; only those that all variants have, with finite values."""
    first = next(iter(arrays.values()))
    names = [name for name in first if name.startswith(PREFIX)]
    return [
        _histogram(name.removeprefix(PREFIX), {variant: a[name] for variant, a in arrays.items()}, first)
        for name in names
        if all(name in a and np.isfinite(a[name]).all() for a in arrays.values())
    ]


def _histogram(name: str, tensors: Mapping[str, Array], first: Arrays) -> ParameterHistogram:
    values = {variant: tensor.astype(np.float64).ravel() for variant, tensor in tensors.items()}
    size = next(iter(values.values())).size
    bins = int(np.clip(np.sqrt(size), FEWEST_BINS, MOST_BINS))
    edges = np.histogram_bin_edges(np.concatenate(list(values.values())), bins)
    initial = first.get(f"initial_norms/{name}")
    layer, _, kind = name.rpartition(".")
    shares = {variant: np.histogram(v, edges)[0] / size for variant, v in values.items()}
    norms = {variant: float(np.linalg.norm(v)) for variant, v in values.items()}
    return ParameterHistogram(layer, kind, size, edges, shares, norms, None if initial is None else float(initial))


def draw_weights(data: StudyData, variants: tuple[str, str]) -> Drawing:
    """A row a layer: weights on the left, biases on the right. Raises CannotDrawError where both are one network."""
    if same_configuration(*(params_of(data, variant) for variant in variants)):
        raise CannotDrawError(same_sentence(data, *variants))
    shown = choose(data, variants, [PREFIX], required=variants)
    table = weight_table({variant: shown.one(variant) for variant in variants})
    if not table:
        raise CannotDrawError(f"The saved weights of {listed(variants)} have no tensor in common that is finite.")
    there = list(dict.fromkeys(histogram.layer for histogram in table))
    layers = spread(there)
    table = [histogram for histogram in table if histogram.layer in layers]
    looks = looks_of(data.overview.study)
    figure = new_figure(height=0.9 + 1.55 * len(layers))
    panels = figure.subplots(len(layers), 2, squeeze=False)
    for axes in panels.flat:
        axes.set_axis_off()
    for histogram in table:
        _draw_histogram(panels[layers.index(histogram.layer), 0 if histogram.kind == "weight" else 1], histogram, looks)
    figure.supxlabel("value of a weight or bias (no unit)", fontsize=10)
    figure.supylabel("share of the values in the panel (%)", fontsize=10)
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
            f"of each variant{' and before training' if table[0].initial_norm is not None else ''}. "
            f"{some if len(layers) < len(there) else ''}{shown.sentence}"
        ),
        alt=(
            f"Histograms of weights and biases in {len(layers)} layers, {one} and {other} overlaid. L2 norms of the "
            f"weights: {listed(norms)}."
        ),
    )


def spread(layers: Sequence[str]) -> list[str]:
    """At most MOST_LAYERS of the layers: the first, the last, and the others evenly between."""
    if len(layers) <= MOST_LAYERS:
        return list(layers)
    places = {round(i * (len(layers) - 1) / (MOST_LAYERS - 1)) for i in range(MOST_LAYERS)}
    return [layers[place] for place in sorted(places)]


def _draw_histogram(axes: Axes, histogram: ParameterHistogram, looks: Mapping[str, Look]) -> None:
    axes.set_axis_on()
    for dashes, (variant, shares) in zip(DASHES, histogram.shares.items(), strict=True):
        colour = looks[variant].colour
        axes.stairs(100 * shares, histogram.edges, color=colour, linestyle=dashes, linewidth=1.5, fill=False)
    axes.set_title(f"{histogram.layer} {histogram.kind} ({histogram.size:,})\n", fontsize=SMALL)
    start = "" if histogram.initial_norm is None else f", at start {histogram.initial_norm:.2f}"
    norms = " | ".join(f"{norm:.2f}" for norm in histogram.norms.values())
    axes.text(0, 1.03, f"L2 norm {norms}{start}", transform=axes.transAxes, fontsize=SMALL, va="bottom")
    axes.set_ylim(bottom=0)
    axes.locator_params(axis="x", nbins=5)
    axes.locator_params(axis="y", nbins=4)


def recipes(data: StudyData) -> list[Recipe]:
    """One figure a claim whose sides are trained alike but for what is changed, else one of the first claim."""
    claims = data.overview.study.claims
    found = []
    for claim in [claim for claim in claims if not is_tuning(claim)] or claims[:1]:
        new, old = claim.a.variant, claim.b.variant
        pair = (old, new) if old in data.references else (new, old)
        title = f"Weights and biases: {old} against {new}"
        found.append(Recipe(f"weights-{safe_name(new)}", "weights", title, partial(draw_weights, variants=pair)))
    return found
