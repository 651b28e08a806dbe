"""Pixels before and after preprocessing: raw, scaled to [0, 1], normalised."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray

from hw2tune.records.arrays import Array
from hw2tune.records.dataset import DatasetRecord
from hw2tune.report.figures.drawing import CannotDrawError, Drawing
from hw2tune.report.figures.style import BLACK, BLUE, GREEN, SMALL, VERMILLION, Look, legend, new_figure
from hw2tune.report.study_data import StudyData
from hw2tune.text.numbers import listed

CHANNELS = {
    1: {"grey": Look(BLACK, "o")},
    3: {"red": Look(VERMILLION, ""), "green": Look(GREEN, "", (0, (5, 1.5))), "blue": Look(BLUE, "", (0, (1.5, 1.2)))},
}
PEAKED = 0.2  # share of one value beyond which the others would lie flat on a linear axis: MNIST is mostly 0


@dataclass(frozen=True)
class Stage:
    """The pixels after one step: `values` (C, 256), what the raw values became, and `shares` (C, 256) of the pixels."""

    title: str
    values: NDArray[np.float64]
    shares: NDArray[np.float64]

    @property
    def mean(self) -> NDArray[np.float64]:
        """(C,)."""
        return np.asarray((self.values * self.shares).sum(axis=1))

    @property
    def std(self) -> NDArray[np.float64]:
        """(C,), of the population of pixels."""
        return np.asarray(np.sqrt((self.shares * (self.values - self.mean[:, None]) ** 2).sum(axis=1)))


def pixel_stages(counts: Array, record: DatasetRecord) -> list[Stage]:
    """From counts (C, 256) of raw values. Normalising is omitted where it subtracts 0 and divides by 1."""
    shares = counts / counts.sum(axis=1, keepdims=True)
    raw = np.tile(np.arange(256.0), (len(counts), 1))
    stages = [Stage("Raw", raw, shares), Stage("Scaled to [0, 1]", raw / 255, shares)]
    mean, std = np.array(record.mean)[:, None], np.array(record.std)[:, None]
    if (mean != 0).any() or (std != 1).any():
        black, white = record.black_and_white if record.dtype == "float32" else (0.0, 1.0)
        scaled = black + raw / 255 * (white - black)
        stages.append(Stage("Normalised", (scaled - mean) / std, shares))
    return stages


def draw_preprocessing(data: StudyData) -> Drawing:
    """A panel a stage, a line a channel."""
    counts, record = data.pixel_counts, data.dataset
    if counts is None or record is None:
        reason = "The counts of pixel values are missing or damaged: they are saved when replicates train."
        raise CannotDrawError(reason)
    if counts.shape != (len(record.mean), 256) or (counts < 0).any() or (counts.sum(axis=1) <= 0).any():
        reason = f"The counts of pixel values are damaged: {counts.shape} for {len(record.mean)} channels."
        raise CannotDrawError(reason)
    if len(record.std) != len(record.mean) or 0 in record.std:
        raise CannotDrawError(
            f"The record of the data set is damaged: deviations {listed(record.std)} for means {listed(record.mean)}."
        )
    stages = pixel_stages(counts, record)
    looks = CHANNELS.get(len(counts)) or {f"channel {i}": Look(GREEN, "o") for i in range(len(counts))}
    figure = new_figure(height=0.6 + 2.1 * len(stages))
    for axes, stage in zip(figure.subplots(len(stages), 1), stages, strict=True):
        _draw_stage(axes, stage, looks)
    figure.supylabel("share of the channel's pixels (%)")
    if len(looks) > 1:
        lines = [Line2D([], [], color=k.colour, linestyle=k.dashes, label=name) for name, k in looks.items()]
        legend(figure, lines, columns=len(lines))
    size = record.sizes.get("train")
    images = f"{size:,} training images" if size else "training images"
    return Drawing(
        figure=figure,
        caption=(
            f"How often each pixel value occurs in the {images} of {data.label}, after each step of "
            f"preprocessing; mean ± standard deviation over all pixels stand above. {_steps(stages, record, looks)}"
        ),
        alt=f"Distributions of pixel values. {' '.join(f'{s.title}: {_moments(s, looks)}.' for s in stages)}",
    )


def _draw_stage(axes: Axes, stage: Stage, looks: dict[str, Look]) -> None:
    for values, shares, look in zip(stage.values, stage.shares, looks.values(), strict=True):
        seen = np.where(shares > 0, 100 * shares, np.nan)
        axes.plot(values, seen, color=look.colour, linestyle=look.dashes, linewidth=1.2)
    if stage.shares.max() > PEAKED:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    else:
        axes.set_ylim(bottom=0)
    axes.set_title(f"{stage.title}, mean ± standard deviation:\n")
    axes.text(0, 1.03, _moments(stage, looks), transform=axes.transAxes, fontsize=SMALL, va="bottom")
    axes.set_xlabel("value (0 to 255)" if stage.title == "Raw" else "value (no unit)")


def _moments(stage: Stage, looks: dict[str, Look]) -> str:
    digits = 1 if stage.title == "Raw" else 3
    each = [f"{m:z.{digits}f} ± {s:.{digits}f}" for m, s in zip(stage.mean, stage.std, strict=True)]
    named = each if len(each) == 1 else [f"{name} {label}" for name, label in zip(looks, each, strict=True)]
    return ", ".join(named)


def _steps(stages: list[Stage], record: DatasetRecord, looks: dict[str, Look]) -> str:
    if len(stages) == 2:
        return "This data set is scaled to [0, 1] and not normalised any further."
    mean, std = (listed([f"{v:z.3f}" for v in values]) for values in (stages[-1].mean, stages[-1].std))
    channels = f" ({', '.join(looks)})" if len(looks) > 1 else ""
    end = f"After normalisation the mean is {mean} and the standard deviation {std}{channels}."
    if set(record.mean) == set(record.std) == {0.5}:
        published = ", as the published report says" if record.name == "cifar10" else ""
        return (
            "Normalising, (x - 0.5) / 0.5 in each channel, maps [0, 1] to [-1, 1]; it does not make mean and "
            f"standard deviation 0.5{published}. {end}"
        )
    return f"Normalising subtracts {listed(record.mean)} and divides by {listed(record.std)}. {end}"
