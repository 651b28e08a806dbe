"""The halves of the figures that compute."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.design import space_filling
from hw2tune.records.dataset import DatasetRecord
from hw2tune.records.replicates import Gallery
from hw2tune.records.trials.rows import TrialRow
from hw2tune.report.figures.classes import pooled_confusion, row_shares
from hw2tune.report.figures.coordinates import BELOW, MOST_IN_LINE, coordinate_table, draw_coordinates
from hw2tune.report.figures.curves import published_points
from hw2tune.report.figures.drawing import Shown
from hw2tune.report.figures.examples import changed, first_of
from hw2tune.report.figures.history import history_table
from hw2tune.report.figures.hyperparameters import (
    MOST_TRIALS,
    _importances_caption,
    comparable_parameters,
    compared,
    importance_table,
    sampled,
)
from hw2tune.report.figures.networks import mosaic, mosaic_columns, scale_of, weight_table
from hw2tune.report.figures.preprocessing import pixel_stages
from hw2tune.report.figures.style import power_of_ten
from hw2tune.report.figures.timeline import Bar, timeline_table, trial_bars
from hw2tune.report.study_data import StudyData
from hw2tune.study.file import find_study, parse_study
from hw2tune.study.schema import Study


@pytest.fixture(scope="module")
def study() -> Study:
    return parse_study(*find_study("quickstart"))


def row(number: int, value: float | None, state: str = "complete", label: str = "", **params: object) -> TrialRow:
    return TrialRow(
        number=number, label=label, state=state, reason="", epochs=1, value=value, best_epoch=1, seconds=1.0,
        params=params,  # type: ignore[arg-type]
    )  # fmt: skip


# Curves


def of(dataset: str, loss: str) -> Study:
    shipped = {"mnist": "mnist", "cifar10": "cifar10", "mnist-5k": "quickstart"}[dataset]
    return parse_study(*find_study(shipped), {"loss": loss})


def test_what_cifar10_published_as_test_stands_with_the_training_images() -> None:
    points = published_points(of("cifar10", "cross_entropy"), "accuracy", last_epoch=35)
    assert {point.panel for point in points} == {"train"}
    last = {(point.run, point.kind): point.value for point in points if point.epoch == 35}
    assert last["baseline", "“test” on the training images"] == pytest.approx(45203 / 50000)
    assert last["baseline", "training"] == pytest.approx(0.8746)


def test_mnist_published_validation_accuracies_but_only_test_losses() -> None:
    accuracy = published_points(of("mnist", "double_softmax"), "accuracy", last_epoch=5)
    loss = published_points(of("mnist", "double_softmax"), "loss", last_epoch=5)
    assert {(point.panel, point.kind) for point in accuracy} == {("train", "training"), ("validation", "validation")}
    assert {(point.panel, point.kind) for point in loss} == {("train", "training"), ("validation", "test")}


def test_published_losses_are_left_out_where_the_study_takes_them_in_another_way() -> None:
    assert published_points(of("mnist", "cross_entropy"), "loss", last_epoch=5) == []
    assert len(published_points(of("mnist", "cross_entropy"), "accuracy", last_epoch=5)) == 20
    assert published_points(of("mnist-5k", "double_softmax"), "loss", last_epoch=5) == []


def test_published_points_end_where_the_curves_do() -> None:
    assert max(p.epoch for p in published_points(of("cifar10", "cross_entropy"), "loss", last_epoch=12)) == 12


# Weights


def test_variants_are_counted_in_the_same_bins_and_norms_are_exact() -> None:
    one = {"weights/conv1.weight": np.array([[3.0, 4.0]]), "initial_norms/conv1.weight": np.float32(1.5)}
    other = {"weights/conv1.weight": np.array([[-3.0, 0.0]])}
    (histogram,) = weight_table({"baseline": one, "l2": other})
    assert (histogram.layer, histogram.kind, histogram.sizes) == ("conv1", "weight", {"baseline": 2, "l2": 2})
    assert histogram.norms == {"baseline": 5.0, "l2": 3.0}
    assert histogram.initial_norm == 1.5
    assert (histogram.edges[0], histogram.edges[-1]) == (-3.0, 4.0)
    assert all(shares.sum() == pytest.approx(1.0) for shares in histogram.shares.values())


def test_networks_of_unlike_sizes_have_shares_of_their_own_values_and_no_norm_before_training_in_common() -> None:
    wide = {"weights/a.weight": np.linspace(0, 1, 64), "initial_norms/a.weight": np.array(1.5)}
    (histogram,) = weight_table({"wide": wide, "narrow": {"weights/a.weight": np.linspace(0, 1, 16)}})
    assert histogram.sizes == {"wide": 64, "narrow": 16} and histogram.initial_norm is None
    assert all(shares.sum() == pytest.approx(1.0) for shares in histogram.shares.values())
    bias = {"weights/a.bias": np.ones(4), "initial_norms/a.bias": np.array(1.5)}  # it starts by what goes into a layer
    (histogram,) = weight_table({"wide": bias, "narrow": bias | {"initial_norms/a.bias": np.array(1.7)}})
    assert histogram.initial_norm is None


def test_tensors_that_one_variant_lacks_or_that_are_not_finite_are_left_out() -> None:
    one = {"weights/a.weight": np.ones(3), "weights/b.weight": np.ones(3), "weights/c.weight": np.ones(3)}
    other = {"weights/a.weight": np.ones(3), "weights/b.weight": np.array([1.0, np.nan, 1.0])}
    assert [histogram.layer for histogram in weight_table({"baseline": one, "l2": other})] == ["a"]


# Examples

GALLERY = Gallery(
    indices=np.array([3, 0, 2]), images=np.arange(3, dtype=np.uint8).reshape(3, 1, 1, 1), labels=np.array([1, 0, 2])
)
BEFORE = {
    "labels": np.array([0, 0, 2, 1]), "predicted": np.array([0, 1, 0, 2]), "confidence": np.array([0.9, 0.8, 0.7, 0.6]),
}  # fmt: skip
AFTER = {
    "labels": np.array([0, 0, 2, 1]), "predicted": np.array([1, 0, 2, 1]), "confidence": np.array([0.5, 0.5, 0.4, 0.3]),
}  # fmt: skip


def test_examples_come_in_the_order_of_the_gallery_which_indexes_the_test_split() -> None:
    right = BEFORE["predicted"] == BEFORE["labels"]
    assert first_of(GALLERY, ~right) == [(0, 3), (2, 2)]
    assert first_of(GALLERY, right) == [(1, 0)]


def test_an_image_is_fixed_or_broken_or_neither() -> None:
    fixed, broken = changed(BEFORE, AFTER)
    assert first_of(GALLERY, fixed) == [(0, 3), (2, 2)] and first_of(GALLERY, broken) == [(1, 0)]
    assert (fixed.sum(), broken.sum()) == (3, 1)  # the image that the gallery does not hold counts too


# Features


def test_a_mosaic_keeps_each_map_whole_with_lines_between_them() -> None:
    picture = mosaic(np.arange(3 * 2 * 2, dtype=np.float64).reshape(3, 2, 2))
    assert picture.shape == (2, 8)
    assert sorted(picture[np.isfinite(picture)]) == list(range(12))
    np.testing.assert_array_equal(picture[:2, :2], [[0, 1], [2, 3]])


@pytest.mark.parametrize(("channels", "columns"), [(1, 1), (10, 5), (12, 4), (20, 5), (24, 6)])
def test_mosaics_leave_few_places_empty(channels: int, columns: int) -> None:
    assert mosaic_columns(channels) == columns


def test_one_scale_of_colours_spans_all_variants() -> None:
    low, high = np.full((1, 2, 3, 3), -1.0), np.full((1, 2, 3, 3), 5.0)
    assert scale_of({"baseline": low, "tuned": high}) == (-1.0, 5.0)


# Classes


def test_confusion_is_pooled_over_seeds_and_shares_are_of_the_true_class() -> None:
    labels = np.array([0, 0, 1])
    shown = Shown(
        seeds=[0, 1],
        arrays={"tuned": {
            0: {"labels": labels, "predicted": np.array([0, 1, 1])},
            1: {"labels": labels, "predicted": np.array([0, 0, 0])},
        }},
        absent="",
    )  # fmt: skip
    counts = pooled_confusion(shown, "tuned", ["a", "b", "c"])
    np.testing.assert_array_equal(counts, [[3, 1, 0], [1, 1, 0], [0, 0, 0]])
    np.testing.assert_array_equal(row_shares(counts), [[0.75, 0.25, 0], [0.5, 0.5, 0], [np.nan] * 3])


# Preprocessing


def record(mean: list[float], std: list[float]) -> DatasetRecord:
    return DatasetRecord(
        name="cifar10", label="x", classes=[], image_shape=[1, 1, len(mean)], mean=mean, std=std, checksum="",
        split_checksum="", sizes={}, source="",
    )  # fmt: skip


def test_half_black_half_white_has_mean_and_deviation_that_are_known_at_each_stage() -> None:
    counts = np.zeros((1, 256), dtype=np.int64)
    counts[0, [0, 255]] = 10
    stages = pixel_stages(counts, record([0.5], [0.5]))
    moments = [(float(stage.mean[0]), float(stage.std[0])) for stage in stages]
    assert moments == [(127.5, 127.5), (0.5, 0.5), (0.0, 1.0)]
    assert (stages[-1].values.min(), stages[-1].values.max()) == (-1.0, 1.0)


def test_data_that_are_not_normalised_have_two_stages() -> None:
    counts = np.ones((1, 256), dtype=np.int64)
    assert [stage.title for stage in pixel_stages(counts, record([0.0], [1.0]))] == ["Raw", "Scaled to [0, 1]"]


# Search


@pytest.mark.parametrize(
    ("direction", "best"), [("maximize", [0.5, 0.5, 0.5, 0.7]), ("minimize", [0.5, 0.5, 0.4, 0.4])]
)
def test_the_best_so_far_follows_the_direction_and_passes_over_diverged_trials(
    direction: str, best: list[float]
) -> None:
    rows = [
        row(3, 0.7),
        row(0, 0.5),
        row(1, 0.9 if direction == "maximize" else 0.1, "diverged"),
        row(2, 0.4, "pruned"),
    ]
    table = history_table(rows, direction)
    assert [point.number for point in table] == [0, 1, 2, 3]
    assert [point.best for point in table] == best
    assert [point.value for point in table] == [0.5, None, 0.4, 0.7]


def test_coordinates_are_logarithmic_with_zero_and_absence_below(study: Study) -> None:
    rows = [
        row(0, 0.5, learning_rate=1e-4, batch_size=32, optimizer="adam", weight_decay=0.0),
        row(1, 0.6, learning_rate=1e-1, batch_size=32, optimizer="sgd", weight_decay=1e-6, momentum=0.99),
    ]
    table = {coordinate.name: coordinate for coordinate in coordinate_table(study.search_space, rows)}
    assert "batch_size" not in table  # the same in both
    assert table["learning_rate"].positions == pytest.approx([0.0, 1.0])
    assert table["weight_decay"].positions == pytest.approx([BELOW, 0.0])
    assert table["momentum"].positions == pytest.approx([BELOW, 1.0])
    assert (BELOW, "0") in table["weight_decay"].ticks and (BELOW, "none") in table["momentum"].ticks


def test_the_hyperparameter_that_decides_is_the_most_important(study: Study) -> None:
    random = np.random.default_rng(0)
    rows = [
        row(
            i, -abs(np.log10(rate) + 2), learning_rate=rate, batch_size=int(random.choice([32, 64])), optimizer="adam",
            weight_decay=float(random.choice([0.0, 1e-3])),
        )
        for i, rate in enumerate(10 ** random.uniform(-4, -1, 40))
    ]  # fmt: skip
    assert comparable_parameters(study, rows) == ["learning_rate", "batch_size", "weight_decay"]
    table = importance_table(study, rows)
    assert next(iter(table)) == "learning_rate" and table["learning_rate"] > 0.9
    assert sum(table.values()) == pytest.approx(1.0)
    assert list(importance_table(study, rows).items()) == list(table.items())


def test_a_hyperparameter_by_which_trials_fail_is_important_and_a_lost_machine_says_nothing(study: Study) -> None:
    random = np.random.default_rng(0)
    rows = []
    for i, rate in enumerate(10 ** random.uniform(-4, -1, 40)):
        decay, works = float(random.choice([0.0, 1e-3])), rate < 1e-2
        value = (0.9 if decay else 0.8) if works else None
        rows.append(row(i, value, "complete" if works else "diverged", learning_rate=rate, weight_decay=decay))
    rows.append(row(40, None, "lost", learning_rate=1e-3, weight_decay=0.0))
    rows.append(row(41, 0.95, "out of memory", learning_rate=5e-2, weight_decay=0.0))  # what it had reached before
    used = compared(study, rows)
    assert {one.value for one in used} == {0.8, 0.9} and len(used) == 41
    assert used[-1].value == 0.8 and compared(study, rows[40:]) == []
    without, table = (
        importance_table(study, some) for some in ([one for one in rows if one.value in (0.8, 0.9)], used)
    )
    assert without["learning_rate"] < 0.05 < 0.3 < table["learning_rate"]


def test_the_caption_of_importances_has_names_in_words_and_counts_failed_trials(study: Study) -> None:
    some = study.model_copy(update={"space": {**study.space, "model.dropout": study.space["momentum"]}})
    rows = [row(0, 0.5), row(1, 0.5, "diverged"), row(2, 0.5, "out of memory")]
    shares = dict.fromkeys(["learning_rate", "batch_size", "optimizer"], 1 / 3)
    one, two = (_importances_caption(some, rows[:number], number, shares) for number in (2, 3))
    assert "; 1 that diverged counts as the worst of these." in one
    assert "; 2 that diverged or ran out of memory count as the worst of these." in two
    assert two.endswith("none differs in them: momentum, weight decay and dropout.")


def test_hyperparameters_that_some_trials_lack_are_not_compared(study: Study) -> None:
    rows = [row(0, 0.1, optimizer="sgd", momentum=0.9), row(1, 0.2, optimizer="adam")]
    assert comparable_parameters(study, rows) == ["optimizer"]


def test_a_large_study_asks_the_forest_about_some_trials_from_all_of_its_time() -> None:
    few = [row(i, 0.5) for i in range(MOST_TRIALS)]
    assert sampled(few) == few
    numbers = [drawn.number for drawn in sampled([row(i, 0.5) for i in range(10 * MOST_TRIALS)])]
    assert len(set(numbers)) == MOST_TRIALS and numbers == sorted(numbers)
    assert all(sum(tenth * MOST_TRIALS <= n < (tenth + 1) * MOST_TRIALS for n in numbers) > 20 for tenth in range(10))


def test_powers_of_ten_need_no_mathtext() -> None:
    assert [power_of_ten(e) for e in (-12, 0, 3)] == ["10⁻¹²", "10⁰", "10³"]


# Timeline


def bar(trial: int, worker: str, start: float, end: float) -> Bar:
    return Bar(trial=trial, state="complete", worker=worker, start=start, end=end)


def test_a_trial_that_moved_to_another_worker_has_a_bar_in_each() -> None:
    epochs = [
        {"epoch": 1, "timestamp": 100, "epoch_seconds": 4.0, "hostname": "a", "pid": 1},
        {"epoch": 2, "timestamp": 105, "epoch_seconds": 4.0, "hostname": "a", "pid": 1},
        {"epoch": 3, "timestamp": 200, "epoch_seconds": 4.0, "hostname": "b", "pid": 2},
        {"epoch": 4, "epoch_seconds": 4.0},
    ]
    bars = trial_bars(row(5, 0.5), epochs)
    assert [(b.worker, b.start, b.end) for b in bars] == [("a, process 1", 96.0, 105.0), ("b, process 2", 196.0, 200.0)]


def test_a_worker_trains_one_trial_at_a_time() -> None:
    table, cuts = timeline_table([bar(0, "a", 10.0, 12.0), bar(1, "a", 11.5, 12.5), bar(2, "b", 11.5, 12.5)])
    assert [(b.trial, b.start, b.end) for b in table] == [(0, 0.0, 2.0), (2, 1.5, 2.5), (1, 2.0, 3.0)]
    assert cuts == []


def test_a_standstill_overnight_is_cut_out() -> None:
    table, cuts = timeline_table([bar(0, "a", 0.0, 100.0), bar(1, "a", 50_000.0, 50_100.0)])
    assert [(b.start, b.end) for b in table] == [(0.0, 100.0), (100.0, 200.0)]
    assert cuts == [100.0]


def test_a_short_pause_is_kept() -> None:
    table, cuts = timeline_table([bar(0, "a", 0.0, 100.0), bar(1, "a", 130.0, 150.0)])
    assert table[1].start == 130.0 and cuts == []


@pytest.mark.usefixtures("styled")
def test_the_names_of_many_parallel_axes_do_not_meet(mnist: StudyData) -> None:
    study = parse_study(*find_study("cifar10-plus"))
    rows = [row(i, i / 100, **one) for i, one in enumerate(space_filling(study.search_space, 16, seed=0))]
    figure = draw_coordinates(replace(mnist, overview=replace(mnist.overview, study=study, rows=rows))).figure
    figure.canvas.draw()
    boxes = [name.get_window_extent() for name in figure.axes[0].get_xticklabels()]
    assert len(boxes) > MOST_IN_LINE
    assert not [pair for pair in itertools.combinations(boxes, 2) if pair[0].overlaps(pair[1])]
