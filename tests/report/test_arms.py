"""The report of a study with arms: claims about winners, or about searches, and one row per search."""

from dataclasses import replace

import pandas as pd
import pytest

from hw2tune.records.environment import add_run
from hw2tune.records.overview import read_overview
from hw2tune.replication.rounds import SeedCount
from hw2tune.report.appendix.checklists import checklists
from hw2tune.report.appendix.limits import limits
from hw2tune.report.claims import claims
from hw2tune.report.compare import _pair
from hw2tune.report.doctor.examine import examine
from hw2tune.report.figures.forest import forest_table
from hw2tune.report.figures.recipes import recipes
from hw2tune.report.page.learned import doctor_blocks
from hw2tune.report.page.opening import basis_facts
from hw2tune.report.page.sections import search_blocks
from hw2tune.report.paper.claims_table import claims_tex
from hw2tune.report.paper.methods import methods_tex
from hw2tune.report.paper.numbers import numbers_tex
from hw2tune.report.results import compute
from hw2tune.report.study_data import read_study_data
from hw2tune.report.tables import pairs_table
from hw2tune.report.variance import repeat_next, variances
from tests.execution.test_arms import Executor, run
from tests.replication.scripted import Scripted
from tests.replication.test_arms import WITH_MORE, StudyFolder, accuracy, winner


def reported(tmp_path, monkeypatch, searches, replicates):
    run(tmp_path, Executor(), WITH_MORE, overrides={"searches": searches})
    folder = StudyFolder(tmp_path / "results" / "sides")
    count = SeedCount.of(read_overview(folder).study, replicates, None, searches)
    Scripted(folder, accuracy, monkeypatch).run(count)
    return compute(read_study_data(folder))


def test_claims_compare_the_winners_of_arms_on_common_seeds(tmp_path, monkeypatch):
    results = reported(tmp_path, monkeypatch, 1, 6)
    first, second, third = results.claims
    assert first.evidence.seeds == (1, 2, 3, 4, 5, 6) and first.evidence.unit == "seed"
    # 10 points, and 0.01 * (seed % 3) more
    assert first.evidence.differences == pytest.approx([0.11, 0.12, 0.10, 0.11, 0.12, 0.10])
    assert first.sentence.startswith("Better: l2 instead of no-l2, both tuned on the same budget, raises test accuracy")
    assert second.sentence.startswith("Better: L2 ")
    assert third.verdict == "same configuration"  # the reference won its arm
    assert dict(basis_facts(results).facts)["budget"] == "6 trials in 2 arms, 6 epochs"
    table = results.tables["searches"]
    assert table["arm"].tolist() == ["l2", "no-l2"] and table["trials"].tolist() == [3, 3]
    for _, row in table.iterrows():
        won = winner(StudyFolder(results.data.overview.folder.arms / row["arm"]))
        assert (row["learning_rate"], row["weight_decay"]) == (won["learning_rate"], won["weight_decay"])
    found = [one.finding for one in examine(results.data)]
    assert [text.partition(":")[0] for text in found if "fewer than" in text] == ["Search l2"]
    [text, shown] = search_blocks(results)
    assert [row.cells[:2] for row in shown.rows] == [["l2", "3 of 3"], ["no-l2", "3 of 3"]]
    assert f"hw2tune summarize --from-files {results.data.overview.folder.arms / 'l2'}" in text.paragraphs[0]
    methods = methods_tex([results])
    assert "In all, 6 trials (6 complete) had 6 epochs." in methods
    assert "Each arm (l2 and no-l2) was searched 1 time, on the same budget and seeds." in methods
    assert not [recipe for recipe in recipes(results.data) if recipe.section == "search"]


def test_searches_that_the_study_has_no_more_are_no_evidence_and_many_seeds_are_no_searches(tmp_path, monkeypatch):
    def first_claim(place, **overrides):
        run(place, Executor(), WITH_MORE, overrides=overrides)
        return claims(read_study_data(StudyFolder(place / "results" / "sides")))[0]

    folder = reported(tmp_path, monkeypatch, 3, 2).data.overview.folder
    add_run(folder, print, seeds={"replicates": [1, 2, 21, 22, 41, 42]}, replicates={"asked": 3, "each": 2})
    assert first_claim(tmp_path, searches=2).evidence.seeds == (1, 21)
    assert first_claim(tmp_path, searches=1).verdict == "missing", "three winners are no side of a claim"
    more = tmp_path / "more"
    more.mkdir()
    folder = reported(more, monkeypatch, 1, 22).data.overview.folder
    add_run(folder, print, seeds={"replicates": [*range(1, 23)]}, replicates={"asked": 22, "each": 0})
    assert first_claim(more, searches=2).evidence.seeds == (1,), "seeds 21 and 22 are of the first search"


def test_an_arm_is_called_in_commands_and_papers_as_commands_take_it(tmp_path, monkeypatch):
    arms = reported(tmp_path, monkeypatch, 1, 2).data.overview.folder.arms
    both = [compute(read_study_data(StudyFolder(arms / name))) for name in ("l2", "no-l2")]
    (findings,) = doctor_blocks(both[0])
    assert findings.caption.endswith("`hw2tune doctor sides/l2`.")
    assert r"\newcommand{\sidesNoLTwoTrials}{3}" in numbers_tex(both)
    text = claims_tex(both)
    assert r"\emph{sides/l2} (" in text and r"\emph{sides/no-l2} (" in text
    bare = [replace(one, claims=[]) for one in both]
    assert claims_tex(bare).count(r"no claim & -- & -- & -- & -- \\") == 2


def test_with_several_searches_each_gives_one_difference_and_the_sentence_counts_searches(tmp_path, monkeypatch):
    results = reported(tmp_path, monkeypatch, 4, 2)
    first, second, third = results.claims
    # Seeds 1 and 2, 21 and 22, 41 and 42, 61 and 62; of each 0.1 and the mean of 0.01 * (seed % 3).
    assert first.evidence.differences == pytest.approx([0.115, 0.105, 0.11, 0.115])
    assert first.evidence.seeds == (1, 21, 41, 61) and first.evidence.trained == 4
    assert "(n = 4 searches of each side, no interval yet)" in first.sentence
    assert "would take about" in first.sentence and first.sentence.endswith("searches.")
    row = forest_table(results.claims)[0]
    assert row.unit == "search"
    [ledger, *_] = variances(results.claims, results.data)
    assert "with twice the searches" in repeat_next(ledger)
    assert "$n$ counts seeds, or searches of each side" in claims_tex([results])
    assert second.sentence.startswith("Undecided: l2 instead of l2-weight_decay-0 changes test accuracy by")
    found = [one for one in examine(results.data) if one.check == "seeds"]
    assert found[0].finding.startswith("Too few searches for a verdict: l2 against no-l2 has 4, ")
    assert found[0].remedy == "Add searches: `hw2tune study sides --searches 8 --summarize`."
    assert third.verdict != "same configuration", "what holds of one search need not hold of the next"
    compared = _pair(results.data, results.data, "l2")
    assert (compared.evidence.unit, compared.evidence.seeds) == ("search", (1, 21, 41, 61))
    assert compared.subject == "the variant l2 of sides, against that of sides,"
    assert dict(basis_facts(results).facts)["budget"] == "24 trials in 2 arms of 4 searches, 24 epochs"
    assert results.tables["searches"]["seed"].tolist() == [0, 0, 10_000, 10_000, 20_000, 20_000, 30_000, 30_000]


def test_a_side_of_several_searches_has_no_configuration_but_what_they_share(tmp_path, monkeypatch):
    results = reported(tmp_path, monkeypatch, 3, 1)
    arms = results.data.overview.folder.arms
    found = {winner(StudyFolder(arms / name))["learning_rate"] for name in ("l2", "l2.2", "l2.3")}
    assert len(found) > 1, "nothing to tell apart"
    rows = results.tables["variants"].set_index("variant")
    assert pd.isna(rows.loc["l2", "learning_rate"]) and rows.loc["no-l2", "weight_decay"] == 0
    numbers = numbers_tex([results])
    assert r"\sidesLTwoLearningRate" not in numbers and r"\newcommand{\sidesNoLTwoWeightDecay}{" in numbers
    [best] = [one for one in checklists(results) if one.text == "Configurations of the best models"]
    assert "l2: 3 configurations, one of each search" in best.answer
    assert best.source == ("report/tables/searches.csv", "report/tables/variants.csv", "study.toml")


def test_several_searches_are_told_with_their_seeds_budget_and_unit(tmp_path, monkeypatch):
    results = reported(tmp_path, monkeypatch, 3, 1)
    assert dict(basis_facts(results).facts)["seeds"] == "searches 0 to 20,000 in steps of 10,000; claims 1, 21, 41"
    assert {*pairs_table(results.claims)["unit"].dropna()} == {"search"}
    methods, numbers = methods_tex([results]), numbers_tex([results])
    assert "with seed 0 to 20,000 in steps of 10,000, to maximize" in methods
    assert "The winner of each search is chosen by a race of its best trials on fresh seeds" in methods
    assert "l2: lower end of its 95 % t interval over searches, n = 3" in numbers
    assert "% seed of the first search, the next ones in steps of 10,000" in numbers
    assert "95\\,\\% intervals for other searches and other test images" in claims_tex([results])
    [first, split, *_] = limits(results)
    assert first.startswith("The verdicts are about other searches and other test images")
    assert "--splits" not in split, "is refused with several searches"
    assert [*forest_table(results.claims)[0].seeds] == [1, 2, 3], "searches, not the seeds 1, 21 and 41"
