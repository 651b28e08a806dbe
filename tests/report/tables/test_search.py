from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from hw2tune.records.replicates import Candidate, Race
from hw2tune.report.study_data import StudyData, read_study_data
from hw2tune.report.tables import race_table
from tests.report.fake_study import write_fake_study


@pytest.fixture(scope="module")
def fake(tmp_path_factory: pytest.TempPathFactory) -> StudyData:
    return read_study_data(write_fake_study(tmp_path_factory.mktemp("results"), seeds=0))


def test_the_race_ranks_by_mean_and_names_who_was_overtaken(fake: StudyData) -> None:
    race = Race(
        objective="validation_loss", direction="minimize", seeds=[4, 5], winner=8,
        candidates=[
            Candidate(trial=2, params={"optimizer": "sgd", "momentum": 0.9}, search_value=0.10, values=[0.3, 0.5]),
            Candidate(trial=8, params={"optimizer": "adam"}, search_value=0.11, values=[0.2, 0.4]),
            Candidate(trial=5, params={"optimizer": "adam"}, search_value=0.12, values=[None, None]),
        ],
    )  # fmt: skip
    table = race_table(replace(fake, race=race))
    assert table["trial"].tolist() == [2, 8, 5]
    assert table["search_rank"].tolist() == [1, 2, 3]
    assert table["race_mean"].tolist()[:2] == pytest.approx([0.4, 0.3])
    assert table["race_rank"].tolist()[:2] == [2, 1]
    assert pd.isna(table.loc[2, "race_mean"])
    assert pd.isna(table.loc[2, "race_rank"])
    assert table["seed_5"].tolist()[:2] == [0.5, 0.4]
    assert table["n"].tolist() == [2, 2, 0]
    assert table["overtaken"].tolist() == [True, False, False]
    assert table["winner"].tolist() == [False, True, False]


def test_without_a_race_the_table_is_empty(fake: StudyData) -> None:
    table = race_table(replace(fake, race=None))
    assert table.empty
    assert {"trial", "search_value", "race_rank", "winner"} <= set(table.columns)
