"""Another study's trials as a sampler is told of them: what they say is which configurations are better."""

import json

import pytest

from benchmarks.warm_start import search
from hw2tune.errors import StudyFolderError
from hw2tune.records.layout import StudyFolder
from hw2tune.records.overview import read_overview
from hw2tune.search.view import WARM_START, standardised, take_over
from hw2tune.study.file import dump_study, find_study, parse_study
from tests.search.test_driver import Driver
from tests.search.test_known_failures import DIVERGED, FULL, LOST, failing

CONFIGURATION = {"batch_size": 32, "optimizer": "adam", "weight_decay": 0.0}
RATES, VALUES = [1e-4, 1e-3, 1e-2], [0.5, 0.9, 0.7]


def test_a_constant_or_a_positive_factor_in_all_values_of_the_other_study_changes_no_draw():
    other, _ = search(1)

    def drawn(scale, added):
        warm = [one | {"value": scale * one["value"] + added} for one in other]
        return [one["params"] for one in search(0, warm=warm)[0]]

    ever = drawn(1, 0)
    assert drawn(1, 0.25) == ever == drawn(8, -1)
    assert drawn(-1, 0) != ever != [one["params"] for one in search(0)[0]]


def told(root, *reached, fails=False, sampler="tpe"):
    """What the sampler reads of three trials of another study, once this one's references reached these values."""
    root.mkdir()
    rows = [
        {"params": CONFIGURATION | {"learning_rate": rate}, "value": v} for rate, v in zip(RATES, VALUES, strict=True)
    ]
    (StudyFolder(root).root / WARM_START).write_text(json.dumps({"from": "other", "observations": rows}))
    driver = Driver(root, trials=9, retries=0, **{"pruner.name": "none", "sampler.name": sampler})
    for name, value in zip("ab", reached, strict=False):
        driver.next(name)
        driver.run(name, [value] * 5)
    if fails:
        driver.next("c")
        driver.fails("c", DIVERGED)
    seen = []
    driver.recorder.optuna_study.sampler.before_trial = lambda study, trial: seen.extend(study.get_trials())
    driver.recorder.view.draw()
    return [one.values[0] for one in seen if one.number < 0], {one.number: one.values for one in seen}


def test_values_are_told_at_the_location_and_scale_of_this_study(tmp_path):
    z = [-1.224745, 1.224745, 0.0]  # of 0.5, 0.9, 0.7
    assert told(tmp_path / "none")[0] == pytest.approx(z, abs=1e-6)
    assert told(tmp_path / "one", 0.3)[0] == pytest.approx([0.3 + one for one in z], abs=1e-6)
    assert told(tmp_path / "two", 0.3, 0.4)[0] == pytest.approx([0.35 + 0.05 * one for one in z], abs=1e-6)
    assert standardised([0.4, 0.4]) == [0.0, 0.0] and standardised([]) == []


def test_a_failure_is_told_the_worst_of_both_studies_at_this_ones_scale(tmp_path):
    warm, values = told(tmp_path / "here", 0.3, 0.4, fails=True, sampler="gp")
    assert values[2] == [min(warm)] and min(warm) < 0.3


def test_what_failed_in_the_other_study_is_a_failure_to_the_sampler_and_no_trial_of_this_one(tmp_path):
    (tmp_path / "other").mkdir()
    other = failing(tmp_path / "other", DIVERGED, FULL, LOST)
    other.folder.study_file.write_text(dump_study(other.study))
    mine = StudyFolder(tmp_path / "mine")
    mine.root.mkdir()
    said = take_over(other.study, mine, read_overview(other.folder))
    assert said == "2 of 2 finished trials of other and 2 failed ones are known to the sampler"
    driver = Driver(mine.root, trials=9, retries=0, sampler="gp")
    seen = []
    driver.recorder.optuna_study.sampler.before_trial = lambda study, trial: seen.extend(study.get_trials())
    driver.recorder.view.draw()
    failed = {one.user_attrs["state"]: one for one in seen if "state" in one.user_attrs}
    assert failed.keys() == {"diverged", "out of memory"}
    worst = min(one.values[0] for one in seen if one.values)
    assert {one.values[0] for one in failed.values()} == {worst}
    view = driver.recorder.view
    assert view.learned_risk() is not None and len(driver.trials) == 2
    view.failed.clear()
    assert view.learned_risk() is None


def only_failing(root, *failures):
    """Another study of which every trial failed, and the folder of one that is to know them."""
    root.mkdir()
    other = Driver(root, trials=9, retries=0)
    for number, failure in enumerate(failures):
        other.next(f"f{number}")
        other.fails(f"f{number}", failure)
    other.folder.study_file.write_text(dump_study(other.study))
    mine = StudyFolder(root / "mine")
    mine.root.mkdir()
    return other, mine


@pytest.mark.parametrize("sampler", ["tpe", "gp", "random"])
def test_a_study_of_which_every_trial_failed_by_itself_is_known_to_the_sampler(tmp_path, sampler):
    other, mine = only_failing(tmp_path / "other", DIVERGED, FULL, LOST)
    said = take_over(other.study, mine, read_overview(other.folder))
    assert said == "other has no trial with a value; the sampler knows 2 of its failed ones"
    driver = Driver(mine.root, trials=9, retries=0, sampler=sampler)
    view = driver.recorder.view
    assert [one.user_attrs["state"] for one in view.failed] == ["diverged", "out of memory"]
    assert view.learned_risk() is not None
    for number in range(6):
        driver.next(f"t{number}")
        driver.run(f"t{number}", [0.1 * number] * 5)
    assert len(driver.trials) == 6


def test_a_study_that_says_nothing_of_the_space_is_refused_with_what_it_has(tmp_path):
    way_out = "; name another study, or leave --warm-start out"
    other, mine = only_failing(tmp_path / "lost", LOST)
    with pytest.raises(StudyFolderError) as refused:
        take_over(other.study, mine, read_overview(other.folder))
    assert str(refused.value) == (f"--warm-start lost: no trial of it has a value or failed by itself{way_out}")
    other, mine = only_failing(tmp_path / "beyond", DIVERGED, FULL)
    text, place = find_study("quickstart")
    moved = {"name": "elsewhere", "references": {}, "claims": [], "space.batch_size": [1024]}
    elsewhere = parse_study(text, place, moved)
    with pytest.raises(StudyFolderError) as refused:
        take_over(elsewhere, mine, read_overview(other.folder))
    assert str(refused.value) == (
        "--warm-start beyond: none of its 2 trials that have a value or failed by themselves lies in the space "
        f"of elsewhere{way_out}"
    )
    assert not (mine.root / WARM_START).exists()
