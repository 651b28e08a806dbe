"""The study doctor: each fault, planted in a study's folder, is found; a sound study gives one line."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import optuna
import pytest
from scipy import stats
from typer.testing import CliRunner

import hw2tune
from hw2tune.cli import app
from hw2tune.errors import StudyFolderError
from hw2tune.records.dataset import DatasetRecord
from hw2tune.records.layout import StudyFolder
from hw2tune.records.overview import Overview
from hw2tune.records.reads import TestReads
from hw2tune.records.replicates import write_json
from hw2tune.records.trials.rows import TrialRow, trial_rows
from hw2tune.records.trials.storage import create_optuna_study
from hw2tune.report.claims import claims
from hw2tune.report.doctor import thresholds as limit
from hw2tune.report.doctor.budget import small_budget
from hw2tune.report.doctor.examine import examine
from hw2tune.report.doctor.findings import Finding
from hw2tune.report.doctor.space import at_edges, bad_zones, edges
from hw2tune.report.doctor.stopping import behind_the_best, rungs, upper_limit, wrong_stopping
from hw2tune.report.doctor.zones import _bound, corner_text, failing_corners, zones
from hw2tune.report.figures.drawing import CannotDrawError
from hw2tune.report.figures.tuning_curve import draw_tuning_curve
from hw2tune.report.study_data import StudyData, read_study_data
from hw2tune.study.file import dump_study, find_study, parse_study
from hw2tune.study.schema import Study
from hw2tune.study.space import Choice, Interval
from tests.report.fake_study import write_fake_study

SIZES = {"train": 4000, "validation": 500, "test": 500}


def searched(value, *, trials=40, seed=0, stop=None, state=None, space=None, folder=Path("quickstart")) -> StudyData:
    """A study of trials drawn at random. `value(params, rng)` is the value at the end, or a whole curve."""
    content = parse_study(*find_study("quickstart"), overrides={"trials": trials}).model_dump(by_alias=True)
    study = Study.model_validate(content | {"claims": [], "references": {}, **({"space": space} if space else {})})
    optuna_study, rng = optuna.create_study(direction="maximize"), np.random.default_rng(seed)
    optuna_study.sampler = optuna.samplers.RandomSampler(seed=seed)
    for _ in range(trials):
        trial = optuna_study.ask()
        params = study.search_space.suggest(trial)
        curve = np.broadcast_to(value(params, rng), study.max_epochs)
        if state and state(params):
            trial.set_user_attr("state", state(params))
            optuna_study.tell(trial, state=optuna.trial.TrialState.FAIL)
            continue
        last = stop(params, curve) if stop else study.max_epochs
        for epoch, reached in enumerate(curve[:last], 1):
            trial.report(float(reached), epoch)
        pruned = optuna.trial.TrialState.PRUNED if last < study.max_epochs else None
        optuna_study.tell(trial, None if pruned else float(max(curve)), state=pruned)
    every = optuna_study.get_trials()
    rows = trial_rows(study, every, alive=False)
    record = DatasetRecord(
        name="fake", label="invented", classes=[str(i) for i in range(10)], image_shape=[28, 28, 1], mean=[0.5],
        std=[0.5], checksum="sha256:00", split_checksum="sha256:11", sizes=SIZES, source="tests",
    )  # fmt: skip
    overview = Overview(folder=StudyFolder(folder), study=study, rows=rows, running=None, trials=every)
    return StudyData(
        overview=overview, replicates=[], dataset=record, gallery=None, pixel_counts=None, race=None, environment=[]
    )


def written(results: Path, *args, **kwargs) -> StudyData:
    """The same as a folder."""
    data = searched(*args, **kwargs, folder=results / "quickstart")
    folder, record = data.overview.folder, data.dataset
    assert record is not None
    folder.root.mkdir()
    folder.study_file.write_text(dump_study(data.overview.study))
    create_optuna_study(folder, data.overview.study).add_trials(data.overview.trials)
    write_json(folder.datasets[0], asdict(record))
    return data


def hill(params, rng) -> float:
    """A sound space: the best learning rate is in its middle, and a training's luck 0.3 points."""
    return 0.95 - 0.02 * abs(np.log10(params["learning_rate"] / 3e-3)) + rng.normal(0, 0.003)


def checks(found: list[Finding]) -> list[str]:
    return [one.check for one in found]


def test_a_sound_search_has_no_finding() -> None:
    assert examine(searched(hill)) == []


@pytest.mark.parametrize(("direction", "side", "end"), [(1, "upper", "0.1"), (-1, "lower", "1e-4")])
def test_best_trials_at_an_edge(direction: int, side: str, end: str) -> None:
    def rises(params, rng):
        return 0.9 + direction * 0.02 * np.log10(params["learning_rate"])

    (found,) = at_edges(searched(rises, trials=100))
    assert found.hyperparameter == "learning_rate"
    assert found.finding in [f"learning_rate: {n} of the best 5 trials are at the {side} edge {end}." for n in (4, 5)]
    assert found.remedy.startswith("Widen it: move `high` beyond 0.1" if direction > 0 else "Widen it: move `low`")


def test_an_edge_needs_four_of_five_by_the_binomial_tail() -> None:
    tail = [stats.binom.sf(k - 1, limit.BEST, limit.EDGE) for k in (3, 4)]
    assert tail[0] > limit.FALSE_EDGE > tail[1]


def test_natural_ends_of_a_range_are_no_edges() -> None:
    space = {
        "learning_rate": {"low": 1e-4, "high": 0.1, "log": True},
        "weight_decay": {"low": 1e-6, "high": 0.1, "log": True, "or_zero": True},
        "momentum": {"low": 0.0, "high": 0.99},
        "model.width": {"low": 8, "high": 12, "integer": True},
        "batch_size": {"choices": [32, 64, 128, 256]},
        "optimizer": {"choices": ["sgd", "adam"]},
    }
    study = parse_study(*find_study("quickstart"))
    content = study.model_dump(by_alias=True) | {"space": space, "references": {}, "claims": []}
    found = {(one.name, one.upper): round(one.share, 3) for one in edges(Study.model_validate(content))}
    assert found == {
        ("learning_rate", False): 0.05, ("learning_rate", True): 0.05, ("weight_decay", True): 0.05,
        ("momentum", True): 0.05, ("model.width", False): 0.2, ("model.width", True): 0.2,
        ("batch_size", False): 0.25, ("batch_size", True): 0.25,
    }  # fmt: skip


def test_a_whole_number_and_a_choice_are_at_the_edge_with_their_last_value() -> None:
    study = parse_study(*find_study("quickstart"))
    width = Interval(low=1, high=5, integer=True)
    sizes = Choice(choices=[256, 32, 64])
    known = {**study.space, "model.width": width, "batch_size": sizes}
    ends = {(one.name, one.upper): one for one in edges(study.model_copy(update={"space": known}))}
    upper = ends["model.width", True]
    assert [upper.contains(width, value) for value in (3, 4, 5, None)] == [False, False, True, False]
    largest = ends["batch_size", True]
    assert [largest.contains(sizes, value) for value in (32, 64, 256)] == [False, False, True]


def test_a_zone_at_chance() -> None:
    def dies(params, rng):
        return 0.1 if params["learning_rate"] > 0.01 else hill(params, rng)

    (found,) = bad_zones(searched(dies, trials=60))
    assert (found.check, found.hyperparameter) == ("dead zone", "learning_rate")
    assert found.finding.startswith("No trial with learning_rate >= 0.0") and found.finding.endswith(" (14.0 %).")
    assert "outside 0 of" in found.evidence and "stopped early" not in found.evidence


def test_a_zone_at_both_ends_of_which_neither_is_beyond_chance_beside_the_other() -> None:
    def dies(params, rng):
        return hill(params, rng) if 6e-4 < params["learning_rate"] < 5e-3 else 0.1

    data = searched(dies, trials=40)
    rates = [row.params["learning_rate"] for row in data.overview.rows]
    low, high = sum(rate <= 6e-4 for rate in rates), sum(rate >= 5e-3 for rate in rates)
    alone = [stats.hypergeom.sf(k - 1, 40, low + high, k) for k in (low, high)]
    assert min(alone) > 1e-3  # times the zones tried, far above 0.01
    (found,) = bad_zones(data)
    assert found.finding == "No trial with learning_rate <= 6e-4 or >= 0.0059 got beyond chance (14.0 %)."
    assert found.evidence.startswith(
        f"Inside {low + high} of {low + high} drawn trials, outside 0 of {40 - low - high}; "
    )


def test_the_other_end_of_a_zone_is_not_named_for_trials_that_are_bad_by_chance() -> None:
    data = searched(hill, trials=60)
    rows = sorted(data.overview.rows, key=lambda row: float(row.params["learning_rate"]))
    bad = {0, 1, 2, 3, 10, 14, 18, 22, 26, 30, 34, *range(40, 60)}
    rows = [replace(row, value=0.1) if at in bad else row for at, row in enumerate(rows)]
    (found,) = bad_zones(replace(data, overview=replace(data.overview, rows=rows)))
    assert found.finding.startswith("No trial with learning_rate >= ") and found.evidence.startswith("Inside 20 of 20 ")


def test_a_zone_ends_at_a_reference_or_a_diverged_trial_that_got_beyond_chance() -> None:
    def dies(params, rng):
        return 0.1 if params["learning_rate"] > 0.01 else hill(params, rng)

    data = searched(dies, trials=60)
    rows = sorted(data.overview.rows, key=lambda row: float(row.params["learning_rate"]))
    first = next(at for at, row in enumerate(rows) if row.value == 0.1)
    for state, label in (("complete", "baseline"), ("diverged", "")):
        there = [*rows[: first + 1], replace(rows[first + 1], state=state, label=label, value=0.5), *rows[first + 2 :]]
        (found,) = (one for one in bad_zones(replace(data, overview=replace(data.overview, rows=there))))
        assert found.evidence.startswith(f"Inside {len(rows) - first - 2} of {len(rows) - first - 2} drawn trials, ")


def test_a_zone_says_how_many_of_its_trials_were_stopped_early() -> None:
    def late(params, rng):
        return [0.1, 0.9, 0.9, 0.9, 0.9] if params["learning_rate"] > 0.01 else hill(params, rng)

    data = searched(late, trials=60, stop=lambda params, curve: 1 if params["learning_rate"] > 0.01 else 5)
    number = sum(row.params["learning_rate"] > 0.01 for row in data.overview.rows)
    (found,) = bad_zones(data)  # no trial got beyond chance, but any that was trained on would have
    assert found.evidence.startswith(f"Inside {number} of {number} drawn trials ({number} stopped early), outside 0 ")


def test_a_zone_inside_a_choice() -> None:
    def dies(params, rng):
        slow = params["optimizer"] == "sgd" and params["learning_rate"] < 0.02
        return 0.11 if slow else hill(params, rng)

    (found,) = bad_zones(searched(dies, trials=80))
    assert found.finding.startswith("No trial with optimizer = sgd and learning_rate <= 0.0")
    assert found.remedy == (
        "Narrow the range of learning_rate, or leave optimizer = sgd out in [space], and run the study under a new "
        "name (`--name`)."
    )


def test_a_value_with_a_sound_trial_is_in_no_zone() -> None:
    study = parse_study(*find_study("quickstart"))
    space = {"momentum": Interval(low=0, high=9, integer=True)}
    rows = [
        TrialRow(number=number, label="", state="complete", reason="", epochs=5, value=value, best_epoch=5, seconds=1.0,
                 params={"momentum": at})
        for number, (at, value) in enumerate([(0, 0.1), (1, 0.1), (2, 0.1), (2, 0.9), (3, 0.9)])
    ]  # fmt: skip
    tried = zones(study.model_copy(update={"space": space}), rows, lambda row: row.value == 0.1)
    lowest = next(zone for zone in tried if "<=" in zone.condition)
    assert lowest.condition == "momentum <= 1" and [row.params["momentum"] for row in lowest.rows] == [0, 1]


@pytest.mark.parametrize(
    ("last", "beyond", "sign", "expected"),
    [
        (0.01234, 0.02, "<=", "0.0123400"), (0.0127, 0.0128, "<=", "0.0127"), (0.0966, 0.0963, ">=", "0.0965"),
        (3e-5, 4e-5, "<=", "3e-5"), (64, None, ">=", "64"), (4096, None, "<=", "4096"),
    ],
)  # fmt: skip
def test_the_bound_of_a_zone_has_its_trials_on_one_side_and_the_next_on_the_other(last, beyond, sign, expected) -> None:
    text = _bound(last, beyond, sign)
    inside, outside = (float(last) <= float(text), beyond is None or float(text) < beyond)
    if sign == ">=":
        inside, outside = (float(last) >= float(text), beyond is None or float(text) > beyond)
    assert inside and outside and len(text) <= len(expected)


def test_a_corner_that_diverges() -> None:
    def diverges(params):
        return "diverged" if params["learning_rate"] > 0.02 else None

    (found,) = bad_zones(searched(hill, trials=60, state=diverges))
    assert (found.check, found.hyperparameter) == ("failing corner", "learning_rate")
    assert found.finding.endswith(" diverged.")


def test_a_choice_that_raises_an_error_is_a_corner() -> None:
    data = planted((lambda params: params["batch_size"] == 32, "failed"))
    (found,) = bad_zones(data)
    assert (found.check, found.hyperparameter) == ("failing corner", "batch_size")
    assert found.finding == "Every trial with batch_size = 32 raised an error."
    (corner,) = failing_corners(data.overview)
    assert corner_text(corner).startswith("batch_size = 32 raises an error: ")


def planted(*corners, trials=60):
    """A study whose trials have diverged, or the state given, where a corner says so: (condition, state)."""
    data = searched(hill, trials=trials)
    rows = []
    for row in data.overview.rows:
        state = next((state for holds, state in corners if holds(row.params)), None)
        rows.append(replace(row, state=state, value=None) if state else row)
    return replace(data, overview=replace(data.overview, rows=rows))


def rates(trials=60):
    return sorted(row.params["learning_rate"] for row in searched(hill, trials=trials).overview.rows)


def test_a_corner_in_which_two_of_eleven_trials_do_not_diverge() -> None:
    every = rates()
    bad = {every[-n] for n in (1, 2, 4, 5, 7, 8, 9, 10, 11)}
    data = planted((lambda params: params["learning_rate"] in bad, "diverged"))
    (corner,) = failing_corners(data.overview)
    text = corner_text(corner)
    bound = text.split()[2]
    assert text == f"learning_rate >= {bound} diverges: 9 of 11 trials" and every[-12] < float(bound) <= every[-11]
    (found,) = bad_zones(data)
    assert found.finding == f"9 of 11 trials with learning_rate >= {bound} diverged."
    assert found.evidence.startswith("Inside 9 of 11 drawn trials, outside 0 of 49; ")


def test_a_corner_does_not_reach_over_a_reference_that_got_somewhere() -> None:
    every = rates()
    data = planted((lambda params: params["learning_rate"] in {*every[-11:], *every[-14:-12]}, "diverged"))
    (corner,) = failing_corners(data.overview)
    assert len(corner.rows) == 14
    rows = [
        replace(row, label="l2") if row.params["learning_rate"] == every[-12] else row for row in data.overview.rows
    ]
    (corner,) = failing_corners(replace(data.overview, rows=rows))
    assert len(corner.rows) == 11


def test_two_corners_that_fail_each_in_its_way() -> None:
    high = rates(80)[-20]
    data = planted(
        (lambda params: params["learning_rate"] >= high, "diverged"),
        (lambda params: params["batch_size"] == 256, "out of memory"),
        trials=80,
    )
    first, second = (corner_text(corner) for corner in failing_corners(data.overview))
    assert first.startswith("learning_rate >= ") and first.endswith(" diverges: 20 of 20 trials")
    assert second.startswith("batch_size = 256 runs out of memory: ")


def test_failures_anywhere_are_no_corner() -> None:
    rng = np.random.default_rng(0)
    overview, named = searched(hill, trials=60).overview, 0
    for _ in range(100):
        rows = [replace(row, state="diverged", value=None) if rng.random() < 0.3 else row for row in overview.rows]
        named += any(failing_corners(replace(overview, rows=rows)))
    assert named <= 3  # 1 % of studies, at most, by chance


def test_zones_are_as_large_as_all_in_them_is_bad() -> None:
    data = searched(hill, trials=30)
    rates = sorted(row.params["learning_rate"] for row in data.overview.rows)
    tried = list(zones(data.overview.study, data.overview.rows, lambda row: row.params["learning_rate"] <= rates[6]))
    lowest = next(zone for zone in tried if zone.condition.startswith("learning_rate <="))
    assert sorted(row.params["learning_rate"] for row in lowest.rows) == rates[:7]


def noise(params, rng):
    """Curves whose order at the first epochs says nothing of the last."""
    return np.append(rng.uniform(0.5, 0.6, 4), rng.uniform(0.9, 0.95))


def test_a_rung_whose_order_says_nothing_about_the_end() -> None:
    data = searched(noise, trials=40, seed=3)
    found = list(wrong_stopping(data.overview))
    assert [one.finding for one in found] == [
        f"The order of trials at epoch {epoch} says little about their order at the end." for epoch in (1, 3)
    ]
    early = {trial.number: trial.intermediate_values[1] for trial in data.overview.trials}
    late = {row.number: row.value for row in data.overview.rows}
    expected = stats.spearmanr(list(early.values()), list(late.values())).statistic
    assert rungs(data.overview)[0].correlation == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "audited"), [("median", True), ("percentile", True), ("patient", False), ("none", False)]
)
def test_pruners_that_compare_trials_after_every_epoch_are_audited_where_rungs_would_be(
    name: str, audited: bool
) -> None:
    overview = searched(noise, trials=40, seed=3).overview
    pruner = overview.study.pruner.model_copy(update={"name": name})
    overview = replace(overview, study=overview.study.model_copy(update={"pruner": pruner}))
    assert [one.epoch for one in rungs(overview)] == ([1, 3] if audited else [])
    assert len(list(wrong_stopping(overview))) == (2 if audited else 0)


def test_the_limit_of_a_correlation_is_the_one_of_fishers_z() -> None:
    assert upper_limit(0.0, 28) == pytest.approx(np.tanh(1.96 * (1.06 / 25) ** 0.5), abs=1e-4)


SCHEDULED = {
    "learning_rate": {"low": 1e-4, "high": 1e-1, "log": True},
    "batch_size": {"choices": [64]},
    "optimizer": {"choices": ["adam"]},
    "schedule": {"choices": ["constant", "one_cycle"]},
}


def test_a_schedule_that_never_passes_a_rung() -> None:
    def stop(params, curve):
        return 1 if params["schedule"] == "one_cycle" else 5

    data = searched(hill, stop=stop, trials=30, space=SCHEDULED)
    (found,) = (one for one in wrong_stopping(data.overview) if one.hyperparameter == "schedule")
    assert found.finding == "No trial with the schedule one_cycle passed the rung at epoch 1."
    assert found.remedy.startswith(
        "A schedule whose gain comes late cannot be judged there: set `min_epochs` under [pruner] above 1, compare "
        'trials within their schedule (`arguments = { within = ["schedule"] }`), or search one schedule at a time, and '
    )
    rung = rungs(data.overview)[0]
    assert rung.schedules["one_cycle"][0] == 0 and sum(n for _, n in rung.schedules.values()) == rung.arrived == 30


def test_epochs_behind_the_best_are_counted() -> None:
    data = searched(lambda params, rng: [0.1, 0.5, 0.4, 0.3, 0.2], trials=4)
    assert behind_the_best(data.overview.rows) == pytest.approx(3 / 5)
    assert behind_the_best([]) is None


def test_fewer_than_two_trials_per_hyperparameter() -> None:
    (found,) = examine(searched(hill, trials=7))
    assert found.check == "budget" and found.evidence == "7 drawn trials in 5 dimensions."


def test_a_search_that_ended_before_it_drew_a_trial() -> None:
    data = searched(hill, trials=2)
    references = [replace(row, label="reference") for row in data.overview.rows]
    (found,) = examine(replace(data, overview=replace(data.overview, rows=references)))
    assert found.check == "budget" and found.evidence == "0 drawn trials in 5 dimensions."


def test_a_best_value_that_still_rises() -> None:
    values = iter([0.7] * 18 + [0.8, 0.9])
    (found,) = examine(searched(lambda params, rng: next(values), trials=20))
    assert found.check == "budget" and found.finding.startswith("The best value was still rising")


def test_a_study_that_is_not_at_its_end_has_no_finding_on_its_budget() -> None:
    data = searched(hill, trials=7)
    study = data.overview.study.model_copy(update={"trials": 30})
    assert examine(replace(data, overview=replace(data.overview, study=study))) == []


def test_each_search_of_an_arm_is_examined_under_its_name() -> None:
    sound = searched(hill, folder=Path("arms") / "plain")
    short = searched(hill, trials=7, folder=Path("arms") / "l2")
    both = replace(sound.overview, rows=[], trials=[], searches=(sound.overview, short.overview))
    (found,) = examine(replace(sound, overview=both))
    assert found.remedy == "Go on with the same study: `--trials` with a number above 7."
    assert found.finding == "Search l2: The search had fewer than 2 trials per hyperparameter."


@pytest.fixture(scope="module")
def replicated(tmp_path_factory) -> StudyData:
    return read_study_data(write_fake_study(tmp_path_factory.mktemp("results"), trials=10, seeds=6))


def with_tests(data: StudyData, variant: str, accuracies: list[float]) -> StudyData:
    """The study with these test accuracies of a variant, by seed, and answers that have them."""
    kept, answers = [], {}
    for one in data.replicates:
        if one.variant == variant and one.chosen and one.seed < len(accuracies):
            correct = round(accuracies[one.seed] * one.chosen.total)
            chosen = replace(one.chosen, accuracy=correct / one.chosen.total, correct=correct)
            one, known = replace(one, chosen=chosen), data.predictions(variant, one.seed)
            assert known is not None
            labels = known["labels"]
            predicted = np.where(np.arange(len(labels)) < correct, labels, (labels + 1) % 10)
            answers[variant, one.seed] = known | {"predicted": predicted}
        kept.append(one)
    return replace(data, replicates=kept, _predictions=answers)


def test_seeds_that_collapse_or_diverge_are_those_that_the_claims_count(replicated: StudyData) -> None:
    data = with_tests(replicated, "tuned", [0.914, 0.916, 0.934, 0.926, 0.600, 0.92])
    (found,) = (one for one in examine(data) if one.check == "collapse")
    assert found.finding == "tuned diverged or collapsed on 1 of 6 seeds."
    assert found.evidence == "Seed 4 has 60.00 % and the median is 91.80 %."
    assert [found.finding[:-1] in one.sentence for one in claims(data)] == [False, True, True]
    slight = with_tests(replicated, "tuned", [0.914, 0.916, 0.934, 0.926, 0.890, 0.92])  # no claim counts it
    assert not any("collapsed" in one.sentence for one in claims(slight))
    assert "collapse" not in checks(examine(slight))
    rows = [replace(one, state="diverged", chosen=None) if one.seed == 1 else one for one in data.of("l2")]
    (found,) = (one for one in examine(replace(data, replicates=rows)) if one.check == "collapse")
    assert found.finding == "l2 diverged or collapsed on 1 of 6 seeds."


def test_a_seed_at_chance_collapsed_however_few_seeds_there_are(replicated: StudyData) -> None:
    few = replace(replicated, replicates=[one for one in replicated.replicates if one.seed < 3])
    (found,) = (one for one in examine(with_tests(few, "tuned", [0.92, 0.1, 0.93])) if one.check == "collapse")
    assert found.finding == "tuned diverged or collapsed on 1 of 3 seeds."
    assert not [one for one in examine(with_tests(few, "tuned", [0.92, 0.2, 0.93])) if one.check == "collapse"]


def test_a_winner_whose_promised_gain_was_luck(replicated: StudyData) -> None:
    overview, race = replicated.overview, replicated.race
    assert race is not None
    rows = [
        replace(row, value=0.985 if row.number == race.winner else 0.95 if row.label else row.value)
        for row in overview.rows
    ]
    fresh = [one.epochs[-1]["validation_accuracy"] for one in replicated.of("tuned")]
    assert 0.90 < np.mean(fresh) < 0.96
    data = replace(replicated, overview=replace(overview, rows=rows))
    (found,) = (one for one in examine(data) if one.check == "overtuning")
    assert (
        found.finding == f"Half or more of the gain that the search promised for #{race.winner} is gone on fresh seeds."
    )
    zero = [{**epoch, "validation_accuracy": 0.0} for epoch in replicated.of("tuned")[0].epochs]
    useless = [replace(one, epochs=zero) if one.variant == "tuned" else one for one in data.replicates]
    (found,) = (one for one in examine(replace(data, replicates=useless)) if one.check == "overtuning")
    assert ", 0.00 % on validation over 6 fresh seeds;" in found.evidence  # 0 is a value
    pruned = [replace(row, state="pruned") if row.number == race.winner else row for row in rows]
    data = replace(replicated, overview=replace(overview, rows=pruned))
    assert "overtuning" not in checks(examine(data))


def asked(data: StudyData, number: int | str, most: int | None = None) -> StudyData:
    """The study as if one run had asked for these replicates."""
    run = data.environment[0] | {"replicates": {"asked": number, "most": most}}
    return replace(data, environment=[run])


def test_too_few_seeds_for_a_verdict_and_a_way_out_that_can_bring_one(replicated: StudyData) -> None:
    assert "seeds" not in checks(examine(asked(replicated, 6)))
    few = replace(replicated, replicates=[one for one in replicated.replicates if one.seed < 2])
    (found,) = (one for one in examine(asked(few, 2)) if one.check == "seeds")
    assert found.finding.startswith("Too few seeds for a verdict: l2 against baseline has 2, ")
    # Another number is another look, after which five seeds of three claims have no interval: five are no way out.
    assert found.remedy == "Add seeds: `hw2tune summarize quickstart --replicates auto --most 20`."
    assert found.evidence == (
        "With 3 claims to correct for and results that were looked at, fewer than 8 seeds show only differences beyond "
        "3 standard deviations (80 % power)."
    )
    assert [one.check for one in examine(asked(few, "auto", 2)) if one.check == "seeds"] == ["seeds"]
    assert "seeds" not in checks(examine(asked(few, "auto", 20)))  # it gave up


def test_a_decided_claim_has_seeds_enough(replicated: StudyData) -> None:
    few = asked(replace(replicated, replicates=[one for one in replicated.replicates if one.seed < 3]), 3)
    assert "tuned against baseline has 3" in next(one for one in examine(few) if one.check == "seeds").finding
    judged = [
        replace(one, result=replace(one.result, word="better")) if one.variant == "tuned" else one
        for one in claims(few)
    ]  # fmt: skip
    (found,) = (one for one in examine(few, judged=judged) if one.check == "seeds")
    assert found.finding == "Too few seeds for a verdict: l2 against baseline has 3."


def test_a_search_in_which_every_trial_fails_or_stays_at_chance() -> None:
    (found, *_) = examine(searched(hill, trials=6, state=lambda params: "diverged"))
    assert (found.finding, found.evidence) == ("Every trial failed.", "6 trials, the last one diverged: \N{EN DASH}.")
    (found, *_) = examine(searched(lambda params, rng: 0.1, trials=12))
    assert found.finding == "No drawn trial got beyond chance (14.0 %)." and found.evidence == "12 drawn trials."


def test_a_study_without_a_trial_is_not_called_sound(tmp_path: Path) -> None:
    write_fake_study(tmp_path, trials=0, seeds=0)
    with pytest.raises(StudyFolderError, match=r"no trial of `quickstart` has finished, so there is nothing to "):
        hw2tune.doctor("quickstart", results_dir=tmp_path)


def test_test_images_that_were_read_too_often(replicated: StudyData) -> None:
    def ledger(configurations: int) -> list[TestReads]:
        checksum = replicated.images["checksum"]
        return [TestReads(label="x", checksum=checksum, images=500, configurations=configurations, studies=("a", "b"))]

    assert "test reads" not in checks(examine(replicated, ledger(19)))
    (found,) = (one for one in examine(replicated, ledger(20)) if one.check == "test reads")
    read = ledger(20)[0].sentence  # as the report's limits say it
    assert read == f"{found.finding[:-1]}; {found.evidence[0].lower()}{found.evidence[1:-1]}: c{found.remedy[1:]}"


def test_the_command_prints_findings_and_one_line_for_a_sound_study(tmp_path: Path) -> None:
    written(tmp_path, hill)
    run = CliRunner().invoke
    shown = run(app, ["doctor", "quickstart", "--results-dir", str(tmp_path)])
    assert (shown.exit_code, shown.stdout) == (0, "quickstart: nothing found\n")
    assert hw2tune.doctor("quickstart", results_dir=tmp_path) == []


def test_the_command_with_findings_has_exit_code_0_and_json(tmp_path: Path) -> None:
    written(tmp_path, hill, trials=7)
    run = CliRunner().invoke
    shown = run(app, ["doctor", "quickstart", "--results-dir", str(tmp_path)])
    assert shown.exit_code == 0
    assert shown.stdout == (
        "quickstart: 1 finding\n\n- The search had fewer than 2 trials per hyperparameter.\n"
        "  7 drawn trials in 5 dimensions.\n"
        "  Go on with the same study: `--trials` with a number above 7.\n"
    )
    content = json.loads(run(app, ["doctor", "quickstart", "--results-dir", str(tmp_path), "--json"]).stdout)
    assert content["study"] == "quickstart" and checks([Finding(**one) for one in content["findings"]]) == ["budget"]
    wrong = run(app, ["doctor", "quickstart", "--machine"])
    assert wrong.exit_code == 2 and "name no study with it" in wrong.output


@pytest.mark.parametrize("objective", ["validation_loss", "validation_accuracy", "metrics.py:brier"])
def test_a_search_whose_drawn_trials_all_failed_has_no_tuning_curve_and_no_gain(objective):
    data = searched(lambda params, rng: 0.5, trials=12, state=lambda params: "diverged")
    study = data.overview.study.model_copy(update={"objective": objective})
    data = replace(data, overview=replace(data.overview, study=study))
    with pytest.raises(CannotDrawError) as refused:
        draw_tuning_curve(data)
    words = "A tuning curve needs a trial with a value; none of the 12 that the sampler drew has one"
    assert str(refused.value) == f"{words}: continue the study with `--trials`."
    assert [one.finding for one in small_budget(data)] == []
