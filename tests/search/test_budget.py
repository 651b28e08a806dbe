"""A budget in epochs: as many trials as fit, each with its epochs reserved, references to their end."""

import pytest
from optuna.trial import TrialState

from hw2tune.records.overview import read_overview
from hw2tune.search.driver import Done, Wait
from hw2tune.study.file import differences, dump_study, find_study, parse_study
from tests.search.test_driver import Driver

BUDGET = {"budget": 3, "trials": None, "pruner.name": "none"}  # 15 epochs, 10 of them for the two references


def driver(root, **overrides):
    given = {key: value for key, value in (BUDGET | overrides).items() if value is not None}
    return Driver(root, **{"trials": 100, **given})


def test_without_a_number_of_trials_there_may_be_as_many_as_fit():
    assert parse_study(*find_study("quickstart"), overrides={"budget": 3}).trials == 15
    assert parse_study(*find_study("quickstart"), overrides={"budget": 3, "trials": 4}).trials == 4
    assert parse_study(dump_study(parse_study(*find_study("quickstart"), overrides={"budget": 3})), "x").trials == 15


@pytest.mark.parametrize(
    ("budget", "race"), [(None, None), (1, 0), (6, 0), (12, 0), (23, 0), (24, 4), (29, 4), (32, 5), (72, 12), (600, 12)]
)
def test_the_last_sixth_of_a_budget_is_for_the_race_if_that_is_four_trainings(budget, race):
    study = parse_study(*find_study("quickstart"), overrides={"budget": budget})
    assert study.race_trainings == race
    assert study.budget_epochs == (None if budget is None else 5 * (budget - race))


def test_the_search_turns_to_its_race_where_its_part_of_the_budget_is_spent(tmp_path):
    one = driver(tmp_path, budget=24)
    one.folder.study_file.write_text(dump_study(one.study))
    for name in ("baseline", "l2", *"abcdefghijklmnopqr"):
        assert read_overview(one.folder).turn == ""
        one.next(name)
        one.run(name, [0.5] * 5)
    assert one.next("s") == Done()
    assert read_overview(one.folder).turn == (
        "the search turned to its race after 100 epochs: the last 4 trainings of a budget of 24 are for it, where "
        "second seeds of the best trials are worth no less than new ones"
    )
    assert read_overview(one.folder).as_json()["race_trainings"] == 4


def test_a_search_that_ran_out_of_trials_says_so_and_not_that_second_seeds_are_worth_more(tmp_path):
    one = driver(tmp_path, budget=24, trials=3)
    one.folder.study_file.write_text(dump_study(one.study))
    for name in ("baseline", "l2", "a"):
        one.next(name)
        one.run(name, [0.5] * 5)
    assert one.next("b") == Done()
    assert read_overview(one.folder).turn == (
        "the search turned to its race after 15 epochs, as no further trial was possible: the last 4 trainings of a "
        "budget of 24 are for it"
    )


def test_epochs_of_trials_under_way_are_of_the_budget_that_is_spent(tmp_path):
    one = driver(tmp_path, budget=8)
    one.folder.study_file.write_text(dump_study(one.study))
    one.next("baseline")
    assert [one.epoch("baseline", epoch, 0.5) for epoch in (1, 2, 3)] == [False] * 3
    assert (read_overview(one.folder).done, read_overview(one.folder).extent) == (3, (40, "epochs"))


def test_a_trial_begins_only_where_its_epochs_are_left_behind_those_of_the_others(tmp_path):
    one = driver(tmp_path)
    for name in ("baseline", "l2"):
        one.next(name)
        one.run(name, [0.5] * 5)
    one.next("a")
    assert one.next("b") == Wait()  # the five epochs that are left are those of a
    assert [one.epoch("a", epoch, 0.6) for epoch in (1, 2, 3, 4, 5)] == [False] * 4 + [True]
    assert one.next("c") == Done()
    assert [trial.state for trial in one.trials] == [TrialState.COMPLETE] * 3
    assert not one.recorder.unfinished


def test_a_reference_is_trained_to_its_end_though_the_budget_is_spent(tmp_path):
    one = driver(tmp_path, budget=1)
    one.next("baseline")
    one.run("baseline", [0.5] * 5)
    one.next("l2")
    one.run("l2", [0.5] * 5)
    assert one.next("a") == Done()
    (tmp_path / "two").mkdir()
    two = driver(tmp_path / "two", budget=1)
    for name in ("baseline", "l2"):
        two.next(name)
    for epoch in (1, 2, 3, 4, 5):
        assert [two.epoch(name, epoch, 0.5) for name in ("baseline", "l2")] == [epoch == 5] * 2


def test_the_same_study_goes_on_with_a_larger_budget(tmp_path):
    one = driver(tmp_path, budget=2)
    for name in ("baseline", "l2"):
        one.next(name)
        one.run(name, [0.5] * 5)
    assert one.next("a") == Done()
    one.folder.study_file.write_text(dump_study(one.study))
    assert read_overview(one.folder).state == "complete"
    assert (read_overview(one.folder).done, one.study.extent) == (10, (10, "epochs"))
    more = driver(tmp_path, budget=3)
    assert differences(one.study, more.study) == []
    more.next("a")
    more.run("a", [0.6] * 5)
    assert more.next("b") == Done()
    more.folder.study_file.write_text(dump_study(more.study))
    assert read_overview(more.folder).state == "complete"
