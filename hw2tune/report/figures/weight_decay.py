"""How the value answers to weight decay, exactly zero included."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from hw2tune.records.trials.rows import TrialRow
from hw2tune.records.trials.states import COMPLETE
from hw2tune.report.figures.drawing import CannotDrawError, Drawing, Recipe
from hw2tune.report.figures.history import has_value, no_value_sentence, reference_ring
from hw2tune.report.figures.labels import objective_axis
from hw2tune.report.figures.style import (
    BLACK,
    GREY,
    OPTIMIZER_LOOKS,
    Look,
    legend_above,
    looks_of,
    marker,
    new_figure,
    paper,
    power_of_ten,
)
from hw2tune.report.study_data import StudyData
from hw2tune.study.hyperparameters import OPTIMIZERS, Value
from hw2tune.study.schema import Claim
from hw2tune.text.numbers import counted, listed

BREAK = 0.9  # decades between zero and the smallest value


@dataclass(frozen=True, kw_only=True)
class Response:
    """One trial."""

    number: int
    label: str
    weight_decay: float
    value: float
    optimizer: str
    complete: bool  # or pruned


def response_table(rows: Iterable[TrialRow], training: Mapping[str, Value] = MappingProxyType({})) -> list[Response]:
    """The trials that have a value and a weight decay; `training` is fixed for all."""
    return [
        Response(
            number=row.number,
            label=row.label,
            weight_decay=float(row.params["weight_decay"]),
            value=row.value,
            optimizer=str(row.params.get("optimizer") or training.get("optimizer", "")),
            complete=row.state == COMPLETE,
        )
        for row in rows
        if has_value(row) and row.value is not None and "weight_decay" in row.params
    ]


def draw_weight_decay(data: StudyData) -> Drawing:
    """Zero stands left of a break, everything else on a logarithmic axis."""
    table = response_table(data.overview.rows, data.overview.study.training)
    if not table:
        raise CannotDrawError(
            no_value_sentence(data)
            if "weight_decay" in data.overview.study.space
            else "The search space of this study has no weight_decay."
        )
    decays = {response.weight_decay for response in table}
    if len(decays) < 2:
        raise CannotDrawError(f"All trials that have a value have the same weight_decay ({decays.pop():g}).")
    zero = math.floor(math.log10(min(decay for decay in decays if decay > 0))) - BREAK
    label, scale = objective_axis(data.overview.study)
    looks = looks_of(data.overview.study)
    figure = new_figure(height=4.4)
    axes = figure.subplots()
    for optimizer, complete in dict.fromkeys((response.optimizer, response.complete) for response in table):
        same = [r for r in table if (r.optimizer, r.complete) == (optimizer, complete)]
        _draw_responses(axes, same, zero, scale, looks)
    _draw_broken_axis(axes, decays, zero)
    axes.set_xlabel("weight decay (no unit)")
    axes.set_ylabel(f"best {label} of the trial")
    legend_above(figure, _legend(table, looks), columns=3)
    return Drawing(figure=figure, caption=_caption(data, table), alt=_alt(table))


def _draw_responses(axes: Axes, same: Sequence[Response], zero: float, scale: float, looks: Mapping[str, Look]) -> None:
    """Trials of one optimizer, all complete or all pruned: one artist, as a study may have thousands."""
    look = _look(same[0].optimizer)
    xs = [math.log10(response.weight_decay) if response.weight_decay > 0 else zero for response in same]
    ys = [scale * response.value for response in same]
    face = look.colour if same[0].complete else paper()
    axes.plot(
        xs,
        ys,
        look.marker,
        color=look.colour,
        markerfacecolor=face,
        markersize=6.5,
        markeredgewidth=1.4,
    )
    for response, x, y in zip(same, xs, ys, strict=True):
        if response.label in looks:
            axes.add_line(reference_ring(looks[response.label], response.label, x, y))


def _draw_broken_axis(axes: Axes, decays: set[float], zero: float) -> None:
    powers = range(math.floor(zero + BREAK), math.ceil(math.log10(max(decays))) + 1)
    has_zero = 0 in decays
    axes.set_xticks(
        [*([zero] if has_zero else []), *powers], [*(["0"] if has_zero else []), *map(power_of_ten, powers)]
    )
    axes.set_xlim((zero if has_zero else powers[0]) - 0.35, powers[-1] + 0.35)
    if has_zero:
        axes.axvspan(zero + 0.4, zero + 0.5, color="#E3E3E3", linewidth=0)
        axes.text(
            zero + 0.45, 0, "//", transform=axes.get_xaxis_transform(), ha="center", va="center", fontsize=10,
            bbox={"facecolor": paper(), "edgecolor": "none", "pad": 0.5},
        )  # fmt: skip


def _look(optimizer: str) -> Look:
    return OPTIMIZER_LOOKS.get(optimizer, Look(GREY, "D"))


def _legend(table: Sequence[Response], looks: Mapping[str, Look]) -> list[Line2D]:
    optimizers = sorted({response.optimizer for response in table})
    handles = [marker(_look(optimizer), optimizer or "no optimizer named") for optimizer in optimizers]
    if any(not response.complete for response in table):
        handles.append(marker(Look(BLACK, "o"), "open: pruned", filled=False))
    for response in table:
        if response.label in looks:
            handles.append(reference_ring(looks[response.label], response.label))
    return handles


def _caption(data: StudyData, table: Sequence[Response]) -> str:
    study = data.overview.study
    zeros = sum(response.weight_decay == 0 for response in table)
    at_zero = f"; {counted(zeros, 'trial')} at exactly 0, left of the break" if zeros else ""
    alone = [f"{one.a.variant} against {one.b.variant}" for one in study.claims if _of_weight_decay(one)]
    see = f"; for that see {alone[0]}" if alone else ""
    return (
        f"Best {study.objective_spec.label} of each trial against its weight decay (n = {len(table)} "
        f"trials{at_zero}), by optimizer.{_meaning(table)} The other hyperparameters differ too, so that this "
        f"shows where good trials lie and not what weight decay alone does{see}."
    )


def _of_weight_decay(claim: Claim) -> bool:
    """Return whether the sides of a claim differ in weight decay alone."""
    return claim.a.of == claim.b.of and {*claim.a.changes, *claim.b.changes} == {"weight_decay"}


def _meaning(table: Sequence[Response]) -> str:
    """What weight decay is in the optimizers of these trials."""
    named = sorted({response.optimizer for response in table} & OPTIMIZERS.keys())
    decoupled = [name for name in named if OPTIMIZERS[name].decoupled]
    coupled = [name for name in named if name not in decoupled]
    parts = [
        *([f"in {listed(coupled)} coupled (L2 in the gradient)"] if coupled else []),
        *([f"in {listed(decoupled)} decoupled"] if decoupled else []),
    ]
    unequal = ": equal numbers do not mean equal strength" if len(parts) == 2 else ""
    return f" Weight decay is {', '.join(parts)}{unequal}." if parts else ""


def _alt(table: Sequence[Response]) -> str:
    by_optimizer = {o: sum(r.optimizer == o for r in table) for o in sorted({r.optimizer for r in table})}
    return (
        f"Scatter of {counted(len(table), 'trial')}, value against weight decay: "
        f"{listed([f'{n} with {o}' for o, n in by_optimizer.items()])}."
    )


RECIPES = [Recipe(name="weight-decay", section="search", title="Weight decay and the value", draw=draw_weight_decay)]
