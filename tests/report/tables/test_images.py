from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from hw2tune.inference.statistics import wilson
from hw2tune.report.tables import confusion_table, per_class_table

LABELS = np.array([0, 0, 0, 1, 1, 2], dtype=np.uint8)
PREDICTED = np.array([0, 0, 1, 1, 1, 0], dtype=np.uint8)
CLASSES = ["cat", "dog", "ship", "frog"]  # ship is never predicted, frog does not occur


def test_rows_of_the_confusion_table_are_true_classes() -> None:
    table = confusion_table(LABELS, PREDICTED, CLASSES)
    assert table.to_numpy().tolist() == [[2, 1, 0, 0], [0, 2, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    assert table.loc["ship", "cat"] == 1


def test_class_numbers_beyond_a_byte_do_not_overflow() -> None:
    labels = np.array([199], dtype=np.uint8)
    table = confusion_table(labels, labels, [str(k) for k in range(200)])
    assert (int(table.to_numpy().sum()), table.loc["199", "199"]) == (1, 1)


def test_accuracy_of_a_class_comes_with_wilsons_interval() -> None:
    row = per_class_table(LABELS, PREDICTED, CLASSES).iloc[0]
    interval = wilson(2, 3)
    assert interval is not None
    assert (row["images"], row["correct"], row["predicted"]) == (3, 2, 3)
    assert (row["accuracy"], row["low"], row["high"]) == pytest.approx((2 / 3, *interval))
    assert row["precision"] == pytest.approx(2 / 3)


def test_a_class_never_predicted_has_accuracy_zero_and_no_precision() -> None:
    row = per_class_table(LABELS, PREDICTED, CLASSES).iloc[2]
    assert (row["never_predicted"], row["accuracy"], row["low"]) == (True, 0.0, 0.0)
    assert row["high"] > 0.5  # one image tells little
    assert pd.isna(row["precision"])


def test_a_class_without_images_has_no_accuracy() -> None:
    row = per_class_table(LABELS, PREDICTED, CLASSES).iloc[3]
    assert row["images"] == 0
    assert row[["accuracy", "low", "high"]].isna().all()
