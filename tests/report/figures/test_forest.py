"""The forest plot of the claims: the numbers drawn, and what the drawing does with the odd ones."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.lines import Line2D
from PIL import Image

from hw2tune.inference.evidence import Evidence
from hw2tune.inference.verdicts import BETTER, UNDECIDED, Verdict
from hw2tune.report.claims import ClaimResult
from hw2tune.report.figures import DrawnFigure, make_figures
from hw2tune.report.figures.drawing import CannotDrawError, Recipe
from hw2tune.report.figures.forest import ForestRow, clipped, draw_claims, draw_forest, forest_table, limits
from hw2tune.report.figures.style import BLUE, legend, new_figure
from hw2tune.report.study_data import StudyData
from hw2tune.report.tables import differences_table

ACCURACY, LOSS = "validation_accuracy", "validation_loss"
ROW = ForestRow(
    label="tuned against baseline", verdict="better", decided=True, numbers="+1.00 (+0.50 to +1.50), n = 2", mean=1.0,
    seeds={1: 0.75, 2: 1.25}, over_seeds=(0.5, 1.5), over_images=(0.4, 1.6), worth=0.5,
)  # fmt: skip
WITHOUT = ForestRow(label="l2 against baseline", verdict="missing")


def claim(metric: str, word: str, differences: list[float], half: float | None, worth: float | None) -> ClaimResult:
    mean = float(np.mean(differences))
    interval = None if half is None else (mean - half, mean + half)
    verdict = Verdict(
        word=word, within=False, reached=None, same_reached=None, n=len(differences), mean=mean, sd=0.01,
        seeds_interval=interval, two_way=interval, e_value=1.0, p=None,
    )  # fmt: skip
    evidence = Evidence(
        variant="tuned", against="baseline", seeds=tuple(range(1, 1 + len(differences))),
        differences=np.array(differences), metric=metric, worth=worth,
    )  # fmt: skip
    return ClaimResult(
        variant="tuned", against="baseline", verdict=word, sentence="", evidence=evidence, result=verdict
    )  # fmt: skip


def test_accuracies_are_drawn_in_points() -> None:
    (row,) = forest_table([claim(ACCURACY, BETTER, [0.01, 0.03], 0.005, 0.004)])
    assert (row.label, row.verdict, row.decided) == ("tuned against baseline", "better", True)
    assert row.numbers == "+2.00 (+1.50 to +2.50), n = 2"
    assert row.mean == pytest.approx(2) and row.worth == pytest.approx(0.4)
    assert row.seeds == {1: pytest.approx(1), 2: pytest.approx(3)}
    assert row.over_seeds == row.over_images == pytest.approx((1.5, 2.5))


def test_losses_are_drawn_in_their_own_direction_although_evidence_is_positive_for_the_better() -> None:
    (row,) = forest_table([claim(LOSS, BETTER, [0.2, 0.4], 0.1, None)])
    assert row.mean == pytest.approx(-0.3) and row.seeds == {1: pytest.approx(-0.2), 2: pytest.approx(-0.4)}
    assert row.over_seeds == pytest.approx((-0.4, -0.2))
    assert row.numbers == "-0.3000 (-0.4000 to -0.2000), n = 2"


def test_a_dot_tells_its_difference_in_as_many_digits_as_the_text(styled: None) -> None:
    rows = [forest_table([claim(metric, BETTER, [0.00002, 0.0004], 0.00001, None)]) for metric in (ACCURACY, LOSS)]
    told = [
        [mark.text for mark in draw_forest(table, metric).marks]
        for table, metric in zip(rows, (ACCURACY, LOSS), strict=True)
    ]
    pair = "tuned against baseline, seed"
    assert told[0] == [f"{pair} 1: +0.002", f"{pair} 2: +0.04"]
    assert told[1] == [f"{pair} 1: -2e-5", f"{pair} 2: -0.0004"]
    assert rows[1][0].numbers == "-0.00021 (-0.00022 to -0.0002), n = 2"


def test_a_claim_without_a_result_has_a_label_and_a_verdict_alone() -> None:
    missing = ClaimResult(variant="l2", against="baseline", verdict="missing", sentence="")
    assert forest_table([missing]) == [WITHOUT]
    (row,) = forest_table([claim(ACCURACY, UNDECIDED, [0.01, 0.03], None, None)])
    assert row.over_seeds is None and row.numbers == "+2.00 (no interval yet), n = 2"


def test_the_axis_holds_means_seeds_and_worths_and_of_intervals_what_does_not_dwarf_them() -> None:
    low, high = limits([ROW])
    assert -0.7 < low < -0.5 and 1.6 < high < 1.8
    wide = replace(ROW, over_seeds=(-80.0, 82.0))
    assert limits([wide]) == (low, high)
    assert limits([WITHOUT, ROW]) == (low, high)


def test_an_interval_beyond_the_axis_is_cut_at_the_border() -> None:
    ends = (-1.0, 2.0)
    assert clipped((0.5, 1.5), ends) == ((0.5, 1.5), (False, False))
    assert clipped((-80, 1.5), ends) == ((-1.0, 1.5), (True, False))
    assert clipped(None, ends) == (ends, (True, True))


@pytest.mark.parametrize("n", [1, 3, 8])
def test_arrows_stand_where_intervals_continue_and_the_caption_says_so(n: int, styled: None) -> None:
    unbounded = replace(ROW, over_seeds=None)
    drawing = draw_forest([WITHOUT, unbounded, *[ROW] * (n - 1)], ACCURACY)
    (axes,) = drawing.figure.axes
    arrows = [line for line in axes.lines if line.get_marker() in ("<", ">")]
    assert [line.get_xdata()[0] for line in arrows] == list(axes.get_xlim())
    assert "An arrow marks" in drawing.caption and "An arrow" not in draw_forest([ROW], ACCURACY).caption
    single = replace(unbounded, seeds={1: 1.0}, over_images=None)  # of one seed, no interval is drawn
    assert "An arrow" not in draw_forest([single], ACCURACY).caption
    assert f"Forest plot of {n + 1} claims" in drawing.alt
    assert all(f"{row.label}: {row.verdict}" in drawing.alt for row in (WITHOUT, ROW))


def test_searches_are_named_where_they_are_the_unit(styled: None) -> None:
    drawing = draw_forest([WITHOUT, replace(ROW, unit="search")], ACCURACY)
    labels = [text.get_text() for text in drawing.figure.legends[0].texts]
    assert "over paired searches (n = 2)" in drawing.caption and "interval over searches" in labels
    assert [mark.key for mark in drawing.marks] == ["search 1", "search 2"]
    assert not any("seed" in text for text in [drawing.caption, *labels])


def test_a_loss_is_better_below_zero(styled: None) -> None:
    assert "negative if the first of the pair is better" in draw_forest([ROW], LOSS).caption
    assert draw_forest([ROW], LOSS).figure.axes[0].get_xlabel() == "difference in test loss (nats per image)"
    assert draw_forest([ROW], ACCURACY).figure.axes[0].get_xlabel() == "difference in test accuracy (points)"


@pytest.mark.parametrize(
    ("verdict", "lines"), [("the same within 2.24 points", 1), ("better by less than 2.24 points, W", 2)]
)
def test_the_numbers_stand_beside_label_and_verdict_where_they_fit(verdict: str, lines: int, styled: None) -> None:
    pair = replace(ROW, label="tuned against tuned-no-l2", verdict=verdict, numbers="+0.18 (-0.72 to +1.07), n = 8")
    figure = draw_forest([pair], ACCURACY).figure
    figure.canvas.draw()
    label, _, numbers = boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert len({round(label.y0), round(numbers.y0)}) == lines
    assert not any(one.overlaps(two) for i, one in enumerate(boxes) for two in boxes[:i])


def test_no_text_leaves_the_picture_however_long_the_names_are(styled: None) -> None:
    long = replace(ROW, label="a-variant-of-a-very-long-name against another-variant-of-a-long-name-that-does-not-end")
    figure = draw_forest([long, ROW], ACCURACY).figure
    figure.canvas.draw()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert len(boxes) == 6 and all(box.x0 >= 0 and box.x1 <= figure.bbox.width for box in boxes)
    assert not any(one.overlaps(two) for i, one in enumerate(boxes) for two in boxes[:i])


def test_each_difference_has_a_row_in_a_table_with_its_seed() -> None:
    table = differences_table([claim(ACCURACY, BETTER, [0.01, 0.03], 0.005, 0.004)])
    assert table.to_dict("list") == {
        "variant": ["tuned", "tuned"], "against": ["baseline", "baseline"], "seed": [1, 2], "difference": [0.01, 0.03],
    }  # fmt: skip


def test_without_any_result_there_is_nothing_to_draw(mnist: StudyData) -> None:
    with pytest.raises(CannotDrawError, match=r"No claim has a result\."):
        draw_claims(replace(mnist, replicates=[]))


def test_spots_lie_on_the_seeds_of_the_picture(mnist: StudyData, tmp_path: Path) -> None:
    (figure,) = make_figures(mnist, tmp_path, [Recipe("claims", "claims", "The claims", draw_claims)])
    assert isinstance(figure, DrawnFigure)
    assert len(figure.spots) == 9 and {spot.key for spot in figure.spots} == {"seed 0", "seed 1", "seed 2"}
    blue = [int(BLUE[i : i + 2], 16) for i in (1, 3, 5)]
    with Image.open(figure.png) as image:
        for spot in figure.spots:
            pixel = image.convert("RGB").getpixel((spot.left * image.width, spot.top * image.height))
            assert math.dist(pixel, blue) < 60, spot  # the dots are slightly transparent


def test_a_legend_of_long_names_is_inside_of_its_figure(styled: None) -> None:
    for letters, columns in ((60, 1), (20, 2)):
        figure = new_figure(height=5)
        figure.subplots()
        handles = [Line2D([], [], label="m" * (letters // 2) + "i" * (letters // 2)) for _ in range(14)]
        legend(figure, handles, columns=2)
        figure.draw_without_rendering()
        (drawn,) = figure.legends
        assert drawn._ncols == columns
        box = drawn.get_window_extent()
        assert box.x0 >= 0 and box.x1 <= figure.bbox.width
