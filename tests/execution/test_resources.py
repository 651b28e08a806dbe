"""How many trials fit, and the cost that is expected."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hw2tune.errors import ResourceError
from hw2tune.records.layout import StudyFolder
from hw2tune.resources import ResourceRequest, find_capacity
from hw2tune.search.cost import estimate
from hw2tune.search.lengths import PASSED
from hw2tune.study.file import find_study, parse_study


def test_each_trial_fits_on_one_node():
    assert find_capacity([{"CPU": 3.0}, {"CPU": 5.0}], ResourceRequest(cpus_per_trial=2)).concurrency == 3
    assert find_capacity([{"CPU": 2.0}], ResourceRequest(cpus_per_trial=0.5)).concurrency == 4


def test_gpus_are_shared_by_four_unless_told_otherwise():
    node = {"CPU": 16.0, "GPU": 1.0}
    assert find_capacity([node], ResourceRequest()).concurrency == 4
    assert find_capacity([node], ResourceRequest(gpus_per_trial=1)).concurrency == 1
    assert find_capacity([node], ResourceRequest(gpus_per_trial=0)).concurrency == 16
    assert find_capacity([node, {"CPU": 2.0, "GPU": 8.0}], ResourceRequest(gpus_per_trial=0.5)).concurrency == 4
    assert find_capacity([{"CPU": 16.0, "GPU": 2.0}], ResourceRequest(gpus_per_trial=0.4)).concurrency == 4


def test_a_trial_that_fits_nowhere_is_refused_with_what_there_is():
    with pytest.raises(ResourceError) as refusal:
        find_capacity([{"CPU": 2.0}, {"CPU": 2.0}], ResourceRequest(cpus_per_trial=3))
    assert str(refusal.value) == (
        "a trial needs 3 CPUs and 0 GPUs on one node, but there are 4 CPUs and 0 GPUs on 2 nodes; "
        "lower --cpus-per-trial or --gpus-per-trial"
    )


def test_more_trials_at_once_than_fit_are_refused():
    with pytest.raises(ResourceError) as refusal:
        find_capacity([{"CPU": 2.0}], ResourceRequest(concurrency=8))
    assert str(refusal.value) == (
        "--concurrency 8 needs room for as many trials, but 2 fit: 2 CPUs and 0 GPUs on 1 node, 1 CPUs a trial; "
        "lower --concurrency or --cpus-per-trial"
    )


def test_what_a_gpu_does_not_take_is_told_of_its_option():
    with pytest.raises(ResourceError) as refusal:
        find_capacity([{"CPU": 16.0, "GPU": 1.0}], ResourceRequest(concurrency=8))
    assert str(refusal.value) == (
        "--concurrency 8 needs room for as many trials, but 4 fit: 16 CPUs and 1 GPUs on 1 node, 1 CPUs and 0.25 GPUs "
        "a trial; lower --concurrency or --gpus-per-trial"
    )
    with pytest.raises(ResourceError, match="lower --concurrency or --cpus-per-trial"):
        find_capacity([{"CPU": 2.0, "GPU": 1.0}], ResourceRequest(concurrency=8))


EPOCHS = 1 + 2 * PASSED + 2 * PASSED**2  # of a trial of `mnist`: 5, with rungs at 1 and 3


def plan(study, *, spent=0, references=0, left=10, slots=2):
    """Ten trials left on two slots."""
    return SimpleNamespace(
        study=study, sizes={"train": 55_000, "validation": 5_000}, left=left, resumed={}, epochs=spent, finished=[],
        references_left=references, capacity=SimpleNamespace(concurrency=slots),
    )  # fmt: skip


def test_the_cost_without_pruning_is_that_of_all_epochs(tmp_path):
    study = parse_study(*find_study("mnist"))
    cost = estimate(plan(study, spent=0, references=0), StudyFolder(tmp_path), 4.56, "assumed")
    assert (cost.source, cost.epoch_seconds) == ("assumed", 4.56)
    assert cost.full_seconds == pytest.approx(10 * 5 * (4.56 + 0.04) / 2)  # 0.04 s between epochs
    assert cost.pruned_seconds == pytest.approx(EPOCHS / 5 * cost.full_seconds)


def test_references_are_trained_to_the_end_whatever_the_pruner_says(tmp_path):
    study = parse_study(*find_study("mnist"))
    cost = estimate(plan(study, spent=0, references=2), StudyFolder(tmp_path), 4.56, "assumed")
    assert cost.pruned_seconds / cost.full_seconds == pytest.approx((2 * 5 + 8 * EPOCHS) / 50)


@given(left=st.integers(0, 40), slots=st.integers(1, 40), virtual=st.integers(1, 40) | st.none())
def test_wall_time_is_that_of_the_slots_in_use_and_of_one_whole_trial_at_least(left, slots, virtual):
    order = {"order": "virtual", "slots": virtual} if virtual else {}
    study = parse_study(*find_study("mnist"), overrides=order)
    cost = estimate(plan(study, left=left, slots=slots), StudyFolder(Path("/nowhere")), 0.96, "assumed")
    used = min(slots, virtual or slots, max(left, 1))
    assert cost.full_seconds == pytest.approx(5 * left / used)
    assert min(5.0, EPOCHS * left) <= cost.pruned_seconds * (1 + 1e-9) <= cost.full_seconds * (1 + 2e-9)


def test_a_budget_costs_its_epochs_that_are_left(tmp_path):
    study = parse_study(*find_study("mnist"), overrides={"budget": 4})
    cost = estimate(plan(study, spent=8, references=2), StudyFolder(tmp_path), 4.56, "assumed")
    in_turn = 5 + 2  # both references at once, and one more trial beside an empty slot
    assert cost.pruned_seconds == cost.full_seconds == pytest.approx(in_turn * 4.6)


# 26 trials fit into what two references leave: 26 train for an epoch, 8 for two more, and 2 for the last two.
@pytest.mark.parametrize(
    ("slots", "in_turn"), [(6, 60 / 6), (7, 6 + 2 * 2 + 2), (8, 5 + 2 * 2 + 2), (16, 2 + 2 + 2), (64, 5)]
)
def test_slots_that_stay_empty_while_trials_wait_for_each_other_are_counted(tmp_path, slots, in_turn):
    study = parse_study(*find_study("mnist"), overrides={"budget": 12})
    cost = estimate(plan(study, references=2, left=60, slots=slots), StudyFolder(tmp_path), 0.96, "assumed")
    assert cost.pruned_seconds == cost.full_seconds == pytest.approx(in_turn)


def test_a_budget_that_the_trials_cannot_spend_costs_what_they_can(tmp_path):
    study = parse_study(*find_study("mnist"), overrides={"budget": 1000, "trials": 10})
    cost = estimate(plan(study), StudyFolder(tmp_path), 0.96, "assumed")
    assert cost.full_seconds == pytest.approx(10 * 5 / 2)
    assert cost.pruned_seconds == pytest.approx(EPOCHS * 10 / 2)
