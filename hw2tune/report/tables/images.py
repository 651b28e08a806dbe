"""Tables about single images and classes, from the predictions of replicates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from hw2tune.records.replicates import Array
from hw2tune.report.inference.statistics import wilson
from hw2tune.report.tables.frames import FLAG, INTEGER, NUMBER, TEXT, frame


def confusion_table(labels: Array, predicted: Array, classes: Sequence[str]) -> pd.DataFrame:
    """(K, K) counts: rows are true classes (the index), columns predicted ones. Arguments: (N,) in 0..K-1."""
    k = len(classes)
    cells = np.bincount(labels.astype(np.int64) * k + predicted.astype(np.int64), minlength=k * k)
    return pd.DataFrame(
        cells.reshape(k, k), index=pd.Index(classes, name="true"), columns=pd.Index(classes, name="predicted")
    )


def per_class_table(labels: Array, predicted: Array, classes: Sequence[str]) -> pd.DataFrame:
    """One row a class.

    Columns: class, images, correct, accuracy (of its images), low, high (Wilson's 95 % interval), predicted (how often
    it was answered), precision (of these answers), never_predicted. A share of nothing is missing.
    """
    counts = confusion_table(labels, predicted, classes).to_numpy()
    columns = {"class": TEXT, "images": INTEGER, "correct": INTEGER, "accuracy": NUMBER, "low": NUMBER, "high": NUMBER}
    columns |= {"predicted": INTEGER, "precision": NUMBER, "never_predicted": FLAG}
    return frame([_class_row(name, counts, k) for k, name in enumerate(classes)], columns)


def _class_row(name: str, counts: Array, k: int) -> dict[str, Any]:
    correct, images, predicted = int(counts[k, k]), int(counts[k].sum()), int(counts[:, k].sum())
    interval = wilson(correct, images)
    return {
        "class": name,
        "images": images,
        "correct": correct,
        "accuracy": correct / images if images else None,
        "low": interval and interval.low,
        "high": interval and interval.high,
        "predicted": predicted,
        "precision": correct / predicted if predicted else None,
        "never_predicted": predicted == 0,
    }
