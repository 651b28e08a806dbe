from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from hw2tune.report.claims import CAVEAT, claims
from hw2tune.report.selection import optimism
from hw2tune.report.study_data import StudyData, read_study_data
from hw2tune.report.tables import pairs_table, replicates_table, variants_table
from tests.report.fake_study import write_fake_study


@pytest.fixture(scope="module")
def fake(tmp_path_factory: pytest.TempPathFactory) -> StudyData:
    return read_study_data(write_fake_study(tmp_path_factory.mktemp("results"), seeds=3))


def diverged(data: StudyData, variant: str, seed: int) -> StudyData:
    return replace(
        data,
        replicates=[
            replace(r, state="diverged", reason="loss nan", epochs=r.epochs[:1], chosen=None, last=None)
            if (r.variant, r.seed) == (variant, seed)
            else r
            for r in data.replicates
        ],
    )


def test_variants_stand_in_order_with_means_and_intervals(fake: StudyData) -> None:
    table = variants_table(fake).set_index("variant")
    assert list(table.index) == ["baseline", "l2", "tuned", "tuned-no-l2"]
    accuracies = [r.chosen.accuracy for r in fake.of("tuned") if r.chosen]
    interval = stats.t.interval(0.95, 2, loc=np.mean(accuracies), scale=stats.sem(accuracies))
    row = table.loc["tuned"]
    assert row["test_accuracy"] == pytest.approx(np.mean(accuracies))
    assert (row["test_low"], row["test_high"]) == pytest.approx(interval)
    assert (row["n"], row["unfinished"], row["chosen_epochs"], row["caveat"]) == (3, 0, "4 4 4", "")
    # the fixture: truth 0.95 shifted by -0.005, 0, 0.005, times 1 - 0.55**4 at the chosen epoch 4
    assert row["validation_accuracy"] == pytest.approx(0.95 * (1 - 0.55**4))
    assert row["weight_decay"] == 1e-4
    assert table.loc["tuned-no-l2", "weight_decay"] == 0.0


def test_a_diverged_replicate_is_counted_and_left_out_of_the_mean(fake: StudyData) -> None:
    data = diverged(fake, "tuned", 1)
    row = variants_table(data).set_index("variant").loc["tuned"]
    accuracies = [r.chosen.accuracy for r in fake.of("tuned") if r.chosen and r.seed != 1]
    assert (row["n"], row["unfinished"]) == (2, 1)
    assert row["test_accuracy"] == pytest.approx(np.mean(accuracies))
    replicates = replicates_table(data).set_index(["variant", "seed"]).loc[("tuned", 1)]
    assert (replicates["state"], replicates["reason"]) == ("diverged", "loss nan")
    assert pd.isna(replicates["test_accuracy"])
    assert pd.isna(replicates["chosen_epoch"])


def test_a_variant_whose_replicates_all_diverged_keeps_its_row(fake: StudyData) -> None:
    data = diverged(diverged(diverged(fake, "l2", 0), "l2", 1), "l2", 2)
    row = variants_table(data).set_index("variant").loc["l2"]
    assert (row["n"], row["unfinished"], row["chosen_epochs"]) == (0, 3, "")
    assert pd.isna(row["test_accuracy"])


def test_one_replicate_has_a_mean_and_no_interval(fake: StudyData) -> None:
    one = replace(fake, replicates=[r for r in fake.replicates if r.seed == 0])
    row = variants_table(one).iloc[0]
    assert row["n"] == 1
    assert not pd.isna(row["test_accuracy"])
    assert row[["test_sd", "test_low", "test_high"]].isna().all()


def test_replicates_carry_their_counts(fake: StudyData) -> None:
    table = replicates_table(fake)
    assert len(table) == 12
    assert (table["correct"] / table["total"]).tolist() == table["test_accuracy"].tolist()
    assert not table["overlaps_training"].any()


def test_the_objectives_own_metric_stands_beside_accuracy(fake: StudyData) -> None:
    study = fake.overview.study.model_copy(update={"objective": "macro_f1"})
    data = replace(
        fake,
        overview=replace(fake.overview, study=study),
        replicates=[
            replace(one, chosen=replace(one.chosen, metric="macro_f1", value=0.9 + one.seed / 100))
            for one in fake.replicates
            if one.chosen and one.variant != "l2"
        ]
        + fake.of("l2"),  # as an earlier version tested it
    )
    assert optimism(data).test.mean == pytest.approx(0.91)  # type: ignore[union-attr]
    values = replicates_table(data).set_index(["variant", "seed"])["test_value"]
    assert values["tuned"].tolist() == [0.9, 0.91, 0.92] and values["l2"].isna().all()
    row = variants_table(data).set_index("variant").loc["tuned"]
    half = 4.302653 * 0.01 / np.sqrt(3)  # t of two degrees of freedom
    assert (row["metric"], row["test_value"]) == ("macro_f1", pytest.approx(0.91))
    assert (row["value_low"], row["value_high"]) == pytest.approx((0.91 - half, 0.91 + half))


def test_figures_from_training_images_carry_the_caveat(fake: StudyData) -> None:
    first = fake.replicates[0]
    assert first.last is not None
    marked = replace(first, last=replace(first.last, overlaps_training=True))
    data = replace(fake, replicates=[marked, *fake.replicates[1:]])
    assert variants_table(data)["caveat"].tolist() == [CAVEAT, "", "", ""]
    assert replicates_table(data)["overlaps_training"].sum() == 1


def test_pairs_repeat_the_numbers_of_their_claims(fake: StudyData) -> None:
    found = claims(fake)
    table = pairs_table(found)
    assert table["sentence"].tolist() == [claim.sentence for claim in found]
    first, row = found[1], table.iloc[1]
    assert first.result is not None and first.result.interval is not None
    assert (row["n"], row["difference"], row["low"]) == (3, first.result.mean, first.result.interval[0])
    assert (row["fixed"], row["broken"], row["verdict"]) == (first.fixed, first.broken, first.verdict)


def test_without_replicates_the_tables_have_their_columns_and_claims_without_numbers(fake: StudyData) -> None:
    nothing = replace(fake, replicates=[])
    full = (variants_table(fake), replicates_table(fake))
    for table, expected in zip((variants_table(nothing), replicates_table(nothing)), full, strict=True):
        assert table.empty
        assert list(table.columns) == list(expected.columns)
    pairs = pairs_table(claims(nothing))
    assert pairs["n"].tolist() == [0, 0, 0]
    assert pairs["difference"].isna().all()


def test_tables_are_the_same_bytes_when_read_again(tmp_path: Path) -> None:
    folder = write_fake_study(tmp_path, seeds=2)
    first, second = (variants_table(read_study_data(folder)).to_csv(index=False) for _ in range(2))
    assert first == second
