"""Tables about single images and classes, from the predictions of replicates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from hw2tune.records.replicates.records import Array
from hw2tune.report.inference.claims import Claim
from hw2tune.report.inference.pairs import predictions
from hw2tune.report.inference.statistics import wilson
from hw2tune.report.study_data import StudyData
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


def fixed_broken_table(data: StudyData, claim: Claim) -> pd.DataFrame:
    """The gallery's images that the claim's variant fixed or broke, on its median seed, in the gallery's order.

    Columns: gallery (index into Gallery.images), index (into the test split), label, before (predicted by `against`),
    after (by `variant`), confidence_before, confidence_after, change ("fixed" or "broken").
    Empty where there is no median seed, or arrays or gallery are missing or do not fit.
    """
    columns = dict.fromkeys(("gallery", "index", "label", "before", "after"), INTEGER)
    columns |= {"confidence_before": NUMBER, "confidence_after": NUMBER, "change": TEXT}
    return frame(_changes(data, claim), columns)


def _changes(data: StudyData, claim: Claim) -> list[dict[str, Any]]:
    if claim.median_seed is None or data.gallery is None:
        return []
    arrays = predictions(data, claim.variant, claim.against, claim.median_seed)
    indices = data.gallery.indices
    if arrays is None or (len(indices) and int(indices.max()) >= len(arrays[0]["labels"])):
        return []
    after, before = arrays
    right_after, right_before = (each["predicted"] == each["labels"] for each in arrays)
    return [
        {
            "gallery": g,
            "index": i,
            "label": after["labels"][i],
            "before": before["predicted"][i],
            "after": after["predicted"][i],
            "confidence_before": before["confidence"][i],
            "confidence_after": after["confidence"][i],
            "change": "fixed" if right_after[i] else "broken",
        }
        for g, i in enumerate(indices)
        if right_after[i] != right_before[i]
    ]
