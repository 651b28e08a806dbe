from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hw2tune.report.inference.claims import claims
from hw2tune.report.inference.statistics import wilson
from hw2tune.report.study_data import StudyData, read_study_data
from hw2tune.report.tables import confusion_table, fixed_broken_table, per_class_table
from tests.report.fake_study import write_fake_study

LABELS = np.array([0, 0, 0, 1, 1, 2], dtype=np.uint8)
PREDICTED = np.array([0, 0, 1, 1, 1, 0], dtype=np.uint8)
CLASSES = ["cat", "dog", "ship", "frog"]  # ship is never predicted, frog does not occur


@pytest.fixture(scope="module")
def fake(tmp_path_factory: pytest.TempPathFactory) -> StudyData:
    return read_study_data(write_fake_study(tmp_path_factory.mktemp("results"), seeds=3))


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
    assert (row["accuracy"], row["low"], row["high"]) == pytest.approx((2 / 3, interval.low, interval.high))
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


def test_fixed_and_broken_images_are_those_of_the_gallery_on_the_median_seed(fake: StudyData) -> None:
    claim = claims(fake)[1]
    table = fixed_broken_table(fake, claim)
    assert claim.median_seed is not None
    assert fake.gallery is not None
    after, before = (fake.arrays(variant, claim.median_seed) for variant in ("tuned", "baseline"))
    assert after is not None
    assert before is not None
    expected = {"fixed": set(), "broken": set()}  # type: dict[str, set[int]]
    for index in fake.gallery.indices:
        right = [bool(arrays["predicted"][index] == arrays["labels"][index]) for arrays in (before, after)]
        if right[0] != right[1]:
            expected["fixed" if right[1] else "broken"].add(int(index))
    for change, indices in expected.items():
        assert set(table.loc[table["change"] == change, "index"]) == indices
    first = table.iloc[0]
    assert fake.gallery.indices[first["gallery"]] == first["index"]
    assert fake.gallery.labels[first["gallery"]] == first["label"]
    assert before["confidence"][first["index"]] == pytest.approx(first["confidence_before"])


def test_without_arrays_or_gallery_no_image_is_fixed_or_broken(tmp_path: Path, fake: StudyData) -> None:
    claim = claims(fake)[1]
    assert fixed_broken_table(replace(fake, gallery=None), claim).empty
    assert fixed_broken_table(fake, replace(claim, median_seed=None)).empty
    folder = write_fake_study(tmp_path, seeds=1)
    (folder.root / "replicates" / "tuned" / "0" / "arrays.npz").write_bytes(b"torn")
    data = read_study_data(folder)
    assert fixed_broken_table(data, claims(data)[1]).empty
