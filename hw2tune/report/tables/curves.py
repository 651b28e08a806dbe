"""Tables of curves: every epoch of every replicate, and what a line with a band shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from hw2tune.report.inference.statistics import summarize
from hw2tune.report.sound import QUANTITIES
from hw2tune.report.study_data import StudyData
from hw2tune.report.tables.frames import INTEGER, NUMBER, TEXT, frame

KEY = {"variant": TEXT, "seed": INTEGER, "epoch": INTEGER}
BAND = {"n": INTEGER} | dict.fromkeys(("mean", "min", "max", "low", "high"), NUMBER)


def epochs_table(data: StudyData) -> pd.DataFrame:
    """One row a replicate and epoch: variant, seed, epoch, <QUANTITIES>, train_seconds, and what else epochs hold."""
    rows = [{"variant": r.variant, "seed": r.seed, **epoch} for r in data.replicates for epoch in r.epochs]
    return epochs_frame(rows)


def epochs_frame(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """The same for any rows with variant, seed and epoch, such as a reproduction's; every other column is a number."""
    first = {**KEY, **dict.fromkeys((*QUANTITIES, "train_seconds"), NUMBER)}
    return frame(rows, first | {name: NUMBER for row in rows for name in row if name not in first})


def curve_table(data: StudyData, quantity: str) -> pd.DataFrame:
    """One row a variant and epoch: variant, epoch, n, mean, min, max, low, high (95 % t interval of the mean).

    Over the replicates that reached the epoch with a finite value: `n` falls where one diverged. With n = 1, low and
    high are missing.
    """
    return curve_of(epochs_table(data), quantity)


def curve_of(epochs: pd.DataFrame, quantity: str) -> pd.DataFrame:
    """The same for a table of `epochs_frame`; empty where it lacks the quantity."""
    if quantity not in epochs:
        return frame([], {"variant": TEXT, "epoch": INTEGER} | BAND)
    finite = epochs[np.isfinite(epochs[quantity])]
    rows = [
        {"variant": variant, "epoch": epoch, **_band(group[quantity].to_numpy())}
        for variant in finite["variant"].unique()
        for epoch, group in finite[finite["variant"] == variant].groupby("epoch")
    ]
    return frame(rows, {"variant": TEXT, "epoch": INTEGER} | BAND)


def _band(values: Any) -> dict[str, float | None]:
    summary = summarize(values)
    extremes = {"min": float(values.min()), "max": float(values.max())}
    return {"n": summary.n, "mean": summary.mean, **extremes, "low": summary.low, "high": summary.high}
