"""Tables of the search: its trials, and the race of the best of them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pandas as pd

from hw2tune.records.replicates import Candidate, Race
from hw2tune.report.inference.selection import overtaken, race_summary
from hw2tune.report.study_data import StudyData
from hw2tune.report.tables.frames import FLAG, INTEGER, NUMBER, TEXT, frame, hyperparameter_columns
from hw2tune.study.objectives import sign_of


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
