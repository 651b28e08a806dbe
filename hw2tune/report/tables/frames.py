"""Tables with the same columns and types whatever is missing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from hw2tune.study.hyperparameters import HYPERPARAMETERS, KNOWN, Value

TEXT, INTEGER, NUMBER, FLAG = "str", "Int64", "float64", "boolean"
OF_THE_PUBLISHED = ("learning_rate", "batch_size", "optimizer", "momentum", "weight_decay")
_TYPES = {"number": NUMBER, "integer": INTEGER, "text": TEXT, "switch": FLAG}


def frame(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> pd.DataFrame:
    """A table with these columns and types, also without rows. What a row lacks or has as None is missing."""
    return pd.DataFrame(
        {name: pd.Series([row.get(name) for row in rows], dtype=dtype) for name, dtype in columns.items()}
    )


def hyperparameter_columns(configurations: Iterable[Mapping[str, Value]]) -> dict[str, str]:
    """The known hyperparameters, those of the published runs whether or not they are there; then any others by name."""
    there = {name for params in configurations for name in params}
    known = {
        name: _TYPES[spec.kind] for name, spec in HYPERPARAMETERS.items() if name in there or name in OF_THE_PUBLISHED
    }
    return known | dict.fromkeys(sorted(there - set(KNOWN)), "object")
