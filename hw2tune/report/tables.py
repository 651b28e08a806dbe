"""Every table of the report: pandas DataFrames, computed here and tested on numbers, drawn and written elsewhere.

Accuracies are fractions, losses nats per image. What is missing is an empty table with its columns, or NaN / <NA>.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from hw2tune.inference.statistics import summarize, wilson
from hw2tune.inference.units import over_units
from hw2tune.records.arrays import Array
from hw2tune.records.overview import Overview
from hw2tune.records.replicates import QUANTITIES, Replicate, ReplicatesFolder, read_race
from hw2tune.report.claims import CAVEAT, ClaimResult, overlaps_training
from hw2tune.report.configurations import shared_params
from hw2tune.report.selection import overtaken, race_summary
from hw2tune.report.sound import sound_race
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
    """One row a variant that has replicates, in the order of the study: means over the `n` finished ones.

    test_value is in the objective's metric, whose name is in `metric`; low and high are 95 % t intervals at the chosen
    epoch over seeds, or over the means of searches or splits; a hyperparameter in which the winners of several searches
    differ is missing; chosen_epochs is "4 5 5" by seed, seconds the mean of all
    replicates; caveat says where "test" is no test.
    """
    metric = data.overview.study.objective_spec.metric
    rows = [_variant_row(replicates, metric, data.unit_of) for name in data.variants if (replicates := data.of(name))]
    measured = ("validation_accuracy", "test_accuracy", "test_sd", "test_low", "test_high", "last_test_accuracy")
    columns = {"variant": TEXT} | hyperparameter_columns(r.params for r in data.replicates)
    columns |= {"n": INTEGER, "unfinished": INTEGER} | dict.fromkeys(measured, NUMBER)
    columns |= {"test_loss": NUMBER, "metric": TEXT} | dict.fromkeys(("test_value", "value_low", "value_high"), NUMBER)
    return frame(rows, columns | {"chosen_epochs": TEXT, "seconds": NUMBER, "caveat": TEXT})


def _variant_row(replicates: Sequence[Replicate], metric: str, unit_of: Callable[[int], int]) -> dict[str, Any]:
    rows = [_replicate_row(replicate, metric) for replicate in replicates]
    finished = [row for row in rows if row["chosen_epoch"] is not None]

    def summary(name: str) -> dict[str, Any]:
        found = over_units({row["seed"]: row[name] for row in finished if row[name] is not None}, unit_of)
        return vars(found) if found else {}

    test, of_metric = summary("test_accuracy"), summary("test_value")

    def mean(name: str, rows: Sequence[Mapping[str, Any]] = finished) -> float | None:
        known = [row[name] for row in rows if row[name] is not None]
        return float(np.mean(known)) if known else None

    return {
        "variant": replicates[0].variant,
        **shared_params(replicates),
        "n": len(finished),
        "unfinished": len(rows) - len(finished),
        "test_accuracy": test.get("mean"),
        **{f"test_{name}": value for name, value in test.items()},
        **{name: mean(name) for name in ("validation_accuracy", "last_test_accuracy", "test_loss")},
        "metric": metric,
        "test_value": of_metric.get("mean"),
        "value_low": of_metric.get("low"),
        "value_high": of_metric.get("high"),
        "chosen_epochs": " ".join(str(row["chosen_epoch"]) for row in finished),
        "seconds": mean("seconds", rows),
        "caveat": CAVEAT if any(row["overlaps_training"] for row in rows) else "",
    }


def replicates_table(data: StudyData) -> pd.DataFrame:
    """One row a replicate; validation and test are of the chosen epoch, test_value in the objective's `metric`."""
    split = {"split": INTEGER} if data.family[0] == "split" else {}
    columns = {"variant": TEXT, **split, "seed": INTEGER, "state": TEXT, "reason": TEXT}
    columns |= hyperparameter_columns(r.params for r in data.replicates)
    columns |= {"chosen_epoch": INTEGER, "validation_accuracy": NUMBER, "test_accuracy": NUMBER, "test_loss": NUMBER}
    columns |= {"metric": TEXT, "test_value": NUMBER, "correct": INTEGER, "total": INTEGER, "last_epoch": INTEGER}
    columns |= {"last_test_accuracy": NUMBER, "last_test_loss": NUMBER, "overlaps_training": FLAG, "seconds": NUMBER}
    metric = data.overview.study.objective_spec.metric
    return frame([_replicate_row(one, metric) | {"split": data.unit_of(one.seed)} for one in data.replicates], columns)


def _replicate_row(replicate: Replicate, metric: str) -> dict[str, Any]:
    chosen, last = (vars(one) if one else {} for one in (replicate.chosen, replicate.last))
    validation = {epoch["epoch"]: epoch.get("validation_accuracy") for epoch in replicate.epochs}
    return {
        **vars(replicate),
        **replicate.params,
        "chosen_epoch": chosen.get("epoch"),
        "validation_accuracy": validation.get(chosen.get("epoch")),
        "test_accuracy": chosen.get("accuracy"),
        "test_loss": chosen.get("loss"),
        "metric": metric,
        "test_value": replicate.chosen and replicate.chosen.measured(metric),
        "correct": chosen.get("correct"),
        "total": chosen.get("total"),
        "last_epoch": last.get("epoch"),
        "last_test_accuracy": last.get("accuracy"),
        "last_test_loss": last.get("loss"),
        "overlaps_training": overlaps_training(replicate),
    }


def pairs_table(claims: Sequence[ClaimResult]) -> pd.DataFrame:
    """One row a claim; differences of accuracy are fractions, positive if `variant` is better.

    low and high are the interval that decides, the hull of those over seeds and over seeds and test images.
    """
    columns = {"variant": TEXT, "against": TEXT, "verdict": TEXT, "within": FLAG, "n": INTEGER, "unit": TEXT}
    columns |= dict.fromkeys(("difference", "sd", "low", "high", "worth", "seeds_low", "seeds_high"), NUMBER)
    columns |= dict.fromkeys(("two_way_low", "two_way_high", "e_value", "p"), NUMBER)
    columns |= dict.fromkeys(("reached", "same_reached", "trained", "failed", "failed_against", "needed_n"), INTEGER)
    columns |= {"needed_difference": NUMBER} | dict.fromkeys(("median_seed", "fixed", "broken"), INTEGER)
    return frame([claim.numbers for claim in claims], columns | {"metric": TEXT, "caveat": TEXT, "sentence": TEXT})


def differences_table(claims: Sequence[ClaimResult]) -> pd.DataFrame:
    """One row a claim and seed: the differences of which `pairs_table` has the means; for searches one row each."""
    rows, split = [], {"split": INTEGER} if any(one.evidence and one.evidence.unit == "split" for one in claims) else {}
    for claim in claims:
        if (evidence := claim.evidence) is None:
            continue
        each = evidence.pairs if evidence.unit == "split" else evidence
        for place, (seed, difference) in enumerate(zip(each.seeds, each.differences, strict=True)):
            of = {"split": evidence.units[place]} if split else {}
            rows.append(
                {"variant": claim.variant, "against": claim.against, "seed": seed, "difference": difference, **of}
            )
    return frame(rows, {"variant": TEXT, "against": TEXT, **split, "seed": INTEGER, "difference": NUMBER})


def race_table(data: StudyData) -> pd.DataFrame:
    """One row a candidate, in the order of the search; empty without a race.

    seed_<seed> is missing where it diverged or did not run, race_rank 1 is the best, expected the posterior mean (see
    `replication.race`), probability that of being best; overtaken ones stood before the winner in the search.
    """
    race = data.race
    candidates, seeds = (race.candidates, race.seeds) if race else ([], [])
    columns = {"trial": INTEGER} | hyperparameter_columns(candidate.params for candidate in candidates)
    columns |= {"search_rank": INTEGER, "search_value": NUMBER} | {f"seed_{seed}": NUMBER for seed in seeds}
    columns |= {"n": INTEGER, "race_mean": NUMBER, "race_rank": INTEGER, "expected": NUMBER, "probability": NUMBER}
    columns |= {"overtaken": FLAG, "winner": FLAG}
    rows = []
    for rank, candidate in enumerate(candidates, 1):
        summary = race_summary(candidate)
        row = {
            **vars(candidate),
            **candidate.params,
            "search_rank": rank,
            **{f"seed_{seed}": value for seed, value in zip(seeds, candidate.values, strict=False)},
            "n": summary.n if summary else 0,
            "race_mean": summary and summary.mean,
            "overtaken": race is not None and candidate in overtaken(race),
            "winner": race is not None and candidate.trial == race.winner,
        }
        rows.append(row)
    table = frame(rows, columns)
    ascending = race is not None and sign_of(race.direction) < 0
    ranked = table["expected"].fillna(table["race_mean"])
    table["race_rank"] = ranked.rank(method="min", ascending=ascending).astype("Int64")
    return table


def searches_table(data: StudyData) -> pd.DataFrame:
    """One row a search: arm, search (from 1), seed, state, trials, epochs, best_trial, best_value, winner, its
    expected value by the race and probability of being best, and its hyperparameters.
    """
    arms = len(data.overview.study.arms)
    rows = [{"search": place // arms + 1, **_search_row(search)} for place, search in enumerate(data.overview.searches)]
    columns = {"arm": TEXT, "search": INTEGER, "seed": INTEGER, "state": TEXT, "trials": INTEGER, "epochs": INTEGER}
    columns |= {"best_trial": INTEGER, "best_value": NUMBER, "winner": INTEGER}
    columns |= {"expected": NUMBER, "probability": NUMBER}
    return frame(rows, columns | hyperparameter_columns(row["params"] for row in rows))


def _search_row(search: Overview) -> dict[str, Any]:
    best, race = search.best, read_race(ReplicatesFolder.of(search.folder))
    race = race and sound_race(race)
    winner = next((one for one in race.candidates if one.trial == race.winner), None) if race else None
    params = search.study.complete(winner.params) if winner else {}
    return {
        "arm": search.folder.root.name, "seed": search.study.seed, "state": search.state,
        "trials": len(search.finished),
        "epochs": sum(row.epochs_spent for row in search.finished),
        "best_trial": best and best.number, "best_value": best and best.value,
        "winner": winner and winner.trial, "expected": winner and winner.expected,
        "probability": winner and winner.probability, **params, "params": params,
    }  # fmt: skip


def epochs_table(data: StudyData) -> pd.DataFrame:
    """One row a replicate and epoch: variant, seed, epoch, <QUANTITIES>, train_seconds, and what else epochs hold."""
    rows = [{"variant": one.variant, "seed": one.seed, **epoch} for one in data.replicates for epoch in one.epochs]
    columns = {"variant": TEXT, "seed": INTEGER, "epoch": INTEGER}
    columns |= dict.fromkeys((*QUANTITIES, "train_seconds"), NUMBER)
    return frame(rows, columns | {name: NUMBER for row in rows for name in row if name not in columns})


def curve_table(data: StudyData, quantity: str) -> pd.DataFrame:
    """One row a variant and epoch: variant, epoch, n, mean, min, max, low, high (95 % t interval of the mean).

    Over the replicates that reached the epoch with a finite value: `n` falls where one diverged. With n = 1, low and
    high are missing. Empty where no epoch has the quantity.
    """
    epochs = epochs_table(data)
    finite = epochs[np.isfinite(epochs[quantity])] if quantity in epochs else epochs[:0]
    rows = []
    for variant, curve in finite.groupby("variant", sort=False):
        for epoch, group in curve.groupby("epoch"):
            values = group[quantity].to_numpy()
            summary = vars(summarize(values)) | {"min": float(values.min()), "max": float(values.max())}
            rows.append({"variant": variant, "epoch": epoch, **summary})
    numbers = dict.fromkeys(("mean", "min", "max", "low", "high"), NUMBER)
    return frame(rows, {"variant": TEXT, "epoch": INTEGER, "n": INTEGER} | numbers)


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
    rows = []
    for k, name in enumerate(classes):
        correct, images, answers = int(counts[k, k]), int(counts[k].sum()), int(counts[:, k].sum())
        low, high = wilson(correct, images) or (None, None)
        row = {"class": name, "images": images, "correct": correct, "low": low, "high": high, "predicted": answers}
        row |= {"accuracy": correct / images if images else None, "precision": correct / answers if answers else None}
        rows.append(row | {"never_predicted": answers == 0})
    columns = {"class": TEXT, "images": INTEGER, "correct": INTEGER, "accuracy": NUMBER, "low": NUMBER, "high": NUMBER}
    columns |= {"predicted": INTEGER, "precision": NUMBER, "never_predicted": FLAG}
    return frame(rows, columns)
