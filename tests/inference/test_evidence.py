from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hw2tune.inference.evidence import collapsed, covariance_over_images, default_worth, gather, is_blind
from hw2tune.records.evaluation import Evaluation
from hw2tune.records.replicates import Replicate

LABELS = np.array([0, 1, 0, 1, 0, 1, 0, 1, 0, 1], dtype=np.uint8)


def replicate(seed: int, right: int | None, state: str = "complete") -> Replicate:
    chosen = None if right is None else Evaluation(
        split="test", epoch=1, loss=0.1, accuracy=right / 10, correct=right, total=10
    )  # fmt: skip
    return Replicate(
        study="s", variant="v", seed=seed, params={}, model="m", loss="cross_entropy", state=state, reason="",
        epochs=[], chosen=chosen, last=chosen, seconds=1.0, key="k",
    )  # fmt: skip


def predictions(right: int) -> dict[str, Any]:
    return {"labels": LABELS, "predicted": np.where(np.arange(10) < right, LABELS, 1 - LABELS)}


def test_pairs_are_differences_by_seed_with_their_covariance_over_the_test_images() -> None:
    ours, theirs = {1: 9, 2: 8, 3: 10}, {1: 7, 2: 8, 3: 7}
    found = gather(
        "a", [replicate(*one) for one in ours.items()], "b", [replicate(*one) for one in reversed(theirs.items())],
        arrays=lambda seed: (predictions(ours[seed]), predictions(theirs[seed])),
    )  # fmt: skip
    assert (found.seeds, found.images, found.trained, found.failed, found.omitted) == ((1, 2, 3), 10, 3, (0, 0), [])
    assert found.differences == pytest.approx([0.2, 0.0, 0.3])
    per_image = np.zeros((3, 10))
    per_image[0, 7:9] = per_image[2, 7:10] = 1
    assert found.over_images == pytest.approx(np.cov(per_image) / 10)
    assert found.worth == pytest.approx(0.5 / np.sqrt(10))


def test_a_seed_on_which_one_side_diverged_is_counted_and_has_no_pair() -> None:
    ours = [replicate(1, 9), replicate(2, None, "diverged"), replicate(3, 9), replicate(4, 9)]
    theirs = [replicate(1, 8), replicate(2, 8), replicate(3, None, "failed")]
    found = gather("a", ours, "b", theirs, arrays=lambda seed: (None, None))
    assert (found.seeds, found.trained, found.failed) == ((1,), 3, (1, 0))
    assert (found.ended, found.failed_seeds) == ((1, 2, 3), ((2,), ()))
    assert found.omitted == ["b failed on seed 3", "b has no replicate on seed 4"]
    ours += [replicate(seed, 9) for seed in (5, 6, 8)]
    found = gather("a", ours, "b", [*theirs, replicate(7, 8)], arrays=lambda seed: (None, None))
    assert found.omitted == [
        "b failed on seed 3",
        "b has no replicate on seeds 4 to 6, 8",
        "a has no replicate on seed 7",
    ]


def measured(seed: int, metric: str, value: float | None) -> Replicate:
    one = replicate(seed, 9)
    assert one.chosen is not None
    return replace(one, chosen=replace(one.chosen, metric=metric, value=value))


def test_a_smaller_loss_is_better_and_its_images_are_those_of_the_losses() -> None:
    ours, theirs = {1: 0.2, 2: 0.3}, {1: 0.5, 2: 0.2}
    losses = {1: np.arange(10.0), 2: np.arange(10.0) ** 2}

    def arrays(seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
        return predictions(9) | {"losses": losses[seed]}, predictions(9) | {"losses": np.ones(10, np.float32)}

    sides = [[measured(seed, "loss", value) for seed, value in side.items()] for side in (ours, theirs)]
    found = gather("a", sides[0], "b", sides[1], arrays=arrays, metric="validation_loss")
    assert found.differences == pytest.approx([0.3, -0.1])
    assert found.over_images == pytest.approx(np.cov([losses[1], losses[2]]) / 10)
    assert (found.metric, found.worth) == ("validation_loss", None)  # nobody knows what a nat is worth


def test_a_metric_that_is_no_mean_varies_as_on_the_samples_of_the_images() -> None:
    samples = np.random.default_rng(0).normal(size=(2, 2, 200))  # of side and seed
    samples[0, 0, 7] = np.nan  # a sample that the user's function refused

    def arrays(seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
        ours, theirs = (predictions(9) | {"resampled": side[seed - 1]} for side in samples)
        return ours, theirs

    sides = [[measured(seed, "macro_f1", value) for seed in (1, 2)] for value in (0.9, 0.8)]
    found = gather("a", sides[0], "b", sides[1], arrays=arrays, metric="macro_f1", worth=1.0)
    kept = np.delete(samples, 7, axis=2)
    assert found.over_images == pytest.approx(np.cov(kept[0] - kept[1]))
    assert (found.metric, found.worth, found.differences.tolist()) == ("macro_f1", 0.01, pytest.approx([0.1, 0.1]))
    samples[1, 1, 20:] = np.nan
    assert gather("a", sides[0], "b", sides[1], arrays=arrays, metric="macro_f1").over_images is None


def test_samples_of_the_images_tell_what_the_images_themselves_tell() -> None:
    """Accuracy is a mean over images: its covariance is known without samples, and must come out of them as well."""
    rng = np.random.default_rng(0)
    images = (rng.random((3, 2, 500)) < 0.8) - (rng.random((3, 1, 500)) < 0.75).astype(float)  # (n, sides, N)
    counts = np.stack([np.bincount(rng.integers(0, 500, 500), minlength=500) for _ in range(200)])
    samples = images @ counts.T / 500
    sides = [[measured(seed, "macro_f1", 0.8) for seed in (0, 1, 2)] for _ in range(2)]
    found = gather(
        "a", sides[0], "b", sides[1], metric="macro_f1",
        arrays=lambda seed: tuple(predictions(9) | {"resampled": one} for one in samples[seed]),  # type: ignore[arg-type,return-value]
    )  # fmt: skip
    known = covariance_over_images(images[:, 0] - images[:, 1])
    assert found.over_images is not None
    assert np.diag(found.over_images) == pytest.approx(np.diag(known), rel=0.3)  # three of their standard errors
    assert found.over_images.sum() == pytest.approx(known.sum(), rel=0.3)


def test_a_claim_with_a_replicate_of_an_earlier_version_is_about_accuracy() -> None:
    sides = (
        [measured(1, "macro_f1", 0.9), replicate(2, 9)],
        [measured(1, "macro_f1", 0.8), measured(2, "macro_f1", 0.8)],
    )
    found = gather("a", sides[0], "b", sides[1], arrays=lambda _: (predictions(9),) * 2, metric="macro_f1", worth=0.2)
    assert (found.metric, found.differences.tolist()) == ("validation_accuracy", [0.0, 0.0])
    assert found.worth == pytest.approx(0.5 / np.sqrt(10)) and found.over_images is not None


def test_a_test_without_a_finite_value_counts_as_diverged() -> None:
    sides = [measured(1, "loss", None), measured(2, "loss", 0.1)], [measured(1, "loss", 0.1), measured(2, "loss", 0.1)]
    found = gather("a", sides[0], "b", sides[1], arrays=lambda _: (None, None), metric="validation_loss")
    assert (found.seeds, found.failed, found.trained) == ((2,), (1, 0), 2)


def test_predictions_of_other_images_or_missing_ones_leave_the_images_out_from_their_seed_on() -> None:
    sides = [replicate(1, 9), replicate(2, 9)], [replicate(1, 8), replicate(2, 8)]
    other = predictions(8) | {"labels": 1 - LABELS}
    for odd in (None, {"labels": LABELS}, other, predictions(8) | {"predicted": LABELS[:4]}):
        pairs = {1: (predictions(9), predictions(8)), 2: (predictions(9), odd)}
        found = gather("a", sides[0], "b", sides[1], arrays=pairs.__getitem__)
        assert not found.has_predictions
        assert found.looks(0.05).of_images.tolist() == [pytest.approx(0.09 / 9), np.inf]  # one image of ten, by hand
    missing = gather("a", sides[0], "b", sides[1], arrays=lambda _: (None, predictions(8)))
    assert missing.over_images is None and not missing.has_predictions


def on_seeds(ours: np.ndarray, theirs: np.ndarray, chance: float, least: float) -> tuple[int, int]:
    """On how many seeds either side collapsed."""
    both = np.stack([ours, theirs])
    first, second = collapsed(both, both <= chance, least).sum(axis=1)
    return int(first), int(second)


def answered(labels: np.ndarray, *recalls: float) -> np.ndarray:
    """Answers to two classes with these shares of each right."""
    right = np.concatenate([np.arange(n) < round(r * n) for n, r in zip(np.bincount(labels), recalls, strict=True)])
    return np.where(right, np.sort(labels), 1 - np.sort(labels))


def test_answers_that_do_not_depend_on_the_image_are_blind_whatever_the_shares_of_the_classes() -> None:
    labels = np.repeat([0, 1], [950, 50])
    for recalls, blind in (
        ((1.0, 0.0), True), ((0.0, 1.0), True), ((0.5, 0.5), True), ((0.9, 0.1), True), ((0.5, 0.6), True),
        ((0.93, 0.9), False), ((0.6, 0.7), False), ((0.99, 0.2), False), ((1.0, 0.02), False),
    ):  # fmt: skip
        answers = answered(labels, *recalls)
        assert is_blind((answers == labels).mean(), answers, labels) is blind, recalls
    assert is_blind(0.95, None, labels) and not is_blind(0.951, None, labels)  # without answers accuracy decides
    ten = np.arange(1000) % 10
    assert is_blind(0.1, np.full(1000, 3), ten) and not is_blind(0.101, np.full(1000, 3), ten)


@pytest.mark.parametrize("metric", ["validation_accuracy", "balanced_accuracy", "macro_f1", "validation_loss"])
def test_a_network_that_gives_up_some_of_the_frequent_class_for_the_rare_one_has_not_collapsed(metric: str) -> None:
    labels = np.repeat([0, 1], [950, 50])
    found = {}
    for name, recalls in {"good": (0.93, 0.9), "dead": (1.0, 0.0)}.items():
        answers = answered(labels, *recalls)
        right = int((answers == labels).sum())
        one = Evaluation(split="test", epoch=1, loss=0.3, accuracy=right / 1000, correct=right, total=1000)
        if metric != "validation_accuracy":
            one = replace(one, metric=metric.removeprefix("validation_"), value=sum(recalls) / 2)
        sides = [replace(replicate(seed, 9), chosen=one, last=one) for seed in range(7)]
        found[name] = sides, {"labels": labels, "predicted": answers}
    (good, right_arrays), (dead, dead_arrays) = found["good"], found["dead"]
    evidence = gather("a", good, "b", dead, arrays=lambda _: (right_arrays, dead_arrays), metric=metric)
    assert (evidence.metric, evidence.failed) == (metric, (0, 7))


def test_far_below_is_told_in_the_metric_of_the_claim() -> None:
    balanced = [0.91, 0.92, 0.93, 0.94, 0.5]
    sides = [
        [measured(seed, "balanced_accuracy", one) for seed, one in enumerate(some)]
        for some in (balanced, [*balanced[:4], 0.93])
    ]
    found = gather("a", sides[0], "b", sides[1], arrays=lambda _: (None, None), metric="balanced_accuracy")
    assert found.failed_seeds == ((4,), ())


def test_a_side_at_chance_has_collapsed_and_so_has_one_far_below_its_other_seeds() -> None:
    good = np.array([0.91, 0.92, 0.93, 0.94, 0.95])
    assert on_seeds(good, good, 0.5, 0.01) == (0, 0)
    assert on_seeds(np.array([0.5, 0.9]), np.array([0.9, 0.51]), 0.5, 0.01) == (1, 0)
    # The medians are 0.92 and 0.93, the median deviations from them 0.01, so the limit 0.92 - 4 * 0.014826 = 0.8607.
    assert on_seeds(np.array([0.91, 0.92, 0.93, 0.94, 0.860]), good, 0.1, 0.01) == (1, 0)
    assert on_seeds(np.array([0.91, 0.92, 0.93, 0.94, 0.861]), good, 0.1, 0.01) == (0, 0)
    assert on_seeds(np.array([0.91, 0.92, 0.93, 0.94, 0.860]), good, 0.1, 0.07) == (0, 0)  # too little to matter
    assert on_seeds(np.array([0.3, 0.92, 0.93]), good[:3], 0.1, 0.01) == (0, 0)  # three seeds tell no deviation


def test_few_healthy_sides_are_marked_as_collapsed() -> None:
    rng = np.random.default_rng(0)
    marked = [sum(on_seeds(*rng.normal(0.9, 0.01, (2, n)), 0.1, 0.0)) > 0 for n in (5, 20) for _ in range(500)]
    assert sum(marked[:500]) < 40 and sum(marked[500:]) < 10


def test_half_a_point_is_worth_something_at_ten_thousand_images() -> None:
    assert default_worth(10_000) == 0.005
    assert default_worth(500) == pytest.approx(0.02236, abs=1e-5)


def test_the_covariance_of_one_image_is_zero_and_no_error() -> None:
    assert covariance_over_images(np.ones((2, 1))).tolist() == [[0, 0], [0, 0]]
