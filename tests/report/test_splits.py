"""The report of claims about splits: their sentence, dots, tables, ledger, limits and the rule behind them."""

import math

import pytest
from scipy import stats

from hw2tune.data.load import load_dataset
from hw2tune.errors import StudyFolderError
from hw2tune.export.trained import _in_split
from hw2tune.inference.power import smallest_difference
from hw2tune.inference.verdicts import BETTER
from hw2tune.records.dataset import record_of
from hw2tune.records.environment import add_run
from hw2tune.records.overview import read_overview
from hw2tune.replication.price import with_replicates
from hw2tune.replication.rounds import SeedCount
from hw2tune.replication.studies import before
from hw2tune.report.appendix.limits import limits
from hw2tune.report.claims import rule_of
from hw2tune.report.compare import repeated
from hw2tune.report.compare import test_accuracy as over_seeds
from hw2tune.report.doctor.seeds import few_seeds
from hw2tune.report.figures.forest import draw_claims, forest_table
from hw2tune.report.figures.style import style
from hw2tune.report.history import history
from hw2tune.report.page.appendix import limits_blocks
from hw2tune.report.page.claims import pairs_summary
from hw2tune.report.page.opening import basis_facts
from hw2tune.report.page.sections import replicate_blocks
from hw2tune.report.paper.claims_table import claims_tex
from hw2tune.report.paper.methods import methods_tex
from hw2tune.report.results import compute
from hw2tune.report.study_data import read_study_data
from hw2tune.report.variance import SEEDS, SPLIT, repeat_next, variance_table, variances
from hw2tune.study.file import may_change
from hw2tune.study.splits import split_of_seed
from tests.replication.scripted import Scripted
from tests.replication.test_price import COST, plan_of
from tests.report.fake_study import write_fake_study

THREE = SeedCount(3, each=2, splits=True)
SEEDS_OF = [3001, 3002, 3021, 3022, 3041, 3042]
OF_SPLIT = {0: 0.0, 1: 0.01, 2: -0.01, 3: 0.0, 4: 0.01} | dict.fromkeys((5, 6, 7, 8), 0.0)
DRAWN = [{"seed": split, "split_checksum": f"sha256:{split}", "sizes": {}, "mean": [0.1 * split], "std": [1.0]}
         for split in (1, 2, 3)]  # fmt: skip


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """Train the variants of a study as `count` says, one run after the other, and return its results."""
    folder = write_fake_study(tmp_path, seeds=0)
    folder.environment.unlink()  # which has a run of no seeds

    def accuracy(variant, seed):
        base = {"baseline": 0.85, "l2": 0.85, "tuned": 0.90, "tuned-no-l2": 0.80}[variant]
        split = split_of_seed(scripted_study, seed)
        return base if variant != "tuned" else base + OF_SPLIT[split] + 0.002 * (1 if seed % 2 else -1)

    scripted = Scripted(folder, accuracy, monkeypatch)
    scripted_study = read_study_data(folder).overview.study

    def run(*counts):
        for count in counts:
            noted = count.record | before(read_overview(folder), splits=count.splits)
            add_run(
                folder, print, study=may_change(scripted_study), seeds={"replicates": count.seeds(scripted_study)},
                replicates=noted | ({"splits": DRAWN} if count.splits else {}),
            )  # fmt: skip
            scripted.run(count)
        return compute(read_study_data(folder))

    return run


def test_a_claim_is_about_the_means_of_splits_and_counts_both(trained):
    results = trained(THREE)
    tuned = results.claims[1]
    assert (tuned.variant, tuned.against) == ("tuned", "baseline")
    assert tuned.evidence.differences == pytest.approx([0.06, 0.04, 0.05])
    assert (rule_of(results.data).fixed, rule_of(results.data).claims, tuned.evidence.trained) == (3, 3, 3)
    expected = stats.ttest_1samp([0.06, 0.04, 0.05], 0)
    low, high = expected.confidence_interval(1 - 0.05 / 3)
    assert tuned.result.seeds_interval == pytest.approx((low, high))
    assert "n = 3 splits x 2 seeds" in tuned.sentence
    numbers = tuned.numbers
    assert (numbers["unit"], numbers["n"]) == ("split", 3)
    assert [(one["split"], one["seed"]) for one in numbers["by_seed"]] == list(
        zip([1, 1, 2, 2, 3, 3], SEEDS_OF, strict=True)
    )


def test_tables_and_dots_have_the_split(trained):
    results = trained(THREE)
    replicates = results.tables["replicates"]
    assert replicates[replicates.variant == "tuned"].split.tolist() == [1, 1, 2, 2, 3, 3]
    differences = results.tables["differences"]
    of_tuned = differences[(differences.variant == "tuned") & (differences.against == "baseline")]
    assert of_tuned.split.tolist() == [1, 1, 2, 2, 3, 3] and of_tuned.seed.tolist() == SEEDS_OF
    assert of_tuned.difference.tolist() == pytest.approx([0.062, 0.058, 0.042, 0.038, 0.052, 0.048])
    (shown,) = replicate_blocks(results)
    assert shown.columns[:3] == ["Variant", "Split", "Seed"] and shown.rows[0].cells[1:3] == ["1", "3001"]
    row = forest_table(results.claims)[1]
    assert (row.unit, row.splits, [*row.seeds]) == ("split", (1, 1, 2, 2, 3, 3), SEEDS_OF)
    with style():
        drawing = draw_claims(results.data)
    assert "split 2, seed 3022" in {mark.key for mark in drawing.marks}
    assert "over paired splits (n = 3 splits x 2 seeds)" in drawing.caption
    assert [cell for row in pairs_summary(results).rows for cell in row.cells].count("3 splits x 2 seeds") == 3


def test_intervals_of_variants_are_over_the_means_of_splits(trained):
    variants = trained(THREE).tables["variants"].set_index("variant")
    low, high = stats.ttest_1samp([0.91, 0.89, 0.90], 0).confidence_interval(0.95)
    assert (variants.test_low["tuned"], variants.test_high["tuned"]) == pytest.approx((low, high))
    assert variants.n["tuned"] == 6


def test_the_ledger_tells_splits_from_their_seeds(trained):
    results = trained(THREE)
    ledger = variances(results.claims, results.data)[1]
    # Means of splits: variance 1e-4; within them each seed is 0.002 off, so the mean square is 8e-6.
    assert ledger.repeats == pytest.approx(1e-4 / 3)
    assert ledger.split == pytest.approx((1e-4 - 8e-6 / 2) / 3)
    assert ledger.parts[SEEDS] == pytest.approx(8e-6 / 2 / 3)
    assert ledger.error(2) == pytest.approx(math.sqrt(ledger.total - ledger.repeats / 2))
    row = variance_table(results.claims, results.data).iloc[1]
    assert row.split_share == pytest.approx(ledger.share(SPLIT)) and row.unit == "split"
    (table,) = [block for block in limits_blocks(results) if block.name == "variance"]
    assert table.columns[2:6] == ["Seeds", "Test images", "Race", "Split"]
    assert table.rows[1].cells[5].endswith(" %") and "with twice the splits" in repeat_next(ledger)


def test_with_one_seed_a_split_their_parts_are_told_together(trained):
    results = trained(SeedCount(3, each=1, splits=True))
    ledger = variances(results.claims, results.data)[1]
    assert ledger.split is None and ledger.repeated == "splits, with their seeds,"
    (table,) = [block for block in limits_blocks(results) if block.name == "variance"]
    assert table.columns[2] == "Splits and seeds" and table.rows[1].cells[5] == "with its seeds"
    assert "n = 3 splits x 1 seed" in results.claims[1].sentence


def test_limits_and_texts_say_that_the_split_was_measured(trained):
    results = trained(THREE)
    said = " ".join(limits(results))
    assert "about other seeds and other splits and other test images" in said
    assert "claims are about 3 splits (seeds 1, 2 and 3), with the same test images" in said
    assert "was not measured" not in said
    assert dict(basis_facts(results).facts)["split"].endswith("; claims on 3 further splits (seed 1, 2 and 3)")
    assert "splits of training and validation images, with the mean over their seeds" in claims_tex([results])
    methods = methods_tex([results])
    assert "3 further splits of the same images, drawn alike by split seeds 1, 2 and 3" in methods
    assert "The number of splits (3) was fixed before any was trained." in methods
    (finding,) = few_seeds(results.data, results.claims)
    assert finding.finding.startswith("Too few splits for a verdict: l2 against baseline has 3")
    assert "--replicates 2 --splits " in finding.remedy


def test_claims_about_seeds_and_about_splits_count_as_different_claims_and_come_back(trained):
    results = trained(SeedCount(5), THREE)
    assert (rule_of(results.data).claims, rule_of(results.data).fixed) == (6, 3)
    assert history(results.data) == ["The claims were also made about seeds, and count as claims of their own."]
    assert history(results.data)[0] in methods_tex([results])
    again = trained(SeedCount(5))
    assert again.claims[1].evidence.unit == "seed" and again.data.splits == []
    assert (rule_of(again.data).claims, rule_of(again.data).fixed) == (6, 5)
    assert "split" not in again.tables["replicates"] and "split" not in again.tables["differences"]


def test_another_number_of_seeds_a_split_is_another_claim_and_more_splits_are_a_look(trained):
    results = trained(THREE, SeedCount(4, each=2, splits=True))
    assert (rule_of(results.data).claims, rule_of(results.data).fixed) == (3, None)
    assert "The number of splits changed after results: 3 on 2 seeds each asked for on " in history(results.data)[0]
    assert "The verdicts hold, as they may be looked at after each split." in history(results.data)[0]
    results = trained(SeedCount(4, each=1, splits=True))
    assert (rule_of(results.data).claims, rule_of(results.data).fixed) == (6, None)


def test_fewer_seeds_or_splits_than_before_take_no_verdict_back(trained):
    tuned = trained(SeedCount("auto", 12), SeedCount(3)).claims[1]
    assert (tuned.verdict, tuned.result.reached, tuned.evidence.seeds) == (BETTER, 6, (1, 2, 3, 4, 5, 6))
    five, eight, three = (SeedCount(k, each=2, splits=True) for k in (5, 8, 3))
    results = trained(five, eight, three)
    tuned = results.claims[1]
    assert (tuned.verdict, tuned.result.n, rule_of(results.data).fixed) == (BETTER, 8, None)
    assert "n = 8 splits x 2 seeds" in tuned.sentence and "3 on 2 seeds each asked for" in history(results.data)[0]
    trained(SeedCount(3, each=1, splits=True))
    assert {one.seed for one in read_study_data(results.data.overview.folder).of("l2")} == set(range(3001, 3161, 20))


def test_the_price_of_more_splits_rests_on_the_spread_of_those_that_are_there(trained):
    results = trained(THREE)
    seven = SeedCount(7, each=2, splits=True)
    costs = with_replicates(COST, plan_of(results.data.overview.folder), seven).replicates
    assert costs.source.endswith(" on 3 splits x 2 seeds of this study") and not costs.at_least
    of_pair = next(one.evidence for one in results.claims if costs.source.startswith(f"{one.pair} on "))
    sd, images = of_pair.differences.std(ddof=1), of_pair.looks(0.05).of_images[-1]
    assert sd == pytest.approx(0.01)
    expected = smallest_difference(7, sd, 0.05 / 3, fixed=False, images=images)
    assert costs.each[0].smallest == pytest.approx(expected)
    other = with_replicates(COST, plan_of(results.data.overview.folder), SeedCount(7, each=1, splits=True)).replicates
    assert other.each[0].smallest > costs.each[0].smallest


def test_comparisons_and_cards_count_splits_with_their_seeds(trained):
    data = trained(THREE).data
    low, high = stats.ttest_1samp([0.91, 0.89, 0.90], 0).confidence_interval(0.95)
    found = over_seeds(data, "tuned")
    assert (found.n, found.low, found.high) == pytest.approx((3, low, high))
    assert repeated(data, "tuned") == "3 splits x 2 seeds"


def test_an_exported_network_is_normalised_as_in_its_split(trained):
    data, own = trained(THREE).data, record_of(load_dataset("synthetic-mnist", validation_size=100))
    assert _in_split(data, own, 1) is own
    assert (_in_split(data, own, 3021).mean, _in_split(data, own, 3021).split_checksum) == ([0.2], "sha256:2")
    with pytest.raises(StudyFolderError) as refusal:
        _in_split(data, own, 3061)
    assert str(refusal.value).partition(": ")[2] == (
        "does not record split 4, on which seed 3061 was trained; `hw2tune summarize quickstart` with the same "
        "--splits and --replicates records it"
    )
