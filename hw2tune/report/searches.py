"""The searches of a study with arms: what each found, as a table."""

from __future__ import annotations

from typing import Any

import pandas as pd

from hw2tune.records.overview import Overview
from hw2tune.records.replicates import ReplicatesFolder, read_race
from hw2tune.report.sound import sound_race
from hw2tune.report.study_data import StudyData
from hw2tune.report.tables import INTEGER, NUMBER, TEXT, frame, hyperparameter_columns


def searches_table(data: StudyData) -> pd.DataFrame:
    """One row a search: arm, search (from 1), seed, state, trials, epochs, best_trial, best_value, winner, its
    expected value by the race and probability of being best, and its hyperparameters.
    """
    arms = len(data.overview.study.arms)
    rows = [
        {"search": place // arms + 1, **_row(search)} for place, search in enumerate(data.overview.searches)
    ]  # fmt: skip
    columns = {"arm": TEXT, "search": INTEGER, "seed": INTEGER, "state": TEXT, "trials": INTEGER, "epochs": INTEGER}
    columns |= {"best_trial": INTEGER, "best_value": NUMBER, "winner": INTEGER}
    columns |= {"expected": NUMBER, "probability": NUMBER}
    return frame(rows, columns | hyperparameter_columns(row["params"] for row in rows))


def _row(search: Overview) -> dict[str, Any]:
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
