"""Importances of the hyperparameters, by fANOVA."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from hw2tune.records.trials.rows import TrialRow, best_first
from hw2tune.report.doctor.zones import failed_by_itself, how_failed
from hw2tune.report.figures.drawing import CannotDrawError, Drawing
from hw2tune.report.figures.history import has_value
from hw2tune.report.figures.style import (
    BLUE,
    new_figure,
    small,
)
from hw2tune.report.study_data import StudyData
from hw2tune.study.hyperparameters import Value
from hw2tune.study.schema import Study
from hw2tune.study.space import Choice, Distribution, Interval
from hw2tune.text.numbers import label_of, listed

if TYPE_CHECKING:
    import optuna

FEWEST_TRIALS = 10  # with a value; with fewer, a forest splits noise
MOST_TRIALS = 500  # the forest takes 5 s on them, and minutes on thousands
TREES = 64  # Optuna's default
SEED = 0


def comparable_parameters(study: Study, rows: Sequence[TrialRow]) -> list[str]:
    """Hyperparameters that every trial has and that differ between them: what fANOVA can be asked about."""
    common = [name for name in study.space if all(name in row.params for row in rows)]
    return [name for name in common if len({row.params[name] for row in rows}) > 1]


def compared(study: Study, rows: Sequence[TrialRow]) -> list[TrialRow]:
    """Trials that have a value, and those that failed by themselves with the worst of these values."""
    valued = [row for row in rows if has_value(row)]
    worst = best_first(valued, study.direction)[-1:]
    return [
        replace(row, value=worst[0].value) if failed_by_itself(row) else row
        for row in rows
        if has_value(row) or (worst and failed_by_itself(row))
    ]


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
    found = compared(study, data.overview.rows)
    if (valued := sum(map(has_value, found))) < FEWEST_TRIALS:
        raise CannotDrawError(
            f"Importances need {FEWEST_TRIALS} trials that have a value; this study has {valued}: continue it with "
            "`--trials`."
        )
    rows = sampled(found)
    if len(comparable_parameters(study, rows)) < 2:
        raise CannotDrawError(
            "Importances need two hyperparameters that every trial has and that differ between trials."
        )
    if len({row.value for row in rows}) == 1:
        raise CannotDrawError(f"All {len(rows)} trials have the same value: no hyperparameter explains a difference.")
    shares = importance_table(study, rows)
    table = {label_of(name): 100 * share for name, share in shares.items()}
    figure = new_figure(height=1.1 + 0.42 * len(table))
    axes = figure.subplots()
    bars = axes.barh(list(table), list(table.values()), color=BLUE, height=0.6)
    axes.bar_label(bars, [f"{share:.0f} %" for share in table.values()], padding=3, fontsize=small())
    axes.invert_yaxis()
    axes.set_xlim(0, min(112, 1.15 * max(table.values())))
    axes.grid(False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("importance (% of the explained variance)")
    alt = f"Bar chart of importances: {listed([f'{name} {share:.0f} %' for name, share in table.items()])}."
    return Drawing(figure=figure, caption=_importances_caption(study, rows, len(found), shares), alt=alt)


def _importances_caption(study: Study, rows: Sequence[TrialRow], found: int, shares: Mapping[str, float]) -> str:
    used, failed = len(rows), sum(map(failed_by_itself, rows))
    count = "counts" if failed == 1 else "count"
    worst = f"; {failed} that {how_failed(rows)} {count} as the worst of these" if failed else ""
    left_out = [label_of(name) for name in study.space if name not in shares]
    why = f" Omitted, as not every trial has them or none differs in them: {listed(left_out)}." if left_out else ""
    drawn = f" drawn at random out of {found:,}" if found > used else ""
    return (
        f"Share of the variance of the {study.objective_spec.label} that each hyperparameter explains alone, "
        f"by fANOVA ({TREES} trees, fixed seed), normalised to 100 %, from n = {used} trials{drawn}, complete and "
        f"pruned ones by the best value over the epochs that they had{worst}. The search looks where it hopes to gain "
        f"and does not sample evenly, and so few trials give a rough order, not a measurement.{why}"
    )
