"""Seeds are added until every claim is decided or futile, and a killed run comes to the same end."""

import json
import math
import shutil

import pytest

from hw2tune.errors import StudyFileError
from hw2tune.events import Noted, ReplicationStarted
from hw2tune.records.replicates import every_replicate, read_replicates
from hw2tune.replication.rounds import SeedCount, first_possible
from hw2tune.study.file import find_study, parse_study
from tests.replication.scripted import Scripted
from tests.report.fake_study import write_fake_study

AUTO = SeedCount("auto", 20)


def clear(variant, seed):
    """Tuning gains five points and weight decay one, on every seed; the seeds differ by a point or two."""
    return (
        {"baseline": 0.85, "l2": 0.86, "tuned": 0.90, "tuned-no-l2": 0.80}[variant]
        + 0.01 * (seed % 3)
        + (0.002 * (seed % 2) if variant in ("l2", "tuned") else 0)
    )


# Differences on seeds 1, 2, ...: as the only claim it is decided with the eleventh.
SLOWLY = (0.05, 0.065, 0.036, 0.005, 0.027, 0.0, 0.053, 0.117, 0.025, 0.019, 0.074, 0.068, 0.05, 0.05, 0.06, 0.05)


def one_open(variant, seed):
    """As `clear`, but whether weight decay helps takes more seeds to see."""
    return clear("baseline", seed) + SLOWLY[(seed - 1) % 16] if variant == "l2" else clear(variant, seed)


@pytest.fixture
def folder(tmp_path):
    return write_fake_study(tmp_path, seeds=0)


def counting(scripted):
    return {(one.variant, one.seed) for one in read_replicates(scripted.place)}


@pytest.mark.parametrize("claims", [1, 2, 3, 6, 40])
def test_the_first_round_is_the_smallest_that_can_decide(claims):
    """However large a difference is, the e-value of n of them is below (1 + n) ** ((n - 1) / 2): the limit of t."""
    n = first_possible(claims)
    bound = [(number - 1) / 2 * math.log(1 + number) for number in (n - 1, n)]
    assert bound[0] < math.log(claims / 0.05) <= bound[1]


def test_one_claim_begins_with_five_seeds_three_with_six_and_at_most_as_many_as_allowed():
    assert [AUTO.first(claims) for claims in (0, 1, 3)] == [5, 5, 6]
    assert SeedCount("auto", 4).first(3) == 4
    assert SeedCount(2).first(3) == 2


def test_clear_differences_end_with_the_first_round(folder, monkeypatch):
    scripted = Scripted(folder, clear, monkeypatch)
    rounds = scripted.run(AUTO)
    assert (rounds.open, rounds.futile) == ([], [])
    for variant in ("baseline", "l2", "tuned", "tuned-no-l2"):
        assert scripted.seeds(variant) == [1, 2, 3, 4, 5, 6]
    assert Noted(text="quickstart: n = 6; every claim is decided") in scripted.events


@pytest.fixture
def by_loss(tmp_path, monkeypatch):
    """A study of losses in which all accuracies are equal."""
    folder = write_fake_study(tmp_path, seeds=0, objective="validation_loss")
    scripted = Scripted(folder, lambda variant, seed: 0.9, monkeypatch)
    scripted.loss = lambda variant, seed: 1 - clear(variant, seed)
    return scripted


def test_a_claim_is_decided_by_the_objectives_own_metric(by_loss):
    rounds = by_loss.run(AUTO)
    assert (rounds.open, rounds.futile, by_loss.seeds("tuned")) == ([], [], [1, 2, 3, 4, 5, 6])


def test_what_an_earlier_version_tested_for_accuracy_is_tested_again_and_not_trained(by_loss):
    by_loss.run(SeedCount(2))
    for path in by_loss.place.records():
        record = json.loads(path.read_text())
        for which in ("chosen", "last"):
            del record[which]["metric"], record[which]["value"]
        path.write_text(json.dumps(record))
    assert not any(one.has("loss") for one in read_replicates(by_loss.place))
    by_loss.trained.clear()
    by_loss.run(SeedCount(2))
    assert by_loss.trained == [] and all(one.has("loss") for one in read_replicates(by_loss.place))
    said = "8 replicates of an earlier version, whose weights are kept: tested again, for test loss"
    assert Noted(text=said) in by_loss.events


def test_only_the_sides_of_open_claims_get_more_seeds(folder, monkeypatch):
    scripted = Scripted(folder, one_open, monkeypatch)
    rounds = scripted.run(AUTO)
    n = rounds.seeds["l2"]
    assert 6 < n < 20 and rounds.open == rounds.futile == []
    assert scripted.seeds("l2") == scripted.seeds("baseline") == list(range(1, n + 1))
    assert scripted.seeds("tuned") == scripted.seeds("tuned-no-l2") == [1, 2, 3, 4, 5, 6]
    said = [event.claims for event in scripted.events if isinstance(event, ReplicationStarted) and event.claims]
    assert said[-1] == f"n = {n}, open: l2 against baseline"
    claims = "l2 against baseline, tuned against baseline and tuned against tuned-no-l2"
    assert said[0] == f"n = 6, open: {claims}"
    assert counting(scripted) == {(one.variant, one.seed) for one in every_replicate(scripted.place)}


@pytest.fixture
def one_claim(tmp_path):
    """A study that claims one thing of two references, so that it needs no race."""
    return write_fake_study(tmp_path, seeds=0, claims=[{"a": "l2", "b": "baseline"}])


def test_with_more_free_slots_than_a_seed_fills_as_many_seeds_are_added_as_fill_them(one_claim, monkeypatch):
    scripted = Scripted(one_claim, one_open, monkeypatch, slots=7)
    scripted.run(SeedCount("auto", 10))
    begun = [event for event in scripted.events if isinstance(event, ReplicationStarted)]
    sizes = [event.total - event.done for event in begun]
    assert sizes == [10, 6, 4]  # five seeds of both sides, three with seven slots, and the last two
    assert [event.total for event in begun] == [10, 16, 20]  # of the command, counted through


def test_a_claim_that_no_seed_decides_ends_at_the_most_and_a_larger_number_goes_on(one_claim, monkeypatch):
    scripted = Scripted(one_claim, one_open, monkeypatch)
    assert len(scripted.run(SeedCount("auto", 10)).open) == 1
    assert scripted.seeds("l2") == scripted.seeds("baseline") == list(range(1, 11))
    line = "quickstart: n = 10; l2 against baseline: undecided, and --most 10 is reached"
    assert scripted.events[-1] == Noted(text=line)
    assert scripted.run(SeedCount("auto", 12)).open == [] and scripted.seeds("l2") == list(range(1, 12))


def test_a_claim_is_given_up_when_a_verdict_within_the_most_is_unlikely(one_claim, monkeypatch):
    def nothing(variant, seed):  # the differences are 0 on average and 10 points wide
        return 0.7 + (0.1 * (-1) ** seed if variant == "l2" else 0.0)

    scripted = Scripted(one_claim, nothing, monkeypatch)
    rounds = scripted.run(SeedCount("auto", 12))
    assert (len(rounds.futile), rounds.open) == (1, [])
    n = rounds.seeds["l2"]
    assert n < 12 and scripted.seeds("baseline") == list(range(1, n + 1))
    line = f"quickstart: n = {n}; l2 against baseline: undecided, and a verdict within 12 seeds is unlikely"
    assert scripted.events[-1] == Noted(text=line)


def test_a_side_that_never_finishes_is_given_up_after_the_first_round(one_claim, monkeypatch):
    scripted = Scripted(one_claim, lambda variant, seed: None if variant == "l2" else 0.9, monkeypatch)
    assert len(scripted.run(AUTO).futile) == 1
    assert scripted.seeds("l2") == scripted.seeds("baseline") == [1, 2, 3, 4, 5]


def test_the_worth_of_a_claim_is_in_points_and_decides_when_it_is_the_same(tmp_path, monkeypatch):
    """The differences of `one_open` are 4 points on average, 4 points wide: within 15 points from few seeds on."""
    for worth, n in ((15, 5), (2, 11)):
        claims = [{"a": "l2", "b": "baseline", "worth": worth}]
        scripted = Scripted(write_fake_study(tmp_path / str(worth), seeds=0, claims=claims), one_open, monkeypatch)
        scripted.run(AUTO)
        assert scripted.seeds("l2") == list(range(1, n + 1))


def test_a_run_that_is_killed_at_any_training_goes_on_where_it_was_and_ends_the_same(one_claim, monkeypatch, tmp_path):
    whole = Scripted(one_claim, one_open, monkeypatch, slots=4)
    end = whole.run(SeedCount("auto", 12))
    expected = counting(whole)
    for after in range(0, len(whole.trained), 5):
        shutil.rmtree(whole.place.root)
        killed = Scripted(one_claim, one_open, monkeypatch, slots=4)
        killed.kill_after = after
        with pytest.raises(KeyboardInterrupt):
            killed.run(SeedCount("auto", 12))
        before = counting(killed)
        killed.kill_after = None
        again = killed.run(SeedCount("auto", 12))
        assert before <= counting(killed) == expected
        assert len(killed.trained) == len(set(killed.trained)) == len(whole.trained)  # nothing twice
        assert (again.seeds, again.open, again.futile) == (end.seeds, end.open, end.futile)


def test_at_every_moment_the_replicates_that_are_there_count(one_claim, monkeypatch):
    """Continued, the rounds are gone through again from the first; that must not make later seeds disappear."""
    scripted = Scripted(one_claim, one_open, monkeypatch)
    scripted.run(SeedCount("auto", 10))
    counted = []

    def script(variant, seed):
        counted.append(len(counting(scripted)))
        return one_open(variant, seed)

    scripted.script = script
    scripted.run(SeedCount("auto", 12))
    assert min(counted) == 20 and len(counting(scripted)) == 22


def test_more_replicates_than_needed_are_used_and_none_is_trained(one_claim, monkeypatch):
    scripted = Scripted(one_claim, clear, monkeypatch)
    scripted.run(SeedCount(8))
    assert scripted.seeds("l2") == list(range(1, 9))
    scripted.trained.clear()
    scripted.run(SeedCount(3))
    assert (len(counting(scripted)), scripted.trained) == (16, [])  # a smaller number takes no verdict back
    rounds = scripted.run(AUTO)
    assert (rounds.open, rounds.seeds["l2"], scripted.trained) == ([], 5, [])
    assert len(counting(scripted)) == 16


def test_a_further_replicate_without_predictions_does_not_count(one_claim, monkeypatch):
    """It is behind the seeds that decide, so no round tests it again, and no verdict could be reached with it."""
    scripted = Scripted(one_claim, clear, monkeypatch)
    scripted.run(SeedCount(8))
    (scripted.place.replicate("l2", 7) / "arrays.npz").write_bytes(b"damaged")
    scripted.run(AUTO)
    assert counting(scripted) == {(name, seed) for name in ("l2", "baseline") for seed in range(1, 9)} - {("l2", 7)}


def test_fewer_seeds_at_most_than_can_decide_are_said_to_be_too_few(one_claim, monkeypatch):
    rounds = Scripted(one_claim, clear, monkeypatch).run(SeedCount("auto", 4))
    assert rounds.outcome == (
        "n = 4; l2 against baseline: undecided, and --most 4 is reached; no verdict is possible with fewer than 5 seeds"
    )


def test_a_claim_on_one_configuration_needs_no_further_seed(tmp_path, monkeypatch):
    claims = [{"a": "l2", "b": {"of": "baseline", "with": {"weight_decay": 1e-4}}}]
    scripted = Scripted(write_fake_study(tmp_path, seeds=0, claims=claims), lambda variant, seed: 0.9, monkeypatch)
    rounds = scripted.run(AUTO)
    assert rounds.open == [] and len(scripted.trained) == 5


def test_options_come_before_the_study_file_and_most_is_for_auto():
    study = parse_study(*find_study("mnist"), {"replicates": 7, "max_replicates": 12})
    assert SeedCount.of(study, None, None) == SeedCount(7)
    assert SeedCount.of(study, 3, None) == SeedCount(3)
    assert SeedCount.of(study, "auto", None) == SeedCount("auto", 12)
    assert SeedCount.of(study, "auto", 30) == SeedCount("auto", 30)
    with pytest.raises(StudyFileError) as refusal:
        SeedCount.of(study, None, 30)
    assert str(refusal.value) == (
        "--most 30: is for --replicates auto, and mnist has a number of replicates, 7; give --replicates auto as well"
    )


@pytest.mark.parametrize("asked", [0, -1, "many", 2.5])
def test_what_is_no_number_of_seeds_is_refused(asked):
    with pytest.raises(StudyFileError) as refusal:
        SeedCount.of(parse_study(*find_study("mnist")), asked, None)
    assert str(refusal.value) == f'replicates: must be "auto" or a number of seeds >= 1, but got {asked!r}'
