"""Hyperparameters and the value: their importances by fANOVA, and weight decay, exactly zero included."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from matplotlib.axes import Axes

from hw2tune.records.trials.rows import TrialRow
from hw2tune.records.trials.states import COMPLETE
from hw2tune.report.figures.drawing import CannotDrawError, Drawing
from hw2tune.report.figures.history import has_value, no_value_sentence, ring_references
from hw2tune.report.figures.style import (
    BLACK,
    BLUE,
    Look,
    legend,
    marker,
    new_figure,
    optimizer_look,
    paper,
    power_of_ten,
    small,
)
from hw2tune.report.study_data import StudyData
from hw2tune.study.hyperparameters import OPTIMIZERS, Value
from hw2tune.study.schema import Study
from hw2tune.study.space import Choice, Distribution, Interval
from hw2tune.text.numbers import counted, listed

if TYPE_CHECKING:
    import optuna

FEWEST_TRIALS = 10  # with a value; with fewer, a forest splits noise
MOST_TRIALS = 500  # the forest takes 5 s on them, and minutes on thousands
TREES = 64  # Optuna's default
SEED = 0
BREAK = 0.9  # decades between zero and the smallest value


def comparable_parameters(study: Study, rows: Sequence[TrialRow]) -> list[str]:
    """Hyperparameters that every trial has and that differ between them: what fANOVA can be asked about."""
    common = [name for name in study.space if all(name in row.params for row in rows)]
    return [name for name in common if len({row.params[name] for row in rows}) > 1]


def sampled(rows: Sequence[TrialRow]) -> list[TrialRow]:
    """At most MOST_TRIALS of the trials, drawn at random with a fixed seed, by number."""
    drawn = random.Random(SEED).sample(rows, min(len(rows), MOST_TRIALS))
    return sorted(drawn, key=lambda row: row.number)


def importance_table(study: Study, rows: Sequence[TrialRow]) -> dict[str, float]:
    """FANOVA (Hutter et al., 2014) over trials that have a value, the most important first.

    The share of the variance of the value that each hyperparameter explains alone; all shares sum to 1. Log-uniform
    hyperparameters enter by their logarithm, an exact 0 one decade below the smallest value of the space.
    """
    import optuna
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    names = comparable_parameters(study, rows)
    distributions = {name: _distribution(study.space[name]) for name in names}
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # making a study is announced otherwise
    try:
        in_memory = optuna.create_study(direction=study.direction)
        for row in rows:
            params = {name: _number(study.space[name], row.params[name]) for name in names}
            trial = optuna.trial.create_trial(params=params, distributions=distributions, value=row.value)
            in_memory.add_trial(trial)
        fanova = FanovaImportanceEvaluator(n_trees=TREES, seed=SEED)
        shares = get_param_importances(in_memory, evaluator=fanova, params=names)
    finally:
        optuna.logging.set_verbosity(verbosity)
    return dict(sorted(shares.items(), key=lambda share: (-share[1], share[0])))


def _number(distribution: Distribution, value: Value) -> Value:
    if isinstance(distribution, Interval) and distribution.log:
        return math.log10(float(value)) if value else math.log10(distribution.low) - 1
    return value


def _distribution(distribution: Distribution) -> optuna.distributions.BaseDistribution:
    import optuna

    if isinstance(distribution, Choice):
        return optuna.distributions.CategoricalDistribution(distribution.choices)
    low, high = ((math.log10(v) if distribution.log else v) for v in (distribution.low, distribution.high))
    below = (low - 1 if distribution.log else min(low, 0.0)) if distribution.or_zero else low
    return optuna.distributions.FloatDistribution(below, high)


def draw_importances(data: StudyData) -> Drawing:
    """Bars, the longest on top."""
    study = data.overview.study
    found = [row for row in data.overview.rows if has_value(row)]
    if len(found) < FEWEST_TRIALS:
        raise CannotDrawError(
            f"Importances need {FEWEST_TRIALS} trials that have a value; this study has {len(found)}: run it on with "
            "`--trials`."
        )
    rows = sampled(found)
    if len(comparable_parameters(study, rows)) < 2:
        raise CannotDrawError(
            "Importances need two hyperparameters that every trial has and that differ between trials."
        )
    if len({row.value for row in rows}) == 1:
        raise CannotDrawError(f"All {len(rows)} trials have the same value: no hyperparameter explains a difference.")
    table = {name: 100 * share for name, share in importance_table(study, rows).items()}
    figure = new_figure(height=1.1 + 0.42 * len(table))
    axes = figure.subplots()
    bars = axes.barh([name.replace("_", " ") for name in table], list(table.values()), color=BLUE, height=0.6)
    axes.bar_label(bars, [f"{share:.0f} %" for share in table.values()], padding=3, fontsize=small())
    axes.invert_yaxis()
    axes.set_xlim(0, min(112, 1.15 * max(table.values())))
    axes.grid(False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("importance (% of the explained variance)")
    alt = f"Bar chart of importances: {listed([f'{name} {share:.0f} %' for name, share in table.items()])}."
    return Drawing(figure=figure, caption=_importances_caption(study, len(rows), len(found), table), alt=alt)


def _importances_caption(study: Study, used: int, found: int, table: Mapping[str, float]) -> str:
    left_out = [name for name in study.space if name not in table]
    why = f" Omitted, as not every trial has them or none differs in them: {listed(left_out)}." if left_out else ""
    drawn = f" drawn at random out of {found:,}" if found > used else ""
    return (
        f"Share of the variance of the {study.objective_spec.label} that each hyperparameter explains alone, "
        f"by fANOVA ({TREES} trees, fixed seed), normalised to 100 %, from n = {used} trials{drawn}, complete and "
        "pruned ones by the best value over the epochs that they had. The search looks where it hopes to gain and "
        f"does not sample evenly, and so few trials give a rough order, not a measurement.{why}"
    )


class Response(NamedTuple):
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
            row.number,
            row.label,
            float(row.params["weight_decay"]),
            row.value,
            str(row.params.get("optimizer") or training.get("optimizer", "")),
            row.state == COMPLETE,
        )
        for row in rows
        if has_value(row) and row.value is not None and "weight_decay" in row.params
    ]


def draw_weight_decay(data: StudyData) -> Drawing:
    """Zero stands left of a break, everything else on a logarithmic axis."""
    study = data.overview.study
    table = response_table(data.overview.rows, study.training)
    if not table and "weight_decay" not in study.space:
        raise CannotDrawError("The search space of this study has no weight_decay.")
    if not table:
        raise CannotDrawError(no_value_sentence(data))
    decays = {response.weight_decay for response in table}
    if len(decays) < 2:
        raise CannotDrawError(f"All trials that have a value have the same weight_decay ({decays.pop():g}).")
    zero = math.floor(math.log10(min(decay for decay in decays if decay > 0))) - BREAK
    xs = [math.log10(response.weight_decay) if response.weight_decay > 0 else zero for response in table]
    ys = [study.objective_spec.scale * response.value for response in table]
    figure = new_figure(height=4.4)
    axes = figure.subplots()
    kinds = [(response.optimizer, response.complete) for response in table]
    for kind in dict.fromkeys(kinds):
        same = [place for *place, own in zip(xs, ys, kinds, strict=True) if own == kind]
        look = optimizer_look(kind[0])
        face = look.colour if kind[1] else paper()
        # One artist for all of a kind, as a study may have thousands of trials.
        axes.plot(
            *zip(*same, strict=True), look.marker, color=look.colour, markerfacecolor=face, markersize=6.5,
            markeredgewidth=1.4,
        )  # fmt: skip
    _draw_broken_axis(axes, decays, zero)
    axes.set(xlabel="weight decay (no unit)", ylabel=f"best {study.objective_spec.axis} of the trial")
    optimizers = sorted({response.optimizer for response in table})
    handles = [marker(optimizer_look(optimizer), optimizer or "no optimizer named") for optimizer in optimizers]
    if any(not response.complete for response in table):
        handles.append(marker(Look(BLACK, "o"), "open: pruned", filled=False))
    places = zip((response.label for response in table), xs, ys, strict=True)
    legend(figure, handles + ring_references(axes, places, study), columns=3)
    by_optimizer = Counter(response.optimizer for response in table)
    return Drawing(
        figure=figure,
        caption=_weight_decay_caption(data, table),
        alt=(
            f"Scatter of {counted(len(table), 'trial')}, value against weight decay: "
            f"{listed([f'{by_optimizer[o]} with {o}' for o in optimizers])}."
        ),
    )


def _draw_broken_axis(axes: Axes, decays: set[float], zero: float) -> None:
    powers = range(math.floor(zero + BREAK), math.ceil(math.log10(max(decays))) + 1)
    ticks: dict[float, str] = {power: power_of_ten(power) for power in powers}
    if 0 in decays:
        ticks = {zero: "0"} | ticks
        axes.axvspan(zero + 0.4, zero + 0.5, color="#E3E3E3", linewidth=0)
        axes.text(
            zero + 0.45, 0, "//", transform=axes.get_xaxis_transform(), ha="center", va="center", fontsize=10,
            bbox={"facecolor": paper(), "edgecolor": "none", "pad": 0.5},
        )  # fmt: skip
    axes.set_xticks(list(ticks), list(ticks.values()))
    axes.set_xlim(min(ticks) - 0.35, powers[-1] + 0.35)


def _weight_decay_caption(data: StudyData, table: Sequence[Response]) -> str:
    study = data.overview.study
    zeros = sum(response.weight_decay == 0 for response in table)
    at_zero = f"; {counted(zeros, 'trial')} at exactly 0, left of the break" if zeros else ""
    alone = [
        f"{claim.a.variant} against {claim.b.variant}"
        for claim in study.claims
        if claim.a.of == claim.b.of and {*claim.a.changes, *claim.b.changes} == {"weight_decay"}
    ]
    see = f"; for that see {alone[0]}" if alone else ""
    return (
        f"Best {study.objective_spec.label} of each trial against its weight decay (n = {len(table)} "
        f"trials{at_zero}), by optimizer.{_meaning(table)} The other hyperparameters differ too, so that this "
        f"shows where good trials lie and not what weight decay alone does{see}."
    )


def _meaning(table: Sequence[Response]) -> str:
    """Return the sentence on weight decay in the optimizers of these trials."""
    named = sorted({response.optimizer for response in table} & OPTIMIZERS.keys())
    coupled, decoupled = ([name for name in named if OPTIMIZERS[name].decoupled == kind] for kind in (False, True))
    parts = [f"in {listed(coupled)} coupled (L2 in the gradient)"] if coupled else []
    parts += [f"in {listed(decoupled)} decoupled"] if decoupled else []
    unequal = ": equal numbers do not mean equal strength" if len(parts) == 2 else ""
    return f" Weight decay is {', '.join(parts)}{unequal}." if parts else ""
