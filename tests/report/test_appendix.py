"""The appendix: limits of the verdicts, and the checklists' items with an answer, its files, or what is left."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from hw2tune.records.dataset import read_dataset
from hw2tune.records.layout import StudyFolder
from hw2tune.report.appendix import checklists as lists
from hw2tune.report.appendix import data_facts, facts
from hw2tune.report.appendix.checklists import DODGE, ITEMS, NEURIPS, REFORMS, Item, checklists
from hw2tune.report.appendix.limits import limits
from hw2tune.report.figures import DrawnFigure, MissingFigure
from hw2tune.report.page.appendix import checklist_blocks, limits_blocks
from hw2tune.report.page.blocks import Prose, Table
from hw2tune.report.results import StudyResults, compute
from hw2tune.report.study_data import read_study_data
from tests.report.fake_study import write_fake_study


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> StudyResults:
    return compute(read_study_data(write_fake_study(tmp_path_factory.mktemp("results"))))


def items(results: StudyResults) -> dict[tuple[str, str], Item]:
    return {(one.checklist, one.number): one for one in checklists(results)}


def test_the_checklists_have_as_many_items_as_their_sources_and_each_number_once():
    assert {name: len(rows) for name, rows in ITEMS.items()} == {DODGE: 10, REFORMS: 32, NEURIPS: 3}
    modules = Counter(number[0] for number, *_ in ITEMS[REFORMS])
    assert list(modules.values()) == [3, 5, 7, 3, 6, 3, 3, 2]  # of its eight modules
    for rows in ITEMS.values():
        assert max(Counter(number for number, *_ in rows).values()) == 1


def test_every_fact_answers_an_item_and_every_item_names_facts_that_there_are():
    named = {answer for rows in ITEMS.values() for _, _, _, *answers in rows for answer in answers}
    known = [(name, one, module) for module in (data_facts, facts, lists) for name, one in vars(module).items()]
    gives_a_fact = [one for _, one, _ in known if getattr(one, "__annotations__", {}).get("return") == "Fact"]
    assert named == set(gives_a_fact)


def test_answers_are_the_numbers_of_the_records(results):
    found = items(results)
    trials, bounds = found[DODGE, "8"], found[DODGE, "6"]
    assert trials.answer == "10 trials (6 complete, 3 pruned and 1 diverged), of them 2 references."
    assert "learning rate 0.0001..0.1 log" in bounds.answer and bounds.source == ("study.toml",)
    assert found[REFORMS, "3e"].answer.startswith("4,000 train, 500 validation and 500 test images; ")
    assert "2 cores, 24.0 GiB memory" in found[NEURIPS, "8"].answer
    assert "images `00`" in found[REFORMS, "2a"].answer and found[REFORMS, "2a"].author == "a link or DOI"
    # 12 replicates of 5 epochs of 1.1 s each
    assert "12 replicates for 1 min 06 s" in found[DODGE, "2"].answer


def test_what_the_records_cannot_answer_is_left_to_the_author(results):
    found = items(results)
    for number in ("1a", "1b", "1c", "3b", "3c", "3g", "5b", "6c", "8a"):
        assert (found[REFORMS, number].answer, found[REFORMS, number].source) == ("", ())
        assert found[REFORMS, number].author
    assert all(one.answer or one.author for one in found.values())


def test_every_file_named_is_in_the_folder_of_a_study_with_a_report(report):
    folder = StudyFolder(report.page.parents[1])
    named = {
        file for item in json.loads(report.json.read_text())["studies"][0]["checklists"] for file in item["source"]
    }
    assert len(named) >= 7
    assert [file for file in sorted(named) if not (folder.root / file).exists()] == []


def test_a_figure_that_could_not_be_drawn_answers_nothing(results):
    missing = MissingFigure("search-history", "search", "The search, trial by trial", "no value")
    assert items(replace(results, figures=[missing]))[DODGE, "10"].answer == ""
    drawn = DrawnFigure("search-history", "search", "The search", "", "", Path("a.png"), Path("a.pdf"), 1, 1)
    found = items(replace(results, figures=[drawn]))[DODGE, "10"]
    assert (found.answer, found.source[0]) == ("Figure: The search.", "report/figures/search-history.pdf")


def test_a_study_of_the_first_version_with_few_records_is_answered_as_far_as_they_go(tmp_path):
    folder = write_fake_study(tmp_path)
    folder.datasets[0].unlink()
    folder.environment.unlink()
    found = items(compute(read_study_data(folder)))
    assert found[DODGE, "1"].answer == found[REFORMS, "3e"].answer == found[REFORMS, "2a"].answer == ""
    assert found[DODGE, "1"].author == "the records do not tell"
    assert found[DODGE, "8"].answered


def test_the_limits_name_the_split_the_one_search_the_fixed_references_and_the_test_reads(results):
    about, split, search, effort, reads = limits(results)
    assert about.startswith(
        "The verdicts are about other seeds and other test images of invented, for mnist_cnn trained for at most 5 "
        "epochs; "
    )
    assert "one split of training and validation images (seed 0)" in split
    assert search.startswith("`tuned` is the winner of one search")
    assert effort.startswith("Only `tuned` was searched; `baseline` and `l2` have fixed values.")
    assert reads == "4 configurations were read on these 500 test images of invented in this folder."


def test_the_limits_repeat_the_caveat_of_the_data(results):
    record = read_dataset(results.data.overview.folder)
    data = replace(results.data, dataset=replace(record, caveat="7 images are in both splits"))
    assert "The data have a caveat: 7 images are in both splits." in limits(replace(results, data=data))


def test_without_replicates_there_is_nothing_to_limit(tmp_path: Path):
    bare = compute(read_study_data(write_fake_study(tmp_path, seeds=0)))
    assert limits(bare) == [] == limits_blocks(bare) == checklist_blocks(bare)


def test_the_page_has_a_table_of_answers_per_checklist_and_names_what_is_the_authors(results):
    blocks = checklist_blocks(results)
    tables = [block for block in blocks if isinstance(block, Table)]
    assert [(table.title, len(table.rows)) for table in tables] == [(DODGE, 9), (REFORMS, 22), (NEURIPS, 3)]
    assert "22 of 32 items have an answer in the records" in tables[1].caption
    left = [block.note for block in blocks if isinstance(block, Prose)]
    assert left[0] == (
        "Left to the author. 10 Expected validation performance by number of trials: the records do not tell."
    )
    assert left[1].startswith("Left to the author. 1a Population about which the claim is made: the population; 1b ")


def test_a_study_with_arms_says_how_each_was_searched(results):
    overview = results.data.overview
    study = overview.study.model_copy(update={"arms": {"l2": {}, "no-l2": {}}, "searches": 7})
    arms = replace(results, data=replace(results.data, overview=replace(overview, study=study)))
    assert items(arms)[REFORMS, "5f"].answer == (
        "Each arm (l2 and no-l2) was searched 7 times, on the same budget and seeds."
    )
    assert any(
        one.startswith("Each arm is judged by the winner of each of 7 searches, on one budget") for one in limits(arms)
    )
