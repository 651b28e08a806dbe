"""Tables of the variants: what their replicates scored, and the pairs that claims are about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from hw2tune.records.replicates import Evaluation, Replicate
from hw2tune.report.inference.claims import CAVEAT, ClaimResult
from hw2tune.report.inference.pairs import overlaps_training
from hw2tune.report.inference.statistics import summarize
from hw2tune.report.study_data import StudyData
from hw2tune.report.tables.frames import FLAG, INTEGER, NUMBER, TEXT, frame, hyperparameter_columns


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
