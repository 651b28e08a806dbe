"""The study doctor's findings held against the forest that a study was replayed in, or the table that it was made of.

The criteria were written down before any finding was judged. *A thousand trainings* are drawn from the same forest.

- collapse: each named seed is below the median of a thousand trainings of its configuration by the claims' own rule
  (`inference.evidence.collapsed`), with their spread in place of that of five seeds.
- overtuning: against the mean of a thousand trainings of the winner, half of the promised gain or more is gone.
- edge: of the values of this hyperparameter, five of a range, the one at the edge is the best for the study's best five
  trials, by the forest without luck.
- budget: of the same search with twice the trials, the best one is better by more than would matter, without luck.
- dead zone, failing corner: at most a tenth of the table's own trainings inside learned.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from benchmarks.replay.forest import Forest
from hw2tune.inference.evidence import COLLAPSE_DEVIATIONS, default_worth
from hw2tune.records.trials.rows import TrialRow, best_first
from hw2tune.report.doctor.findings import Finding
from hw2tune.report.doctor.seeds import overtuning
from hw2tune.report.doctor.space import chance_level
from hw2tune.report.doctor.zones import drawn
from hw2tune.report.study_data import StudyData
from hw2tune.study.hyperparameters import Value
from hw2tune.study.space import Choice

TRAININGS = 1000
ALIVE = 0.1  # of the table's trainings in a zone, at most, for it to be dead
Judged = tuple[bool, str]


def judge(one: Finding, data: StudyData, place: Forest, longer: StudyData) -> Judged:
    """Return whether a finding is true of the forest or table, and by which numbers. `longer` has twice the trials."""
    rng = np.random.default_rng(0)
    match one.check:
        case "collapse":
            return _collapse(one, data, place, rng)
        case "overtuning":
            return _overtuning(data, place, rng)
        case "edge":
            return _edge(one, data, place)
        case "budget":
            return _budget(data, longer, place)
        case "dead zone" | "failing corner":
            return _zone(one, data, place)
    raise NotImplementedError(f"no criterion for {one.check}: {one.finding}")


def _collapse(one: Finding, data: StudyData, place: Forest, rng: np.random.Generator) -> Judged:
    replicates = data.of(one.finding.split()[0])
    drawn = np.array([place.curve(replicates[0].params, rng).chosen for _ in range(TRAININGS)])
    median = np.median(drawn)
    worth = default_worth(place.task.test_images)
    below = median - max(COLLAPSE_DEVIATIONS * float(np.median(np.abs(drawn - median))), worth)
    named = [int(seed) for seed in re.findall(r"seed (\d+) ", one.evidence.lower())]
    tested = {each.seed: each.chosen.accuracy for each in replicates if each.chosen}
    share = float(np.mean(drawn < below))
    return (
        all(tested[seed] < below for seed in named),
        f"{_list(tested[seed] for seed in named)} against {100 * below:.1f} % (median {100 * median:.1f} %); "
        f"{100 * share:.1f} % of {TRAININGS:,} trainings are below it",
    )


def _overtuning(data: StudyData, place: Forest, rng: np.random.Generator) -> Judged:
    assert list(overtuning(data))
    number = data.winner.trial if data.winner else None
    row = next(row for row in data.overview.rows if row.number == number)
    fresh = np.mean([place.curve(row.params, rng).validation.max() for _ in range(TRAININGS)])
    baseline = max(row.value or 0.0 for row in data.overview.rows if row.label)
    gone = ((row.value or 0.0) - fresh) / ((row.value or 0.0) - baseline)
    return bool(gone >= 0.5), f"{100 * gone:.0f} % of the promised gain is gone over {TRAININGS:,} trainings"


def _edge(one: Finding, data: StudyData, place: Forest) -> Judged:
    study, name = data.overview.study, one.hyperparameter
    best, space = best_first(drawn(data.overview), study.direction)[:5], study.space[name]
    values: list[Any] = list(space.choices) if isinstance(space, Choice) else _spread(space)
    means = {value: np.mean([_expected(place, row.params | {name: value}) for row in best]) for value in values}
    end = max(values) if "upper edge" in one.finding else min(values)
    text = ", ".join(f"{value:.3g}: {100 * mean:.1f} %" for value, mean in means.items())
    return max(means, key=lambda value: means[value]) == end, f"the best five with {name} at {text}"


def _spread(space: Any) -> list[float]:
    low, high = float(space.low), float(space.high)
    return [float(one) for one in (np.geomspace(low, high, 5) if space.log else np.linspace(low, high, 5))]


def _budget(data: StudyData, longer: StudyData, place: Forest) -> Judged:
    values = []
    for each in (data, longer):
        best: TrialRow = best_first(each.overview.rows, each.overview.study.direction)[0]
        values.append(_expected(place, best.params))
    gain, worth = values[1] - values[0], default_worth(place.task.validation_images)
    numbers = len(data.overview.rows), len(longer.overview.rows)
    return gain > worth, (
        f"the best of {numbers[1]} trials is {100 * gain:+.1f} points from the best of {numbers[0]} without luck, and "
        f"{100 * worth:.1f} would matter"
    )


def _expected(place: Forest, configuration: Mapping[str, Value]) -> float:
    """Validation accuracy of the forest's own curve at its best epoch."""
    return float(place._mean(configuration)[0].max())


def _zone(one: Finding, data: StudyData, place: Forest) -> Judged:
    table, level = place.table, chance_level(data)
    assert level is not None
    condition = re.search(r"trials? with (.*?) (?:got|diverged)", one.finding)
    assert condition
    inside = [row for row, params in table.configurations.items() if row.isdigit() and _within(params, condition[1])]
    learned = [row for row in inside if max(table.curves[row, 0].validation, default=0.0) > level]
    if one.check == "failing corner":
        whole = table.task.study.max_epochs
        learned = [row for row in inside if len(table.curves[row, 0].validation) == whole]
    return len(learned) <= ALIVE * len(inside), f"{len(learned)} of the table's {len(inside)} trainings inside learned"


def _within(params: Mapping[str, Value], condition: str) -> bool:
    """Return whether a configuration is in a zone: `optimizer = sgd and learning_rate <= 1e-3 or >= 0.1`."""
    for part in condition.split(" and "):
        name, tests = part.split(" ", 1)
        if name not in params:
            return False
        if not any(_holds(params[name], *test.split(" ", 1)) for test in tests.split(" or ")):
            return False
    return True


def _holds(value: Value, sign: str, text: str) -> bool:
    if sign == "=":
        return str(value) == text or (isinstance(value, int | float) and float(value) == float(text))
    return float(value) <= float(text) if sign == "<=" else float(value) >= float(text)


def _list(values: Any) -> str:
    return ", ".join(f"{100 * value:.1f} %" for value in values)
