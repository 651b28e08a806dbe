"""What replicates cost and which differences they see, before any is trained."""

import io
import math
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console
from scipy import stats

from hw2tune.errors import StudyFileError
from hw2tune.events import StudyStarted
from hw2tune.inference.intervals import looks
from hw2tune.inference.power import smallest_difference
from hw2tune.records.overview import read_overview
from hw2tune.records.replicates import ReplicatesFolder, read_arrays, read_replicates
from hw2tune.replication.price import SHIPPED, with_replicates
from hw2tune.replication.rounds import SeedCount
from hw2tune.resources import Capacity
from hw2tune.search.cost import Cost
from hw2tune.study.file import find_study, parse_study
from hw2tune.terminal.plan import print_replicates_cost
from tests.report.fake_study import write_fake_study

AUTO = SeedCount("auto", 20)
COST = Cost(pruned_seconds=1.0, full_seconds=1.0, epoch_seconds=3.0, source="assumed")


def plan_of(folder, slots=2) -> StudyStarted:
    overview = read_overview(folder)
    capacity = Capacity(cpus_per_trial=1, gpus_per_trial=0, concurrency=slots, text="CPUs")
    return StudyStarted(
        study=overview.study, finished=overview.finished, resumed={}, capacity=capacity, dataset="fake",
        dataset_checksum="sha256:00", sizes={}, folder=str(folder.root),
    )  # fmt: skip


def priced(folder, count=AUTO, slots=2):
    costs = with_replicates(COST, plan_of(folder, slots), count).replicates
    assert costs is not None
    return costs


@pytest.mark.parametrize("n", [3, 5, 7, 10, 20])
@pytest.mark.parametrize("claims", [1, 3])
def test_the_smallest_difference_is_seen_with_80_percent_by_scipys_noncentral_t(n, claims):
    alpha = 0.05 / claims
    threshold, shift = stats.t.ppf(1 - alpha / 2, n - 1), smallest_difference(n, 1, alpha, fixed=True) * math.sqrt(n)
    assert stats.nct.sf(threshold, n - 1, shift) == pytest.approx(0.8, abs=1e-4)


@pytest.mark.parametrize(("fixed", "n"), [(True, 5), (False, 8), (False, 20)])
def test_the_smallest_difference_has_a_verdict_in_80_percent_of_simulated_studies(fixed, n):
    sd, of_images, alpha = 0.02, 0.01, 0.05 / 3  # deviations of seeds, and of the mean over other test images
    true = smallest_difference(n, sd, alpha, fixed=fixed, images=of_images**2)
    rng = np.random.default_rng(0)
    drawn = true + rng.normal(0, of_images, (10_000, 1)) + rng.normal(0, sd, (10_000, n))
    after = looks(drawn, np.full((n, n), of_images**2), alpha)  # an error of the images that all seeds share
    shown = (after.mean - after.over_both(fixed))[:, -1] > 0
    assert shown.mean() == pytest.approx(0.8, abs=0.015)


def test_so_few_seeds_that_a_rule_of_any_look_has_no_interval_see_nothing():
    assert [math.isinf(smallest_difference(n, 1, 0.05 / 3, fixed=False)) for n in (1, 2, 5, 6)] == [True] * 3 + [False]
    assert math.isinf(smallest_difference(5, 0.0, 0.05, fixed=True))  # equal differences show no spread


def test_before_the_search_every_variant_and_the_race_are_to_be_trained(tmp_path):
    costs = priced(write_fake_study(tmp_path, seeds=0), SeedCount(6))
    assert [one.seeds for one in costs.each] == [5, 6, 7, 10, 20]
    # four variants, and two trainings for each of the four finalists of ten trials
    assert [one.trainings for one in costs.each] == [28, 32, 36, 48, 88]
    first = costs.each[0]
    assert (first.epochs, first.seconds) == (140, 140 * 3.0 / 2)
    many = priced(write_fake_study(tmp_path, seeds=0, name="many"), SeedCount(6), slots=10)
    assert many.each[0].seconds == 3 * 5 * 3.0  # 28 trainings ten at a time, each of five epochs


def test_what_is_trained_already_costs_nothing_and_tells_the_spread(tmp_path):
    folder = write_fake_study(tmp_path, seeds=4)
    costs = priced(folder)
    assert [one.trainings for one in costs.each] == [8, 16, 28, 68]  # less the race and 3 of 4 seeds
    place = ReplicatesFolder.of(folder)
    accuracy = {(one.variant, one.seed): one.chosen.accuracy for one in read_replicates(place)}
    seeds = sorted({seed for _, seed in accuracy})
    pairs = [("l2", "baseline"), ("tuned", "baseline"), ("tuned", "tuned-no-l2")]
    spread = [np.std([accuracy[a, seed] - accuracy[b, seed] for seed in seeds], ddof=1) for a, b in pairs]
    a, b = pairs[int(np.argmax(spread))]
    assert costs.source == f"{a} against {b} on 4 seeds of this study"
    arrays = {(name, seed): read_arrays(place, name, seed) for name in (a, b) for seed in seeds}
    right = {key: (one["predicted"] == one["labels"]).astype(float) for key, one in arrays.items()}
    of_mean = np.cov([right[a, seed] - right[b, seed] for seed in seeds]) / 500
    shared = max(0.0, of_mean[~np.eye(4, dtype=bool)].mean())  # between seeds: the part that more seeds leave
    expected = [smallest_difference(n, max(spread), 0.05 / 3, fixed=False, images=shared) for n in (5, 7, 10, 20)]
    assert [one.smallest for one in costs.each] == pytest.approx(expected)
    assert math.isinf(costs.each[0].smallest) and costs.each[1].smallest < 1


def test_without_replicates_the_spread_is_that_of_another_study_of_this_network_and_data(tmp_path):
    write_fake_study(tmp_path, seeds=3, name="earlier")
    write_fake_study(tmp_path, seeds=3, name="loss", objective="validation_loss")
    assert priced(write_fake_study(tmp_path, seeds=0)).source.endswith("on 3 seeds of earlier")


def test_else_it_is_the_measured_one_of_the_shipped_study_and_else_it_is_not_known(tmp_path):
    folder = write_fake_study(tmp_path, seeds=0)
    costs = priced(folder)
    assert costs.source == "10 seeds of quickstart, 2026-11-28"
    shipped = SHIPPED["mnist_cnn", "mnist-5k"]
    expected = smallest_difference(10, shipped.sd, 0.05 / 3, fixed=False, images=shipped.images)
    assert costs.each[2].smallest == pytest.approx(expected)
    costs = priced(write_fake_study(tmp_path, seeds=0, name="other", objective="macro_f1"))
    assert (costs.source, costs.each[0].smallest) == ("", None)


def test_winners_of_several_searches_of_arms_are_priced_on_a_seed_of_each_search(tmp_path):
    study = parse_study(*find_study("mnist-l2"))
    plan = replace(plan_of(write_fake_study(tmp_path, seeds=0)), study=study, folder=str(tmp_path / "mnist-l2"))
    (row,) = with_replicates(COST, plan, SeedCount.of(study, None, None, study.searches)).replicates.each
    # two arms of seven searches: no race on a budget of 12, and the claims' variants on a seed of each
    assert (row.seeds, row.trainings) == (7, 7 * len(study.variants))
    known = SHIPPED[study.model, study.dataset]  # of seeds, to which searches add
    assert row.smallest == pytest.approx(smallest_difference(7, known.sd, 0.05, fixed=True, images=known.images))


def test_the_change_in_each_finalist_is_priced_beside_the_replicates(tmp_path):
    plan = plan_of(write_fake_study(tmp_path, seeds=0))
    costs = with_replicates(COST, plan, AUTO, race=3, each_finalist=2).replicates
    # L2 1e-4 against none, and the finalist's own against none: three sides in three finalists on two seeds.
    assert (costs.finalists.seeds, costs.finalists.trainings) == (2, 3 * 3 * 2)
    assert costs.each[0].trainings == 2 * 3 + 5 * 4  # a race of three
    lines = shown(plan, replace(COST, replicates=costs))
    assert lines[-1] == "each finalist on 2 seeds: at most 18 trainings more, 90 epochs, about 2 min 15 s"
    tuning = plan.study.model_copy(update={"claims": plan.study.claims[1:2]})
    lines = shown(plan, with_replicates(COST, replace(plan, study=tuning), AUTO, each_finalist=2))
    assert lines[-1].endswith("no claim is about a change, so there is none to make in each finalist")
    arms = replace(plan, study=parse_study(*find_study("mnist-l2")))
    with pytest.raises(StudyFileError, match=r"^--each-finalist: mnist-l2 tunes each side in its arms; leave it out$"):
        with_replicates(COST, arms, SeedCount(7, each=1), each_finalist=2)


def test_costs_are_a_table_with_what_each_number_of_seeds_sees(tmp_path):
    folder = write_fake_study(tmp_path, seeds=0)
    folder.environment.unlink()
    plan, five = plan_of(folder), SHIPPED["mnist_cnn", "mnist-5k"]
    cost = with_replicates(COST, plan, SeedCount(6))
    lines = shown(plan, cost)
    assert lines[1].split() == ["seeds", "trainings", "epochs", "about", "sees"]
    sees = 100 * smallest_difference(5, five.sd, 0.05 / 3, fixed=True, images=five.images)
    assert lines[2].split() == ["5", "28", "140", "3", "min", "30", "s", f"{sees:.3g}", "points"]
    assert lines[-1] == (
        f"sees: a difference in test accuracy, as one of 3 claims, in 80 % of studies; spread as {five.source}"
    )
    unknown = replace(cost.replicates, source="", each=[replace(one, smallest=None) for one in cost.replicates.each])
    lines = shown(plan, replace(cost, replicates=unknown))
    assert lines[2].endswith("not known")
    assert lines[-1] == "sees: not known before the first replicates of this network and these images"


def test_a_cap_below_the_first_number_that_can_decide_says_that_it_has_no_verdict(tmp_path):
    plan = plan_of(write_fake_study(tmp_path, seeds=0))
    lines = shown(plan, with_replicates(COST, plan, SeedCount("auto", 3)))
    assert [line.split("  ")[0] for line in lines[2:4]] == ["3", "5"]
    assert all(line.endswith("no verdict") for line in lines[2:4]) and lines[4].endswith("points")


def test_without_claims_nothing_is_compared_and_several_searches_have_more_than_the_spread_of_seeds(tmp_path):
    plan = plan_of(write_fake_study(tmp_path, seeds=0))
    alone = replace(plan, study=plan.study.model_copy(update={"claims": []}))
    assert shown(alone, with_replicates(COST, alone, AUTO))[-1] == (
        "sees: nothing, as no claim compares two configurations"
    )
    study = parse_study(*find_study("mnist-l2"))
    arms = replace(plan, study=study, folder=str(tmp_path / "mnist-l2"))
    lines = shown(arms, with_replicates(COST, arms, SeedCount(7, each=1)))
    assert "at least " in lines[2] and lines[-1].endswith(
        "; spread as 7 seeds of the published run, 5 epochs, to which that of searches is added"
    )


def shown(plan, cost):
    out = io.StringIO()
    print_replicates_cost(plan, cost, Console(file=out, width=300))
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_splits_are_priced_on_their_seeds_and_replicates_on_them_are_no_measure_for_seeds(tmp_path):
    plan = plan_of(write_fake_study(tmp_path, seeds=0))
    cost = with_replicates(COST, plan, SeedCount(3, each=2, splits=True))
    (row,) = cost.replicates.each
    assert (row.seeds, row.trainings) == (6, 6 * 4 + 8)  # four variants, and the race of four
    five = SHIPPED["mnist_cnn", "mnist-5k"]
    least = smallest_difference(3, five.sd / math.sqrt(2), 0.05 / 3, fixed=True, images=five.images)
    assert row.smallest == pytest.approx(least)
    lines = shown(plan, cost)
    assert lines[0].startswith("replicates of quickstart, 3 splits x 2 seeds, with the race before them")
    assert lines[-1].endswith(f"; spread as {five.source}, to which that of splits is added")


def test_a_budget_bounds_the_price_of_its_race(tmp_path):
    trainings = []
    for name, budget in (("without", None), ("budget", 24), ("small", 23)):
        (tmp_path / name).mkdir()
        folder = write_fake_study(tmp_path / name, trials=30, seeds=0, budget=budget)
        plan = plan_of(folder)
        cost = with_replicates(COST, plan, AUTO)
        trainings.append(cost.replicates.each[0].trainings)
        assert ("with the race before them" in shown(plan, cost)[0]) == (name != "small")
    assert [one - trainings[-1] for one in trainings] == [12, 4, 0]
