from __future__ import annotations

import math
from dataclasses import replace

import pandas as pd
import pytest

from hw2tune.report.study_data import StudyData, read_study_data
from hw2tune.report.tables import curve_table, epochs_table
from tests.report.fake_study import write_fake_study

LOSSES = ((1.0, 0.5, 0.4), (2.0, math.nan, math.inf), (3.0, 0.7, math.nan))  # by seed, then by epoch


@pytest.fixture(scope="module")
def fake(tmp_path_factory: pytest.TempPathFactory) -> StudyData:
    return read_study_data(write_fake_study(tmp_path_factory.mktemp("results"), seeds=2))


def test_every_epoch_of_every_replicate_has_a_row(fake: StudyData) -> None:
    table = epochs_table(fake)
    assert len(table) == 4 * 2 * 5
    row = table[(table["variant"] == "tuned") & (table["seed"] == 1) & (table["epoch"] == 3)].iloc[0]
    assert row["validation_loss"] == pytest.approx(2.3 * 0.75**3)
    assert row["images_per_second"] == 4000.0


def test_a_band_is_the_t_interval_of_the_seeds_that_got_there(fake: StudyData) -> None:
    replicates = [
        replace(
            fake.replicates[0], seed=seed, epochs=[{"epoch": e, "train_loss": one} for e, one in enumerate(losses, 1)]
        )
        for seed, losses in enumerate(LOSSES)
    ]
    curve = curve_table(replace(fake, replicates=replicates), "train_loss").set_index("epoch")
    assert curve["n"].tolist() == [3, 2, 1]
    assert curve["mean"].tolist() == pytest.approx([2.0, 0.6, 0.4])
    assert (curve.loc[1, "min"], curve.loc[1, "max"]) == (1.0, 3.0)
    # t(0.975, 2) = 4.3027 times sd 1 / sqrt(3)
    assert curve.loc[1, "high"] == pytest.approx(2 + 4.3027 / math.sqrt(3), abs=1e-4)
    assert pd.isna(curve.loc[3, "low"])


def test_curves_keep_the_order_of_the_variants(fake: StudyData) -> None:
    assert curve_table(fake, "train_loss")["variant"].unique().tolist() == ["baseline", "l2", "tuned", "tuned-no-l2"]


def test_a_quantity_that_no_epoch_holds_gives_an_empty_curve(fake: StudyData) -> None:
    assert curve_table(fake, "held_out_loss").empty
    assert curve_table(replace(fake, replicates=[]), "train_loss").empty
