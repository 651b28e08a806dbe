"""Winners of arms: raced in their folders, trained and tested in the study's, search by search if there are several."""

import math

import pytest

from hw2tune.errors import StudyFileError, StudyFolderError
from hw2tune.events import ReplicationFinished
from hw2tune.export.trained import find_model
from hw2tune.records.layout import StudyFolder
from hw2tune.records.overview import read_overview
from hw2tune.records.replicates import ReplicatesFolder, read_race, read_replicates
from hw2tune.records.trials.states import DIVERGED
from hw2tune.replication.rounds import SeedCount
from hw2tune.replication.studies import _refuse_unfinished
from hw2tune.report.claims import claims
from hw2tune.report.study_data import read_study_data
from hw2tune.study.arms import searches
from hw2tune.study.file import parse_study
from tests.execution.test_arms import FILE, Executor, Failing, run
from tests.replication.scripted import Scripted

WITH_MORE = (
    FILE
    + """
[references.baseline]
learning_rate = 0.001
weight_decay = 0.0
batch_size = 32
optimizer = "adam"
[[claims]]
a = "l2"
b = "no-l2"
[[claims]]
a = "l2"
b = { of = "l2", with = { weight_decay = 0.0 } }
[[claims]]
a = "no-l2"
b = "baseline"
"""
)


def accuracy(variant, seed):
    return {"l2": 0.9, "no-l2": 0.8, "l2-weight_decay-0": 0.85, "baseline": 0.7}[variant] + 0.01 * (seed % 3) * (
        2 if variant == "l2" else 1
    )


@pytest.fixture
def study(tmp_path):
    """Run the searches; return the folder."""

    def made(text=FILE, **overrides):
        run(tmp_path, Executor(), text, overrides=overrides)
        return StudyFolder(tmp_path / "results" / "sides")

    return made


def winner(folder):
    race = read_race(ReplicatesFolder.of(folder))
    return next(one.params for one in race.candidates if one.trial == race.winner)


def test_the_winner_of_each_arm_is_raced_there_and_trained_on_the_same_seeds_in_the_study(study, monkeypatch):
    folder = study(WITH_MORE)
    scripted = Scripted(folder, accuracy, monkeypatch)
    scripted.run(SeedCount(3))
    found = {(one.variant, one.seed): one for one in read_replicates(scripted.place)}
    assert set(found) == {(v, seed) for v in ("l2", "no-l2", "l2-weight_decay-0", "baseline") for seed in (1, 2, 3)}
    arms = {arm: folder.arms / arm for arm in ("l2", "no-l2")}
    for arm, root in arms.items():
        won = winner(StudyFolder(root))
        assert found[arm, 1].params["learning_rate"] == won["learning_rate"]
        assert found[arm, 1].params["weight_decay"] == won["weight_decay"]
    changed, as_it_is = found["l2-weight_decay-0", 1].params, found["l2", 1].params
    assert changed == {**as_it_is, "weight_decay": 0.0} != as_it_is
    assert read_race(scripted.place) is None, "the study has no race of its own"
    told = [event.folder for event in scripted.events if isinstance(event, ReplicationFinished)]
    assert told == [str(root) for root in arms.values()], "a logger of an arm is told that its race is over"


def test_auto_adds_seeds_until_the_arms_claim_is_decided(study, monkeypatch):
    scripted = Scripted(study(), accuracy, monkeypatch)
    scripted.run(SeedCount("auto", 20))
    assert scripted.seeds("l2") == scripted.seeds("no-l2") == [1, 2, 3, 4, 5]
    again = Scripted(scripted.folder, accuracy, monkeypatch)
    again.run(SeedCount("auto", 20))
    assert again.trained == [], "race and replicates are kept"


def test_a_kill_in_the_second_arms_race_or_after_it_loses_no_training(study, monkeypatch):
    scripted = Scripted(study(), accuracy, monkeypatch)
    for count in range(1, 20):
        scripted.kill_after = count
        try:
            scripted.run(SeedCount(3))
            break
        except KeyboardInterrupt:
            assert len(scripted.trained) == count
    races = [label for label in scripted.trained if label.startswith("race")]
    assert len(races) == 2, "one finalist of three trials in either arm"
    assert len(scripted.trained) == 2 + 2 * 3, "nothing was trained twice"


def test_a_kill_after_an_arm_has_a_new_winner_leaves_no_replicates_of_the_earlier_one(study, tmp_path, monkeypatch):
    folder = study()
    scripted = Scripted(folder, accuracy, monkeypatch)
    scripted.run(SeedCount(3))
    assert len(read_replicates(scripted.place)) == 6
    run(tmp_path, Executor(accuracy=0.9), overrides={"trials": 4})  # the fourth trial of each arm is its best
    scripted.kill_after = len(scripted.trained) + 1
    with pytest.raises(KeyboardInterrupt):
        scripted.run(SeedCount(3))
    assert read_race(ReplicatesFolder.of(StudyFolder(folder.arms / "l2"))).winner == 3
    assert read_replicates(scripted.place) == []
    scripted.kill_after = None
    scripted.run(SeedCount(3))
    assert {one.params["learning_rate"] for one in read_replicates(scripted.place)} == {
        winner(StudyFolder(folder.arms / arm))["learning_rate"] for arm in ("l2", "no-l2")
    }


def test_each_of_several_searches_has_its_own_winner_on_seeds_of_its_own(study, monkeypatch):
    folder = study(WITH_MORE, searches=3)
    scripted = Scripted(folder, accuracy, monkeypatch)
    scripted.run(SeedCount.of(read_overview(folder).study, 2, None, searches=3))
    found = {(one.variant, one.seed): one.params for one in read_replicates(scripted.place)}
    seeds = [1, 2, 21, 22, 41, 42]  # twenty apart, so that more replicates of a search do not move the next one's
    assert sorted(found) == sorted(
        (v, seed) for v in ("l2", "no-l2", "l2-weight_decay-0", "baseline") for seed in seeds
    )
    for number, name in enumerate(("l2", "l2.2", "l2.3")):
        for seed in seeds[2 * number : 2 * number + 2]:
            assert found["l2", seed]["learning_rate"] == winner(StudyFolder(folder.arms / name))["learning_rate"]
    assert len({found["l2", seed]["learning_rate"] for seed in seeds}) == 3
    assert len({found["baseline", seed]["learning_rate"] for seed in seeds}) == 1


def test_a_search_that_found_nothing_is_counted_for_its_side(tmp_path, monkeypatch):
    run(tmp_path, Failing("sides/l2.2", DIVERGED), overrides={"searches": 3})
    folder = StudyFolder(tmp_path / "results" / "sides")
    overview = read_overview(folder)
    _refuse_unfinished(overview, race=6)
    scripted = Scripted(folder, lambda variant, seed: None if (variant, seed) == ("l2", 21) else 0.9, monkeypatch)
    scripted.run(SeedCount.of(overview.study, 1, None, searches=3))
    [claim] = claims(read_study_data(folder))
    assert claim.evidence.failed == (1, 0) and claim.evidence.trained == 3
    assert "l2 diverged or collapsed on 1 of 3 searches, no-l2 on none." in claim.sentence
    first = overview.searches[2].rows[0]
    assert [
        one.params["learning_rate"] for one in read_replicates(scripted.place) if (one.variant, one.seed) == ("l2", 21)
    ] == [first.params["learning_rate"]]


def test_the_network_of_a_further_search_is_that_of_its_own_winner(study, tmp_path, monkeypatch):
    folder = study(WITH_MORE, searches=2)
    Scripted(folder, accuracy, monkeypatch).run(SeedCount.of(read_overview(folder).study, 2, None, searches=2))
    found = {arm: find_model(tmp_path / "results", "sides", arm=arm) for arm in ("l2", "l2.2", "no-l2.2")}
    assert [one.name for one in found.values()] == ["l2, seed 1", "l2, seed 21", "no-l2, seed 21"]
    won = winner(StudyFolder(folder.arms / "l2.2"))
    assert found["l2.2"].hyperparameters.learning_rate == won["learning_rate"]
    assert find_model(tmp_path / "results", "sides", arm="l2.2", seed=22).seed == 22
    for given in ({"variant": "best"}, {"trial": 0}, {"variant": "decayed"}):
        with pytest.raises(StudyFolderError, match="the network of which arm\\?"):
            find_model(tmp_path / "results", "sides", **given)


def test_the_seeds_of_searches_races_and_claims_are_all_different():
    text = FILE.replace("trials = 3", "trials = 3\nsearches = 50\nseed = 5")
    study = parse_study(text, "sides.toml")
    count = SeedCount.of(study, 20, None, searches=50)
    of_claims = count.seeds(study)
    of_searches = {one.seed for one in searches(study)}
    of_races = {seed + 1001 + n for seed in of_searches for n in range(100)}
    assert len(of_claims) == len(set(of_claims)) == 1000 and len(of_searches) == 50
    assert not set(of_claims) & of_searches and not set(of_claims) & of_races and not of_races & of_searches


def test_with_several_searches_auto_is_one_seed_for_each_and_most_is_refused():
    study = parse_study(FILE.replace("trials = 3", "trials = 3\nsearches = 7"), "sides.toml")
    assert SeedCount.of(study, None, None, searches=4) == SeedCount(4, None, each=1)
    for given, text in ((("auto", 9), "--most 9"), ((21, None), "--replicates 21")):
        with pytest.raises(StudyFileError) as refusal:
            SeedCount.of(study, *given, searches=4)
        assert str(refusal.value) == (
            f"{text}: sides has 7 searches of each arm, whose winners are trained on 1 to 20 seeds each; give "
            "--replicates a number of these, or add searches with --searches"
        )


def test_arms_are_compared_on_the_searches_that_all_of_them_have_complete(tmp_path):
    folder = StudyFolder(tmp_path / "results" / "sides")
    run(tmp_path, Executor(ends_at=4))
    with pytest.raises(StudyFolderError) as refusal:
        _refuse_unfinished(read_overview(folder), race=6)
    assert str(refusal.value) == (
        f"{folder.arms / 'no-l2'}: 1 of 3 trials are finished, and arms are compared on the same budget; "
        "`hw2tune study sides` goes on with the search"
    )
    run(tmp_path, Executor(ends_at=6), overrides={"searches": 3})
    assert read_overview(folder).compared == 1
    run(tmp_path, Executor(), overrides={"searches": 3})
    assert read_overview(folder).compared == 3
    assert math.prod(len(one.rows) for one in read_overview(folder).searches) == 3**6
