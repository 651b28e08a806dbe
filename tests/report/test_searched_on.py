"""A search that went on after its race: counts are those of the race's field, and a note says what to run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import optuna
import pytest

from hw2tune.export.card import chosen_words
from hw2tune.export.trained import TrainedModel
from hw2tune.integrations.dashboard.folders import study_attributes
from hw2tune.records.layout import StudyFolder
from hw2tune.records.overview import read_overview, read_study
from hw2tune.records.replicates import Current, ReplicatesFolder, read_race, write_json
from hw2tune.records.trials.storage import create_optuna_study
from hw2tune.replication.rounds import SeedCount
from hw2tune.report.appendix.facts import baselines, runtime, trials
from hw2tune.report.compare import compare_studies
from hw2tune.report.history import history
from hw2tune.report.page.opening import basis_facts
from hw2tune.report.page.sections import search_blocks
from hw2tune.report.paper.methods import methods_tex
from hw2tune.report.paper.numbers import numbers_tex
from hw2tune.report.results import StudyResults, compute
from hw2tune.report.study_data import read_study_data
from hw2tune.report.write import summary_json
from tests.execution.test_arms import Executor, run
from tests.replication.scripted import Scripted
from tests.replication.test_arms import WITH_MORE, accuracy
from tests.report.fake_study import write_fake_study

NOTE = (
    "{} ended after the race for tuned, which chose among the {} that had ended by then; `hw2tune summarize "
    "quickstart` races again, among all {}."
)
AFTER = [0.40, 0.97, 0.40]  # the second would have led the search


def go_on(folder: StudyFolder, values: Sequence[float]) -> None:
    """Add a trial of each value, each trained to the end."""
    study = read_study(folder)
    search = create_optuna_study(folder, study)
    search.sampler = optuna.samplers.RandomSampler(seed=1)
    for value in values:
        trial = search.ask()
        study.search_space.suggest(trial)
        for epoch in range(1, study.max_epochs + 1):
            trial.report(value, epoch)
        trial.set_user_attr("seconds", 1000.0)
        search.tell(trial, value)


def note_trials(folder: StudyFolder, numbers: Sequence[int] | None) -> None:
    """Write into the race which trials had ended before it, or None as in earlier versions."""
    place = ReplicatesFolder.of(folder)
    race = read_race(place)
    assert race is not None
    write_json(place.current, asdict(Current(keys=["fake"], race=replace(race, trials=numbers and list(numbers)))))


def read(folder: StudyFolder) -> StudyResults:
    return compute(read_study_data(folder))


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    return write_fake_study(tmp_path, trials=10, test_size=100)


def test_a_search_that_ended_before_its_race_has_no_note(folder: StudyFolder) -> None:
    for results in (read(folder), (note_trials(folder, None), read(folder))[1]):
        assert history(results.data) == []
        assert results.optimism is not None and results.optimism.trials == 9  # one diverged
        assert results.race_sentence.startswith("Trial #3 overtook #2")


def test_counts_are_those_of_the_races_field_everywhere(folder: StudyFolder) -> None:
    note_trials(folder, range(10))
    before = read(folder)
    go_on(folder, AFTER)
    after = read(folder)
    assert after.optimism is not None and after.optimism.trials == 9
    assert after.optimism == before.optimism
    for fact in (baselines, trials, runtime):
        assert fact(after) == fact(before), fact
    assert dict(basis_facts(after).facts) == dict(basis_facts(before).facts)
    assert numbers_tex([after]).replace(" before its race", "") == numbers_tex([before])
    assert "Before the race, 10 trials (" in methods_tex([after])
    assert "In all, 10 trials (" in methods_tex([before])


def test_a_note_says_that_the_search_went_on_and_what_to_run(folder: StudyFolder) -> None:
    note_trials(folder, range(10))
    go_on(folder, AFTER)
    results, said = read(folder), NOTE.format("3 trials", 10, 13)
    assert history(results.data) == [said]
    [study] = json.loads(summary_json([results]))["studies"]
    assert study["history"] == [said] and study["trials"]["finished"] == 13
    assert said.partition(";")[0] in methods_tex([results])


def test_the_dashboard_says_so_beside_the_claims_of_a_report_from_before(folder: StudyFolder) -> None:
    note_trials(folder, range(10))
    report = folder.root / "report" / "summary.json"
    report.parent.mkdir()
    report.write_text(summary_json([read(folder)]))
    claims = study_attributes(read_overview(folder))["claims"].splitlines()
    assert len(claims) == 3
    go_on(folder, AFTER)
    said = [*claims, NOTE.format("3 trials", 10, 13)]
    assert study_attributes(read_overview(folder))["claims"].splitlines() == said
    report.write_text(summary_json([read(folder)]))  # it knows
    assert study_attributes(read_overview(folder))["claims"].splitlines() == said


def test_the_leader_of_the_race_is_not_said_to_lead_the_search_of_now(folder: StudyFolder) -> None:
    note_trials(folder, range(10))
    place = ReplicatesFolder.of(folder)
    race = read_race(place)
    assert race is not None
    alone = replace(race, candidates=race.candidates[1:], trials=list(range(10)))  # the winner leads
    untrained = replace(alone, seeds=[], candidates=[replace(alone.candidates[0], values=[])])
    two = replace(race, candidates=race.candidates[::-1], trials=list(range(10)))
    go_on(folder, AFTER)
    for one, words in (
        (two, "Trial #3 led the first 10 trials of the search and stayed ahead over 3 seeds"),
        (untrained, "and trial #3 led the first 10 trials of the search."),
    ):
        write_json(place.current, asdict(Current(keys=["fake"], race=one)))
        assert words in read(folder).race_sentence


def test_a_trial_that_was_running_at_the_race_is_no_part_of_its_field(folder: StudyFolder) -> None:
    note_trials(folder, [number for number in range(10) if number != 4])
    results = read(folder)
    assert history(results.data) == [NOTE.format("1 trial", 9, 10)]
    assert results.optimism is not None and results.optimism.trials == 8


def test_a_race_of_an_earlier_version_is_of_the_trials_before_the_first_that_would_have_entered(
    folder: StudyFolder,
) -> None:
    note_trials(folder, None)
    go_on(folder, AFTER[:1])
    assert history(read(folder).data) == [], "the same trials would race"
    go_on(folder, AFTER[1:])
    results = read(folder)
    assert results.optimism is not None and results.optimism.trials == 10
    assert history(results.data) == [
        "At least 2 trials ended after the race for tuned, which chose among the 11 at most that had ended by then; "
        "`hw2tune summarize quickstart` races again, among all 13."
    ]


def test_with_a_budget_the_turn_to_a_race_is_not_told_of_a_race_that_was_before_it(tmp_path: Path) -> None:
    folder = write_fake_study(tmp_path, trials=30, test_size=100, budget=24)
    note_trials(folder, range(30))
    before = read(folder)
    assert "turned to its race" in search_blocks(before)[0].paragraphs[0]  # type: ignore[union-attr]
    note_trials(folder, range(20))
    after = read(folder)
    assert "turned to its race" not in search_blocks(after)[0].paragraphs[0]  # type: ignore[union-attr]
    assert "Before the race, 20 trials (" in methods_tex([after]) and "for its race" not in methods_tex([after])
    assert dict(basis_facts(after).facts)["budget"].startswith("20 trials, ")


def test_the_card_of_the_winner_says_among_which_trials_it_won(folder: StudyFolder) -> None:
    note_trials(folder, range(10))

    def words() -> str:
        data = read_study_data(folder)
        [tuned, *_], record = data.of("tuned"), data.dataset
        assert record is not None
        parameters = data.overview.study.hyperparameters(tuned.params)
        return chosen_words(
            TrainedModel(
                data=data, images=record, hyperparameters=parameters, seed=0, epoch=1, weights={}, replicate=tuned
            )
        )

    assert words() == "the winner of the search, trial 3, by a race on validation images"
    go_on(folder, AFTER)
    assert words() == (
        "the winner of the search, trial 3, by a race on validation images among the 10 trials that had ended by then"
    )


def test_each_search_of_an_arm_has_a_race_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path, Executor(), WITH_MORE)
    sides = StudyFolder(tmp_path / "results" / "sides")
    Scripted(sides, accuracy, monkeypatch).run(SeedCount(2))
    before = read(sides)
    assert history(before.data) == []
    run(tmp_path, Executor(), WITH_MORE, overrides={"trials": 5})
    after = read(sides)
    note = (
        "2 trials ended after the race for {}, which chose among the 3 that had ended by then; `hw2tune summarize "
        "sides` races again, among all 5."
    )
    assert history(after.data) == [note.format("l2"), note.format("no-l2")]
    assert dict(basis_facts(after).facts)["budget"] == "6 trials in 2 arms, 6 epochs"
    assert "Before the races, 6 trials (6 complete) had 6 epochs." in methods_tex([after])
    [of_arm] = history(read(StudyFolder(sides.arms / "l2")).data)
    assert of_arm == note.format("tuned")
    Scripted(sides, accuracy, monkeypatch).run(SeedCount(2))
    assert history(read(sides).data) == []


def test_a_comparison_says_of_which_study_the_search_went_on(tmp_path: Path) -> None:
    folder = write_fake_study(tmp_path, trials=10, test_size=100)
    other = write_fake_study(tmp_path / "b", trials=10, test_size=100)
    other.root.rename(tmp_path / "second")
    note_trials(folder, range(10))
    go_on(folder, AFTER)
    notes = compare_studies("quickstart", "second", results_dir=tmp_path).notes
    assert [note for note in notes if "ended after" in note] == [f"quickstart: {NOTE.format('3 trials', 10, 13)}"]
