"""The tuning curve: the best value that a search of n trials can expect."""

from __future__ import annotations

import numpy as np
from matplotlib.lines import Line2D

from hw2tune.inference.tuning_curves import Array, bands, median_best
from hw2tune.report.doctor.budget import tried_values
from hw2tune.report.doctor.zones import drawn
from hw2tune.report.figures.drawing import CannotDrawError, Drawing
from hw2tune.report.figures.history import has_value
from hw2tune.report.figures.style import BLUE, legend, looks_of, new_figure
from hw2tune.report.study_data import StudyData
from hw2tune.study.objectives import sign_of
from hw2tune.text.numbers import counted, measured

FEWEST_TRIALS = 5  # with fewer, the band is all that there is
INDEPENDENT = ("random", "qmc")  # samplers that do not learn from earlier trials


def draw_tuning_curve(data: StudyData) -> Drawing:
    """Draw the median best of n trials with its exact band, and the references as lines."""
    study = data.overview.study
    values = tried_values(data)
    if len(values) < FEWEST_TRIALS:
        raise CannotDrawError(
            f"A tuning curve needs {FEWEST_TRIALS} trials that the sampler drew; this study has {len(values)}."
        )
    if not any(has_value(row) for row in drawn(data.overview)):
        raise CannotDrawError(
            f"A tuning curve needs a trial with a value; none of the {len(values)} that the sampler drew has one: "
            "continue the study with `--trials`."
        )
    factor = sign_of(study.direction) * study.objective_spec.scale
    n = np.arange(1, len(values) + 1)
    low, high = (factor * edge for edge in bands(values, n))
    curve = factor * median_best(values, n)
    figure = new_figure(height=3.6)
    axes = figure.subplots()
    axes.step(n, curve, where="mid", color=BLUE, linewidth=1.6)
    known = np.isfinite(low)
    ends = np.where(np.isfinite(high), high, np.nan)
    axes.step(n[known], low[known], where="mid", color=BLUE, linewidth=0.8, linestyle=(0, (2, 2)))
    axes.step(n, ends, where="mid", color=BLUE, linewidth=0.8, linestyle=(0, (2, 2)))
    axes.fill_between(n, low, ends, step="mid", color=BLUE, alpha=0.15, linewidth=0, where=known & np.isfinite(ends))
    handles = [
        Line2D([], [], color=BLUE, label="median best of n"),
        Line2D([], [], color=BLUE, linewidth=0.8, linestyle=(0, (2, 2)), label="95 % band"),
    ]
    looks = looks_of(study)
    for row in data.overview.rows:
        if row.label in looks and row.value is not None:
            look = looks[row.label]
            axes.axhline(study.objective_spec.scale * row.value, color=look.colour, linestyle=look.dashes, linewidth=1)
            handles.append(Line2D([], [], color=look.colour, linestyle=look.dashes, label=f"reference: {row.label}"))
    axes.set(xlabel="trials, n", ylabel=f"best {study.objective_spec.axis}", xlim=(0.5, len(values) + 0.5))
    legend(figure, handles, columns=3)
    return Drawing(figure=figure, caption=_caption(data, len(values)), alt=_alt(data, curve))


def _caption(data: StudyData, trials: int) -> str:
    sampler = data.overview.study.sampler.name
    rests = (
        f"It rests on the {counted(trials, 'trial')} that the sampler {sampler} drew; trials that failed count as the "
        "worst, pruned ones by their value when they were pruned."
    )
    learns = (
        ""
        if sampler in INDEPENDENT
        else f" {sampler} learns from earlier trials, so they are not independent draws: the curve takes them in "
        "random order, and the band is exact only for draws that do not learn."
    )
    return (
        f"Half of all searches of n trials have a best {data.overview.study.objective_spec.label} above the line. The "
        "band holds at all n together with 95 % (Lourie et al., 2024); upwards it ends where these trials say nothing "
        f"more. {rests}{learns} The best of many noisy values is too high: it is a value of the search."
    )


def _alt(data: StudyData, curve: Array) -> str:
    study = data.overview.study
    first, last = (measured(float(one) / study.objective_spec.scale, study.objective) for one in (curve[0], curve[-1]))
    return f"Line of the median best of 1 to {len(curve)} trials, from {first} to {last}."
