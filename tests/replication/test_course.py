"""A race on many slots is the race on one: what it decides, and what it is charged for."""

import json
import random
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hw2tune.events import Noted, ReplicationStarted
from hw2tune.records.replicates import read_race, read_replicates
from hw2tune.replication.course import Course
from hw2tune.replication.race import Finalists
from hw2tune.replication.rounds import SeedCount
from hw2tune.study.names import RACE_EACH
from tests.replication.scripted import Scripted
from tests.report.fake_study import write_fake_study

VALUE = st.floats(0.5, 0.99)


@st.composite
def races(draw):
    """A race that nobody has begun, and the value of each of its trainings, None for one that diverges."""
    count = draw(st.integers(1, 6))
    search = draw(st.lists(st.none() | VALUE, min_size=count, max_size=count))
    known = Finalists(
        search, draw(st.lists(VALUE, max_size=8)), draw(st.sampled_from([0.0, 1e-4])),
        most=draw(st.none() | st.integers(count, RACE_EACH * count)),
    )  # fmt: skip
    close = draw(st.booleans())  # so that it is not over after a seed
    values = st.floats(0.8, 0.81) if close else VALUE
    each = st.lists(values if draw(st.booleans()) else st.none() | values, min_size=12, max_size=12)
    return known, draw(st.lists(each, min_size=count, max_size=count))


def in_turn(known: Finalists, values) -> Finalists:
    """The race as it was written before it could look ahead."""
    alone = replace(known, values=[[] for _ in known.search])
    while numbers := alone.next():
        for number in numbers:
            alone.values[number].append(values[number][len(alone.values[number])])
    return alone


def on_slots(known: Finalists, values, slots: int, ends: random.Random) -> tuple[Course, int]:
    """The race on so many slots, whose trainings end in any order, and how many it trained."""
    course, live, trained = Course(replace(known, values=[[] for _ in known.search])), [], 0
    while course.wanted:
        while len(live) < slots and (place := course.begin()) is not None:
            assert place not in live and place not in course.values
            live.append(place)
        number, place = live.pop(ends.randrange(len(live)))
        course.learn((number, place), values[number][place])
        trained += 1
    return course, trained


@settings(max_examples=60, deadline=None)
@given(races(), st.sampled_from([1, 2, 3, 8, 40]), st.randoms(use_true_random=False))
def test_a_race_on_any_number_of_slots_is_the_race_on_one(race, slots, ends):
    known, values = race
    alone = in_turn(known, values)
    course, trained = on_slots(known, values, slots, ends)
    assert course.known.values == alone.values and course.known.winner == alone.winner
    asked = sum(map(len, alone.values))
    assert asked <= known.limit
    assert len(course.begun) - len(course.unused) == asked and trained <= len(course.begun)
    if slots == 1:
        assert trained == asked
    assert all(place < RACE_EACH * len(values) for _, place in course.begun)  # no seed but the race's


def test_a_race_within_a_budget_is_charged_for_what_it_asks_for_alone():
    known = Finalists([0.93, 0.93, 0.92], [0.9, 0.8], most=5)
    values = 0.9 + np.random.default_rng(3).normal(0, 0.02, (3, 12))
    course, trained = on_slots(known, values, 8, random.Random(0))
    assert sum(map(len, course.known.values)) == known.limit == 5 < trained + len(course.unused - course.values.keys())


def test_an_idle_slot_trains_the_leader_and_its_rival_ahead_and_not_who_cannot_win():
    course = Course(Finalists([0.95, 0.95, 0.60, 0.61], [0.6, 0.61, 0.62, 0.63]))
    for number, value in enumerate([0.95, 0.951, 0.60, 0.61]):
        course.learn((number, 0), value)
    assert course.begin() in [(0, 1), (1, 1)] and course.begin() in [(0, 1), (1, 1)]
    assert {course.begin(), course.begin()} == {(0, 2), (1, 2)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_fake_study(tmp_path_factory.mktemp("race"), trials=30, seeds=0)


def scripted(folder, patch, slots: int) -> Scripted:
    def value(label: str) -> float:
        *_, trial, _, seed = ("none", *label.split())
        return 0.9 + 0.01 * np.random.default_rng([int(trial) if trial.isdigit() else 0, int(seed)]).normal()

    run = Scripted(folder, lambda variant, seed: 0.8 + 0.02 * (variant == "tuned"), patch, slots=slots)
    run.value, run.ends = value, random.Random(slots).randrange
    return run


def test_a_study_on_many_slots_has_the_race_and_the_replicates_of_one(folder, monkeypatch):
    found, trained = [], []
    for slots in (1, 2, 8, 40):
        run = scripted(folder, monkeypatch, slots)
        run.run(SeedCount(2), race=6)
        found.append((read_race(run.place), {(one.variant, one.seed, one.key) for one in read_replicates(run.place)}))
        trained.append({label for label in run.trained if label.startswith("race")})
        assert len(run.trained) == len(set(run.trained))
        claimed = [int(label.split()[-1]) for label in run.trained if not label.startswith("race")]
        assert set(claimed) == {1, 2} and all(1000 < int(label.split()[-1]) <= 1012 for label in trained[-1])
        notes = [one.text for one in run.events if isinstance(one, Noted) and "ahead" in one.text]
        ahead = len(trained[-1]) - 12
        assert slots > 1 or not notes
        for path in [*run.place.trainings.iterdir()] if slots < 40 else []:
            for file in path.iterdir():
                file.unlink()
        if slots < 40:
            run.place.current.unlink()
    said = r"quickstart: the race did not need \d+ trainings begun ahead in idle slots; (\d+) finished, and kept"
    assert (told := re.fullmatch(said, notes[0])) and int(told[1]) == ahead > 0
    assert found[0][0].winner and all(one == found[0] for one in found[1:])
    assert len(trained[0]) == 12 and all(trained[0] >= one & trained[0] for one in trained)
    # What was trained ahead is kept, and a race that asks for it does not train it again.
    again = scripted(folder, monkeypatch, 40)
    run.place.current.unlink()
    again.run(SeedCount(2), race=6)
    assert again.trained == [] and read_race(run.place) == found[0][0]
    assert not [one for one in again.events if isinstance(one, ReplicationStarted) and one.race]


def test_a_training_of_the_race_that_version_0_1_chose_without_a_value_is_trained_again(tmp_path, monkeypatch):
    run = scripted(write_fake_study(tmp_path, trials=30, seeds=0), monkeypatch, 1)
    run.run(SeedCount(1), race=2)
    label = next(label for label in run.trained if label.startswith("race"))
    (path,) = (one for one in run.place.trainings.glob("*/training.json") if f'"{label}"' in one.read_text())
    record = json.loads(path.read_text())
    record["epochs"][0]["validation_accuracy"] = float("nan")
    path.write_text(json.dumps(record))
    run.place.current.unlink()
    run.trained.clear()
    run.run(SeedCount(1), race=2)
    assert run.trained == [label]
    note = f"{label}: trained again, as version 0.1 chose an epoch without a finite validation_accuracy"
    assert run.events.count(Noted(text=note)) == 1


def test_one_event_says_what_a_race_takes_at_most_and_the_next_counts_on(tmp_path, monkeypatch):
    run = scripted(write_fake_study(tmp_path, trials=30, seeds=0), monkeypatch, 2)
    run.run(SeedCount(2), race=4)
    begun = [(one.race, one.done, one.total, one.cached) for one in run.events if isinstance(one, ReplicationStarted)]
    taken = sum(label.startswith("race") for label in run.trained)
    assert begun[:2] == [(0, 0, 4, 0), (4, 4, 4 + 8, 0)]
    assert begun[2:] == [(0, 4 + taken, 4 + taken + 4, 4)]
