"""What replicates cost and which differences they see, before any is trained."""

import io
import math
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console
from scipy import stats

from hw2tune.events import StudyStarted
from hw2tune.records.overview import read_overview
from hw2tune.records.replicates import ReplicatesFolder, read_replicates
from hw2tune.replication.price import smallest_effect, with_replicates
from hw2tune.replication.rounds import SeedCount
from hw2tune.resources import Capacity
from hw2tune.search.cost import Cost
from hw2tune.study.file import find_study, parse_study
from hw2tune.terminal.plan import print_replicates_cost
from tests.report.fake_study import write_fake_study

AUTO = SeedCount("auto", 20)
COST = Cost(pruned_seconds=1.0, full_seconds=1.0, images_per_second=1.0, measured=False, epoch_seconds=3.0)


def plan_of(folder, slots=2) -> StudyStarted:
    overview = read_overview(folder)
    capacity = Capacity(cpus_per_trial=1, gpus_per_trial=0, concurrency=slots, text="CPUs")
    return StudyStarted(
        study=overview.study, finished=overview.finished, resumed={}, capacity=capacity, dataset="fake",
        dataset_checksum="sha256:00", sizes={}, folder=str(folder.root),
    )  # fmt: skip


def priced(folder, count=AUTO):
    costs = with_replicates(COST, plan_of(folder), count).replicates
    assert costs is not None
    return costs


@pytest.mark.parametrize("n", [3, 5, 7, 10, 20])
@pytest.mark.parametrize("claims", [1, 3])
def test_the_smallest_difference_is_seen_with_80_percent_by_scipys_noncentral_t(n, claims):
    alpha = 0.05 / claims
    threshold, shift = stats.t.ppf(1 - alpha / 2, n - 1), smallest_effect(n, alpha) * math.sqrt(n)
    assert stats.nct.sf(threshold, n - 1, shift) == pytest.approx(0.8, abs=1e-4)


def test_before_the_search_every_variant_and_the_race_are_to_be_trained(tmp_path):
    costs = priced(write_fake_study(tmp_path, seeds=0), SeedCount(6))
    assert [one.seeds for one in costs.each] == [5, 6, 7, 10, 20]
    # four variants, and two trainings for each of the four finalists of ten trials
    assert [one.trainings for one in costs.each] == [28, 32, 36, 48, 88]
    first = costs.each[0]
    assert (first.epochs, first.seconds) == (140, 140 * 3.0 / 2)


def test_what_is_trained_already_costs_nothing_and_tells_the_spread(tmp_path):
    folder = write_fake_study(tmp_path, seeds=3)
    costs = priced(folder)
    assert [one.trainings for one in costs.each] == [
        12,
        20,
        32,
        72,
    ]  # less the race and 2 of 3 seeds
    accuracy = {(one.variant, one.seed): one.chosen.accuracy for one in read_replicates(ReplicatesFolder.of(folder))}
    seeds = sorted({seed for _, seed in accuracy})
    pairs = [("l2", "baseline"), ("tuned", "baseline"), ("tuned", "tuned-no-l2")]
    spread = [np.std([accuracy[a, seed] - accuracy[b, seed] for seed in seeds], ddof=1) for a, b in pairs]
    a, b = pairs[int(np.argmax(spread))]
    assert costs.source == f"{a} against {b} on 3 seeds of this study"
    assert costs.each[0].smallest == pytest.approx(max(spread) * smallest_effect(5, 0.05 / 3))


def test_without_replicates_the_spread_is_that_of_another_study_of_this_network_and_data(tmp_path):
    write_fake_study(tmp_path, seeds=3, name="earlier")
    write_fake_study(tmp_path, seeds=3, name="loss", objective="validation_loss")
    assert priced(write_fake_study(tmp_path, seeds=0)).source.endswith("on 3 seeds of earlier")


def test_else_it_is_the_measured_one_of_the_shipped_study_and_else_it_is_not_known(tmp_path):
    folder = write_fake_study(tmp_path, seeds=0)
    costs = priced(folder)
    assert costs.source == "5 seeds of quickstart, 2026-11-28"
    assert costs.each[2].smallest == pytest.approx(0.0317 * smallest_effect(10, 0.05 / 3))
    costs = priced(write_fake_study(tmp_path, seeds=0, name="other", objective="macro_f1"))
    assert (costs.source, costs.each[0].smallest) == ("", None)


def test_winners_of_several_searches_of_arms_are_priced_on_a_seed_of_each_search(tmp_path):
    study = parse_study(*find_study("mnist-l2"))
    plan = replace(plan_of(write_fake_study(tmp_path, seeds=0)), study=study, folder=str(tmp_path / "mnist-l2"))
    (row,) = with_replicates(COST, plan, SeedCount.of(study, None, None, study.searches)).replicates.each
    # two arms of seven searches: a race of six finalists each, and the variants of the claims on a seed of each search
    assert (row.seeds, row.trainings) == (7, 2 * 7 * 12 + 7 * len(study.variants))
    assert row.smallest is None  # nothing was measured over searches


def test_costs_are_a_table_with_what_each_number_of_seeds_sees(tmp_path):
    plan = plan_of(write_fake_study(tmp_path, seeds=0))
    cost = with_replicates(COST, plan, SeedCount(6))
    lines = shown(plan, cost)
    assert lines[1].split() == ["seeds", "trainings", "epochs", "about", "sees"]
    assert lines[2].split() == ["5", "28", "140", "3", "min", "30", "s", "7.3", "points"]
    assert lines[-1] == (
        "sees: a difference in test accuracy, as one of 3 claims, in 80 % of studies; spread as 5 seeds of quickstart, "
        "2026-11-28"
    )
    unknown = replace(cost.replicates, source="", each=[replace(one, smallest=None) for one in cost.replicates.each])
    lines = shown(plan, replace(cost, replicates=unknown))
    assert lines[2].endswith("not known")
    assert lines[-1] == "sees: not known before the first replicates of this network and these images"


def shown(plan, cost):
    out = io.StringIO()
    print_replicates_cost(plan, cost, Console(file=out, width=300))
    return [line.rstrip() for line in out.getvalue().splitlines()]
