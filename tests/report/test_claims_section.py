from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hw2tune.report.page.blocks import Table
from hw2tune.report.page.claims import pairs_details, pairs_summary, variants_blocks, variants_summary
from hw2tune.report.page.sections import search_blocks
from hw2tune.report.results import StudyResults, compute
from hw2tune.report.study_data import read_study_data
from hw2tune.report.tables import race_table
from hw2tune.report.write import escape, summary_markdown
from hw2tune.text.numbers import DASH
from tests.report.fake_study import write_fake_study

FAVOURED = "chosen by validation on the same seeds that are then tested"


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> StudyResults:
    return compute(read_study_data(write_fake_study(tmp_path_factory.mktemp("results"), seeds=3)))


def test_what_changed_stands_in_words_under_the_pairs(results: StudyResults) -> None:
    names = [block.name for block in variants_blocks(results)]
    assert names[names.index("pairs") + 1] == "pairs-in-detail"
    (details,) = pairs_details(results)
    for claim in results.claims:
        assert f"On the median seed {claim.median_seed}, {claim.variant} fixed" in details.note
    assert escape(details.note) in summary_markdown([results]).strip().split("\n\n")


def test_missing_predictions_are_told_under_the_pairs(tmp_path: Path) -> None:
    folder = write_fake_study(tmp_path, seeds=1)
    (folder.root / "replicates" / "l2" / "0" / "arrays.npz").unlink()
    (details,) = pairs_details(compute(read_study_data(folder)))
    assert "l2 against baseline: the predictions on the median seed are missing" in details.note


def test_without_a_pair_nothing_stands_under_the_pairs(results: StudyResults) -> None:
    assert pairs_details(replace(results, claims=[])) == []


def test_chosen_epochs_of_many_seeds_are_a_range(results: StudyResults) -> None:
    def shown(chosen: str) -> str:
        table = results.tables["variants"].assign(chosen_epochs=chosen)
        variants = variants_summary(replace(results, tables={**results.tables, "variants": table}))
        return variants.rows[0].cells[variants.columns.index("Epochs")]

    assert [shown(one) for one in ("4 5 3", "", "4 " * 7)] == ["4 5 3", DASH, "4 " * 7]
    assert [shown("4 " * 20), shown("9 10 " * 10)] == ["4", "9 to 10"]


def in_losses(results: StudyResults, tested: bool) -> StudyResults:
    """The same study with the loss as its objective, of which each seed of `tuned` has 0.01 per seed less."""
    data, losses = results.data, {"baseline": 0.30, "l2": 0.30, "tuned": 0.25, "tuned-no-l2": 0.25}
    study = data.overview.study.model_copy(update={"objective": "validation_loss"})
    replicates = [
        replace(one, chosen=replace(one.chosen, metric="loss", loss=loss, value=loss) if tested else one.chosen)
        for one in data.replicates
        if one.chosen and (loss := losses[one.variant] - 0.01 * one.seed * one.variant.startswith("tuned"))
    ]
    return compute(replace(data, overview=replace(data.overview, study=study), replicates=replicates))


def test_a_loss_is_told_as_a_loss_and_less_of_it_is_better(results: StudyResults) -> None:
    told = in_losses(results, tested=True)
    claim = next(one for one in told.claims if (one.variant, one.against) == ("tuned", "baseline"))
    assert claim.evidence is not None and claim.evidence.differences == pytest.approx([0.05, 0.06, 0.07])
    assert "changes test loss by -0.0600 nats" in claim.sentence
    pairs, (variants, *_) = pairs_summary(told), variants_blocks(told)
    row = next(row for row in pairs.rows if row.cells[0] == "tuned against baseline")
    assert row.cells[1] == "-0.0600 nats" and "Differences in test loss (smaller is better)," in pairs.caption
    assert isinstance(variants, Table) and variants.columns[:4] == [
        "Variant", "Test loss", "Its 95 % interval", "Test accuracy",
    ]  # fmt: skip
    # Mean 0.24, deviation 0.01, t of two degrees of freedom 4.3027.
    assert next(row.cells[1:3] for row in variants.rows if row.cells[0] == "tuned") == ["0.2400", "0.2152 to 0.2648"]


def test_an_earlier_versions_test_of_accuracy_is_told_so_with_the_way_to_the_loss(results: StudyResults) -> None:
    told = in_losses(results, tested=False)
    way = "for accuracy only; `hw2tune summarize quickstart` tests them in test loss, and trains nothing."
    assert all("test accuracy by" in claim.sentence and way in claim.sentence for claim in told.claims)
    assert "Differences in test accuracy, between" in pairs_summary(told).caption


def test_captions_say_what_the_numbers_are_about(results: StudyResults) -> None:
    caption = pairs_summary(results).caption
    for words in (
        "of the median seed",
        "other test images of the same kind",
        "seeds, 3, was fixed",
        FAVOURED,
    ):
        assert words in caption
    (race,) = (block for block in search_blocks(results) if block.name == "race")
    assert FAVOURED in str(race)


def test_claims_about_references_alone_owe_the_race_nothing(results: StudyResults) -> None:
    claims = [claim for claim in results.claims if claim.variant == "l2"]
    assert len(claims) == 1
    assert FAVOURED not in pairs_summary(replace(results, claims=claims)).caption


def test_without_a_race_no_seed_favours_anyone(results: StudyResults) -> None:
    assert FAVOURED not in pairs_summary(replace(results, data=replace(results.data, race=None))).caption


def test_the_race_shows_each_finalists_chance_and_the_seeds_that_it_did_not_run_on(results: StudyResults) -> None:
    race = results.data.race
    assert race is not None
    first, second = race.candidates
    entered = [replace(first, values=[0.91], probability=0.08), replace(second, probability=0.92)]
    data = replace(results.data, race=replace(race, candidates=entered))
    shown = replace(results, data=data, tables={**results.tables, "race": race_table(data)})
    (table,) = (block for block in search_blocks(shown) if isinstance(block, Table) and block.name == "race")
    assert (
        "the leader and its likeliest rival run on, no seed is one of search or claims, and the best" in table.caption
    )
    chance = table.columns.index("P(best)")
    assert [row.cells[chance] for row in table.rows] == ["0.08", "0.92"]
    assert "P(best) is of an earlier version" in table.caption
    assert table.rows[0].cells[3] == DASH
