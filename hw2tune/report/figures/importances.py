"""Which hyperparameters mattered in the search, by fANOVA."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hw2tune.records.trials.rows import TrialRow
from hw2tune.report.figures.drawing import CannotDrawError, Drawing, Recipe
from hw2tune.report.figures.history import has_value
from hw2tune.report.figures.labels import parameter
from hw2tune.report.figures.style import BLUE, SMALL, new_figure
from hw2tune.report.study_data import StudyData
from hw2tune.study.hyperparameters import Value
from hw2tune.study.schema import Study
from hw2tune.study.space import Choice, Distribution, Interval
from hw2tune.text.numbers import listed

if TYPE_CHECKING:
    import optuna

FEWEST_TRIALS = 10  # with a value; with fewer, a forest splits noise
MOST_TRIALS = 500  # the forest takes 5 s on them, and minutes on thousands
TREES = 64  # Optuna's default
SEED = 0


@dataclass(frozen=True, kw_only=True)
class Importance:
    """The share of the variance of the value that one hyperparameter explains alone; all shares sum to 1."""

    name: str
    share: float


def comparable_parameters(study: Study, rows: Sequence[TrialRow]) -> list[str]:
    """Hyperparameters that every trial has and that differ between them: what fANOVA can be asked about."""
    return [
        name
        for name in study.space
        if all(name in row.params for row in rows) and len({row.params[name] for row in rows}) > 1
    ]


def sampled(rows: Sequence[TrialRow]) -> list[TrialRow]:
    """At most MOST_TRIALS of the trials, drawn at random with a fixed seed, by number."""
    drawn = random.Random(SEED).sample(rows, min(len(rows), MOST_TRIALS))
    return sorted(drawn, key=lambda row: row.number)


def importance_table(study: Study, rows: Sequence[TrialRow]) -> list[Importance]:
    """FANOVA (Hutter et al., 2014) over trials that have a value, the most important first.

    Log-uniform hyperparameters enter by their logarithm, an exact 0 one decade below the smallest value of the space.
    """
    import optuna

    names = comparable_parameters(study, rows)
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # making a study is announced otherwise
    try:
        shares = _shares(study, rows, names)
    finally:
        optuna.logging.set_verbosity(verbosity)
    return [
        Importance(name=name, share=float(share)) for name, share in sorted(shares.items(), key=lambda s: (-s[1], s[0]))
    ]


def _shares(study: Study, rows: Sequence[TrialRow], names: Sequence[str]) -> dict[str, float]:
    import optuna
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    in_memory = optuna.create_study(direction=study.direction)
    for row in rows:
        in_memory.add_trial(
            optuna.trial.create_trial(
                params={name: _number(study.space[name], row.params[name]) for name in names},
                distributions={name: _distribution(study.space[name]) for name in names},
                value=row.value,
            )
        )
    return get_param_importances(
        in_memory, evaluator=FanovaImportanceEvaluator(n_trees=TREES, seed=SEED), params=list(names)
    )


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
    rows = [row for row in data.overview.rows if has_value(row)]
    if len(rows) < FEWEST_TRIALS:
        raise CannotDrawError(
            f"Importances need {FEWEST_TRIALS} trials that have a value; this study has {len(rows)}: run it on with "
            "`--trials`."
        )
    found, rows = len(rows), sampled(rows)
    names = comparable_parameters(study, rows)
    if len(names) < 2:
        raise CannotDrawError(
            "Importances need two hyperparameters that every trial has and that differ between trials."
        )
    if len({row.value for row in rows}) == 1:
        raise CannotDrawError(f"All {len(rows)} trials have the same value: no hyperparameter explains a difference.")
    table = importance_table(study, rows)
    figure = new_figure(height=1.1 + 0.42 * len(table))
    axes = figure.subplots()
    bars = axes.barh([parameter(i.name) for i in table], [100 * i.share for i in table], color=BLUE, height=0.6)
    axes.bar_label(bars, [f"{100 * i.share:.0f} %" for i in table], padding=3, fontsize=SMALL)
    axes.invert_yaxis()
    axes.set_xlim(0, min(112, 115 * max(i.share for i in table)))
    axes.grid(False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("importance (% of the explained variance)")
    return Drawing(figure=figure, caption=_caption(data, rows, names, found), alt=_alt(table))


def _caption(data: StudyData, rows: Sequence[TrialRow], names: Sequence[str], found: int) -> str:
    study = data.overview.study
    left_out = [name for name in study.space if name not in names]
    why = f" Omitted, as not every trial has them or none differs in them: {listed(left_out)}." if left_out else ""
    drawn = f" drawn at random out of {found:,}" if found > len(rows) else ""
    return (
        f"Share of the variance of the {study.objective_spec.label} that each hyperparameter explains alone, "
        f"by fANOVA ({TREES} trees, fixed seed), normalised to 100 %, from n = {len(rows)} trials{drawn}, complete and "
        "pruned ones by the best value over the epochs that they had. The search looks where it hopes to gain and "
        f"does not sample evenly, and so few trials give a rough order, not a measurement.{why}"
    )


def _alt(table: Sequence[Importance]) -> str:
    return f"Bar chart of importances: {listed([f'{i.name} {100 * i.share:.0f} %' for i in table])}."


RECIPES = [Recipe(name="importances", section="search", title="Importance of hyperparameters", draw=draw_importances)]
