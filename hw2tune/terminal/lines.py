"""Numbers, configurations and durations as short text: the same in every table."""

from __future__ import annotations

from collections.abc import Mapping

from hw2tune.records.trials.rows import TrialRow
from hw2tune.study.hyperparameters import HYPERPARAMETERS, MODEL, Value
from hw2tune.study.objectives import objective_of
from hw2tune.text.cells import duration
from hw2tune.text.plain import value_text


def configuration(params: Mapping[str, Value]) -> str:
    """A configuration on one line, the optimizer first: `adam lr 0.0012 batch 64 wd 1.3e-05`."""
    rest = " ".join(f"{_short(name)} {number(v)}" for name, v in params.items() if name != "optimizer")
    return f"{params.get('optimizer', '')} {rest}".strip()


def _short(name: str) -> str:
    spec = HYPERPARAMETERS.get(name)
    return spec.short if spec else name.removeprefix(MODEL)


def number(value: Value) -> str:
    """Two significant digits for a float, everything else as it is."""
    return value_text(value, lambda one: f"{one:.2g}")


def objective_value(value: float | None, objective: str) -> str:
    """An accuracy in percent, a loss as it is, a dash for none."""
    if value is None:
        return "-"
    return objective_of(objective).format(value)


def trial_name(number: int, label: str) -> str:
    """`#7`, with the name of a reference."""
    return f"#{number} {label}".strip()


def finished_line(row: TrialRow, objective: str) -> str:
    """One finished trial on one line."""
    reason = f" ({row.reason})" if row.reason else ""
    at = f" at epoch {row.best_epoch} of {row.epochs}" if row.best_epoch else ""
    return (
        f"{trial_name(row.number, row.label)}: {row.state_text}{reason}, {objective_value(row.value, objective)}{at}, "
        f"{duration(row.seconds)}, {configuration(row.params)}"
    )
