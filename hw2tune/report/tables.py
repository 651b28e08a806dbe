"""Every table of the report: pandas DataFrames, computed here and tested on numbers, drawn and written elsewhere.

Accuracies are fractions, losses nats per image. What is missing is an empty table with its columns, or NaN / <NA>.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from hw2tune.records.replicates import Array, Candidate, Evaluation, Race, Replicate
from hw2tune.report.inference.claims import CAVEAT, ClaimResult
from hw2tune.report.inference.pairs import overlaps_training
from hw2tune.report.inference.selection import overtaken, race_summary
from hw2tune.report.inference.statistics import summarize, wilson
from hw2tune.report.sound import QUANTITIES
from hw2tune.report.study_data import StudyData
from hw2tune.study.hyperparameters import HYPERPARAMETERS, KNOWN, Value
from hw2tune.study.objectives import sign_of

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


def variants_table(data: StudyData) -> pd.DataFrame:
    """One row a variant that has replicates, in the order of the study.

    Columns: variant, <hyperparameters>, n (finished), unfinished, validation_accuracy (mean at the chosen epoch),
    test_accuracy, test_sd, test_low, test_high (95 % t interval; at the chosen epoch), last_test_accuracy, test_loss,
    chosen_epochs ("4 5 5", by seed), seconds (mean of all), caveat (where "test" is no test).
    """
    rows = [_variant_row(replicates) for name in data.variants if (replicates := data.of(name))]
    measured = ("validation_accuracy", "test_accuracy", "test_sd", "test_low", "test_high", "last_test_accuracy")
    columns = {"variant": TEXT} | hyperparameter_columns(r.params for r in data.replicates)
    columns |= {"n": INTEGER, "unfinished": INTEGER} | dict.fromkeys(measured, NUMBER)
    return frame(rows, columns | {"test_loss": NUMBER, "chosen_epochs": TEXT, "seconds": NUMBER, "caveat": TEXT})


def _variant_row(replicates: Sequence[Replicate]) -> dict[str, Any]:
    rows = [_replicate_row(replicate) for replicate in replicates]
    finished = [row for row in rows if row["chosen_epoch"] is not None]
    test = summarize([row["test_accuracy"] for row in finished]) if finished else None
    return {
        "variant": replicates[0].variant,
        **replicates[0].params,
        "n": len(finished),
        "unfinished": len(rows) - len(finished),
        "validation_accuracy": _mean(row["validation_accuracy"] for row in finished),
        "test_accuracy": test and test.mean,
        "test_sd": test and test.sd,
        "test_low": test and test.low,
        "test_high": test and test.high,
        "last_test_accuracy": _mean(row["last_test_accuracy"] for row in finished),
        "test_loss": _mean(row["test_loss"] for row in finished),
        "chosen_epochs": " ".join(str(row["chosen_epoch"]) for row in finished),
        "seconds": _mean(row["seconds"] for row in rows),
        "caveat": CAVEAT if any(row["overlaps_training"] for row in rows) else "",
    }


def replicates_table(data: StudyData) -> pd.DataFrame:
    """One row a replicate.

    Columns: variant, seed, state, reason, <hyperparameters>, chosen_epoch, validation_accuracy (there), test_accuracy,
    test_loss, correct, total, last_epoch, last_test_accuracy, last_test_loss, overlaps_training, seconds.
    """
    columns = {"variant": TEXT, "seed": INTEGER, "state": TEXT, "reason": TEXT}
    columns |= hyperparameter_columns(r.params for r in data.replicates)
    columns |= {"chosen_epoch": INTEGER, "validation_accuracy": NUMBER, "test_accuracy": NUMBER, "test_loss": NUMBER}
    columns |= {"correct": INTEGER, "total": INTEGER, "last_epoch": INTEGER, "last_test_accuracy": NUMBER}
    columns |= {"last_test_loss": NUMBER, "overlaps_training": FLAG, "seconds": NUMBER}
    return frame([_replicate_row(replicate) for replicate in data.replicates], columns)


def _replicate_row(replicate: Replicate) -> dict[str, Any]:
    chosen, last = (
        {} if evaluation is None else asdict(evaluation) for evaluation in (replicate.chosen, replicate.last)
    )
    return {
        "variant": replicate.variant,
        "seed": replicate.seed,
        "state": replicate.state,
        "reason": replicate.reason,
        **replicate.params,
        "chosen_epoch": chosen.get("epoch"),
        "validation_accuracy": _validation_accuracy(replicate, replicate.chosen),
        "test_accuracy": chosen.get("accuracy"),
        "test_loss": chosen.get("loss"),
        "correct": chosen.get("correct"),
        "total": chosen.get("total"),
        "last_epoch": last.get("epoch"),
        "last_test_accuracy": last.get("accuracy"),
        "last_test_loss": last.get("loss"),
        "overlaps_training": overlaps_training(replicate),
        "seconds": replicate.seconds,
    }


def _validation_accuracy(replicate: Replicate, at: Evaluation | None) -> float | None:
    epochs = {epoch["epoch"]: epoch for epoch in replicate.epochs}
    return epochs.get(at.epoch, {}).get("validation_accuracy") if at else None


def _mean(values: Any) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def pairs_table(claims: Sequence[ClaimResult]) -> pd.DataFrame:
    """One row a claim; differences of test accuracy are fractions.

    Columns: variant, against, verdict, n, difference, sd, low, high, permutation_p, permutation_floor, holm_p,
    needed_n, median_seed, fixed, broken, mcnemar_p, caveat, sentence.
    """
    columns = {"variant": TEXT, "against": TEXT, "verdict": TEXT, "n": INTEGER, "difference": NUMBER}
    columns |= dict.fromkeys(("sd", "low", "high", "permutation_p", "permutation_floor", "holm_p"), NUMBER)
    columns |= dict.fromkeys(("needed_n", "median_seed", "fixed", "broken"), INTEGER)
    return frame(
        [_pair_row(claim) for claim in claims], columns | {"mcnemar_p": NUMBER, "caveat": TEXT, "sentence": TEXT}
    )


def _pair_row(claim: ClaimResult) -> dict[str, Any]:
    numbers = {"n": 0} if claim.comparison is None else asdict(claim.comparison)
    test = {} if claim.mcnemar is None else asdict(claim.mcnemar)
    return {**numbers, **asdict(claim), **test, "difference": numbers.get("mean"), "mcnemar_p": test.get("p")}


def trials_table(data: StudyData) -> pd.DataFrame:
    """One row a trial: number, label, state, reason, epochs, value, best_epoch, seconds, <hyperparameters>."""
    rows = [{**asdict(row), **row.params} for row in data.overview.rows]
    columns = {"number": INTEGER, "label": TEXT, "state": TEXT, "reason": TEXT, "epochs": INTEGER, "value": NUMBER}
    columns |= {"best_epoch": INTEGER, "seconds": NUMBER}
    return frame(rows, columns | hyperparameter_columns(row.params for row in data.overview.rows))


def race_table(data: StudyData) -> pd.DataFrame:
    """One row a candidate, in the order of the search; empty without a race.

    Columns: trial, <hyperparameters>, search_rank, search_value, seed_<seed> for each seed (missing where it diverged
    or did not run), n, race_mean, race_rank (1 is the best), expected (posterior mean: see `replication.race`),
    probability (of being best), overtaken (stood before the winner in the search), winner.
    """
    race = data.race
    candidates = race.candidates if race else []
    columns = {"trial": INTEGER} | hyperparameter_columns(candidate.params for candidate in candidates)
    columns |= {"search_rank": INTEGER, "search_value": NUMBER}
    columns |= {f"seed_{seed}": NUMBER for seed in (race.seeds if race else [])}
    columns |= {"n": INTEGER, "race_mean": NUMBER, "race_rank": INTEGER, "expected": NUMBER, "probability": NUMBER}
    columns |= {"overtaken": FLAG, "winner": FLAG}
    table = frame([_race_row(race, rank, c) for rank, c in enumerate(candidates, 1)] if race else [], columns)
    ascending = race is not None and sign_of(race.direction) < 0
    ranked = table["expected"].fillna(table["race_mean"])
    table["race_rank"] = ranked.rank(method="min", ascending=ascending).astype("Int64")
    return table


def _race_row(race: Race, rank: int, candidate: Candidate) -> dict[str, Any]:
    summary = race_summary(candidate)
    return {
        "trial": candidate.trial,
        **candidate.params,
        "search_rank": rank,
        "search_value": candidate.search_value,
        **{f"seed_{seed}": value for seed, value in zip(race.seeds, candidate.values, strict=False)},
        "n": summary.n if summary else 0,
        "race_mean": summary and summary.mean,
        "expected": candidate.expected,
        "probability": candidate.probability,
        "overtaken": candidate in overtaken(race),
        "winner": candidate.trial == race.winner,
    }


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
