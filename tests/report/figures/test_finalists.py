"""The specification curve: its table on hand-computed numbers, and where the report draws it."""

from dataclasses import replace

import pytest

from hw2tune.records.finalists import Specification, SpecificationCurve, write_curves
from hw2tune.records.replicates import ReplicatesFolder
from hw2tune.report.figures.drawing import CannotDrawError
from hw2tune.report.figures.finalists import curve_table, draw_finalists
from hw2tune.report.figures.recipes import recipes
from hw2tune.report.figures.style import style
from hw2tune.report.study_data import read_study_data
from tests.report.fake_study import write_fake_study

ADAM = {"learning_rate": 0.001, "batch_size": 100, "optimizer": "adam", "weight_decay": 1e-3}
CURVE = SpecificationCurve(
    variant="tuned", against="tuned-no-l2", changes={}, instead={"weight_decay": 0.0}, objective="validation_accuracy",
    direction="maximize", seeds=[2001, 2002], unchanged=[9],
    specifications=[
        Specification(trial=4, params=ADAM, values=[0.93, 0.95], against=[0.92, 0.91]),  # +0.01, +0.04: +0.025
        Specification(trial=2, params=ADAM, values=[0.90, None], against=[0.91, 0.90]),  # -0.01
        Specification(trial=7, params=ADAM, values=[0.92, 0.92], against=[0.92, 0.92]),  # 0
    ],
)  # fmt: skip


def test_the_steps_are_sorted_by_the_mean_of_their_pairs_and_the_mean_is_over_configurations():
    table = curve_table(CURVE)
    assert [(step.trial, step.mean) for step in table.steps] == [
        (2, pytest.approx(-0.01)), (7, pytest.approx(0)), (4, pytest.approx(0.025)),
    ]  # fmt: skip
    assert table.steps[2].differences == (pytest.approx(0.01), pytest.approx(0.04))
    # Mean 0.005, variance (0.015^2 + 0.005^2 + 0.02^2) / 2 = 0.000325, standard error 0.0104083, t(2) = 4.30265.
    assert table.mean.mean == pytest.approx(0.005)
    assert (table.mean.low, table.mean.high) == (pytest.approx(-0.039783, abs=1e-5), pytest.approx(0.049783, abs=1e-5))
    assert table.diverged == 1


def test_means_that_are_close_by_chance_do_not_make_an_interval_narrower_than_the_seeds_allow():
    apart = [
        Specification(trial=trial, params=ADAM, values=[0.92, 0.88], against=[0.90, 0.90]) for trial in (1, 2)
    ]  # +0.02 and -0.02 in both: means of 0
    mean = curve_table(replace(CURVE, specifications=apart)).mean
    # Within: 0.0008, of a mean of two 0.0004, of their mean 0.0002; t(1) = 12.7062.
    assert mean.high == pytest.approx(0.179693, abs=1e-5) == -mean.low


def test_caption_and_alt_say_mean_interval_what_is_unchanged_and_what_diverged():
    with style():
        drawing = draw_finalists(None, CURVE)
    assert "into 3 finalists of the search, on 2 fresh seeds common to all" in drawing.caption
    assert "is +0.50 points (95 % interval over configurations -3.98 points to +4.98 points)" in drawing.caption
    assert "In #9 the claim's values are the trial's own: nothing changes. 1 pair diverged and is omitted." in (
        drawing.caption
    )
    assert drawing.alt == (
        "Dots per finalist: tuned less tuned-no-l2 is above zero in 1 of 3, on average +0.50 points."
    )


def test_one_finalist_has_a_mean_without_an_interval_and_none_cannot_be_drawn():
    one = replace(CURVE, specifications=CURVE.specifications[:1])
    assert curve_table(one).mean.low is None
    with style():
        assert "is +2.50 points." in draw_finalists(None, one).caption
    with pytest.raises(CannotDrawError, match="no finalist has a pair of trainings that differ and finished"):
        draw_finalists(None, replace(CURVE, specifications=[]))


def test_the_report_has_the_figure_only_of_claims_that_the_study_has(tmp_path):
    folder = write_fake_study(tmp_path, trials=2, seeds=1)
    names = [recipe.name for recipe in recipes(read_study_data(folder))]
    assert "specification-curve" not in names
    of_the_race = replace(CURVE, specifications=CURVE.specifications[1:2], unchanged=[3])  # of trials 2 and 3
    other = replace(of_the_race, against="tuned-weight_decay-0.5")
    write_curves(ReplicatesFolder.of(folder), [other, of_the_race])
    data = read_study_data(folder)
    assert data.curves == [of_the_race] and data.damaged == []
    assert [recipe.name for recipe in recipes(data)].count("specification-curve") == 1


def test_the_curve_of_an_earlier_race_is_left_out_with_a_note(tmp_path):
    folder = write_fake_study(tmp_path, trials=2, seeds=1)
    write_curves(ReplicatesFolder.of(folder), [CURVE])
    data = read_study_data(folder)
    assert data.curves == [] and "specification-curve" not in [recipe.name for recipe in recipes(data)]
    assert data.damaged == [
        "`replicates/finalists.json` is of the finalists #2, #4, #7 and #9 of an earlier race, and those of the race "
        "are #2 and #3: it is omitted; `hw2tune summarize quickstart --each-finalist 2` makes it again."
    ]


def test_a_curve_of_a_study_without_a_race_stays(tmp_path):
    folder = write_fake_study(tmp_path, trials=2, seeds=0)
    write_curves(ReplicatesFolder.of(folder), [CURVE])
    data = read_study_data(folder)
    assert data.curves == [CURVE] and data.damaged == []
