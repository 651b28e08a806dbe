"""The front of two objectives, counted by hand."""

from hw2tune.records.trials.rows import TrialRow
from hw2tune.report.figures.history import pareto_table


def row(number: int, value: float | None, state: str = "complete") -> TrialRow:
    return TrialRow(
        number=number, label="", state=state, reason="", epochs=3, value=value, best_epoch=1, seconds=1.0, params={}
    )


def test_on_the_front_is_whoever_no_other_trial_beats_in_both():
    rows = [row(0, 0.9), row(1, 0.8), row(2, 0.95), row(3, 0.7), row(4, 0.99, "pruned"), row(5, None), row(6, 0.85)]
    seconds = {0: 10.0, 1: 5.0, 2: 30.0, 3: 7.0, 4: 1.0, 5: 1.0}  # nobody knows what trial 6 took
    table = pareto_table(rows, seconds, "maximize")
    assert [(point.number, point.on_front) for point in table] == [(1, True), (3, False), (0, True), (2, True)]
    losses = pareto_table(rows, seconds, "minimize")  # 3 is the smallest, and only 1 is quicker
    assert [point.number for point in losses if point.on_front] == [1, 3]
