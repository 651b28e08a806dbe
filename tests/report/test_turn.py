"""The turn from a search to its race within a budget, as it is told at the end, in the report and in a paper."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from hw2tune.records.layout import StudyFolder
from hw2tune.records.overview import read_overview
from hw2tune.records.replicates import Race, ReplicatesFolder, read_race, write_current
from hw2tune.report.page.sections import search_blocks
from hw2tune.report.paper.methods import methods_tex
from hw2tune.report.results import StudyResults, compute
from hw2tune.report.sound import sound_race
from hw2tune.report.study_data import read_study_data
from hw2tune.terminal.tables import print_outcome
from tests.report.fake_study import write_fake_study

TURN = (
    "the search turned to its race after {} epochs, as no further trial was possible: the last 4 trainings of a budget "
    "of 24 are for it"
)


def study(root: Path, budget: int | None) -> StudyFolder:
    return write_fake_study(root, trials=30, test_size=100, budget=budget)


def printed(folder: StudyFolder) -> list[str]:
    out = io.StringIO()
    print_outcome(read_overview(folder), Console(file=out, width=200))
    return out.getvalue().splitlines()


def told(results: StudyResults) -> list[str]:
    return search_blocks(results)[0].paragraphs  # type: ignore[union-attr]


def test_a_study_with_a_budget_says_when_and_why_it_turned(tmp_path: Path) -> None:
    folder = study(tmp_path, 24)
    turn = TURN.format(read_overview(folder).done)
    assert f"race:  {turn}" in printed(folder)
    results = compute(read_study_data(folder))
    assert told(results)[0].endswith(f". T{turn[1:]}.")
    assert "On a budget of 120 epochs, 20 of them for its race, 30 trials" in methods_tex([results])
    assert "1 diverged), as many as were possible, had " in methods_tex([results])


@pytest.mark.parametrize("budget", [None, 12, 23])
def test_without_a_budget_or_in_one_that_has_none_left_for_a_race_there_is_no_turn(
    tmp_path: Path, budget: int | None
) -> None:
    folder = study(tmp_path, budget)
    assert not any(line.startswith("race:") for line in printed(folder))
    results = compute(read_study_data(folder))
    assert "turned" not in told(results)[0] and "for its race" not in methods_tex([results])


def without_trainings(folder: StudyFolder) -> Race:
    race = read_race(ReplicatesFolder.of(folder))
    assert race is not None
    best = replace(race.candidates[0], values=[], expected=None, probability=None)
    return replace(race, seeds=[], candidates=[best], winner=best.trial)


def test_a_budget_without_a_training_for_a_race_is_told_as_no_race(tmp_path: Path) -> None:
    folder = study(tmp_path, 11)
    race = without_trainings(folder)
    write_current(ReplicatesFolder.of(folder), [], race)
    results = compute(read_study_data(folder))
    sentence = f"There was no race: the budget has no training for one, and trial #{race.winner} led the search."
    assert told(results)[1].startswith(sentence)
    assert sentence in methods_tex([results]).replace(r"\#", "#")
    assert "race" not in [block.name for block in search_blocks(results)]


def test_only_the_best_trial_alone_may_have_no_value_in_a_race(tmp_path: Path) -> None:
    race = without_trainings(study(tmp_path, 11))
    assert sound_race(race) == race
    assert sound_race(replace(race, candidates=race.candidates * 2)) is None
    assert sound_race(replace(race, seeds=[1001])) is None
