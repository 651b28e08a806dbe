"""What decides in the benchmarks of the search: the replay, the seeds that score it, and the table under it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.pruners import BasePruner, NopPruner
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import FrozenTrial, TrialState

from benchmarks.contestants.outside import Outside
from benchmarks.contestants.unit_cube import point_of
from benchmarks.replay.pool import Pool
from benchmarks.replay.resuming import Promotion
from benchmarks.replay.rows import rows_of
from benchmarks.replay.searches import Contestant, search
from benchmarks.replay.table import CHANCE, Found, Table
from benchmarks.search_tables import Journal, repeated
from benchmarks.search_tasks import Task, configurations
from hw2tune.search.view import View
from hw2tune.study.schema import Study

Lines = list[tuple[int | None, int | None]]  # validation and test images right, of ten, by epoch


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return Task(
        name="invented", study_name="quickstart", overrides={"max_epochs": 3}, validation_images=10, test_images=10,
        rows=4, everywhere=2, best=1, random=0, seeds=4, folder=tmp_path,
    )  # fmt: skip


TRAININGS: dict[tuple[str, int], Lines] = {
    ("baseline", 0): [(2, 2), (3, 3), (4, 3)],
    ("baseline", 1): [(2, 2), (3, 3), (4, 5)],
    ("baseline", 2): [(2, 2), (3, 3), (4, 7)],
    ("l2", 0): [(1, 1), (1, 1), (1, 1)],
    ("l2", 1): [(1, 1), (1, 1), (1, 1)],
    ("0", 0): [(5, 4), (9, 8), (6, 6)],
    ("0", 1): [(5, 2), (5, 2), (5, 2)],
    ("0", 2): [(8, 5), (8, 9), (7, 7)],  # the first of equals is chosen
    ("0", 3): [(8, 7), (None, None)],
    ("1", 0): [(9, 9), (10, 10), (None, None)],
    ("1", 1): [(7, 7), (7, 7), (7, 7)],
    ("2", 0): [(6, 6), (6, 6), (6, 6)],
    ("2", 1): [(6, 3), (6, 3), (6, 3)],
    ("3", 0): [(2, 2), (2, 2), (2, 2)],
    ("3", 1): [(2, 2), (2, 2), (2, 2)],
}


@pytest.fixture
def journal(task: Task) -> Journal:
    journal = Journal(task)
    known = configurations(task, task.rows)
    for (row, seed), lines in TRAININGS.items():
        journal.append((row, seed), [_line(row, seed, n, *one, known[row]) for n, one in enumerate(lines, start=1)])
    return journal


def _line(row: str, seed: int, epoch: int, validation: int | None, test: int | None, params: Any) -> dict[str, Any]:
    measured: dict[str, Any] = {"validation_correct": "", "test_correct": "", "seconds": ""}
    if validation is not None:
        measured = {"validation_correct": validation, "test_correct": test, "seconds": "1"}
    return {"row": row, "seed": seed, "epoch": epoch, **params, **measured}


@pytest.fixture
def table(task: Task, journal: Journal) -> Table:
    journal.pack()
    return Table(task)


def test_a_row_is_scored_by_seeds_that_chose_nothing(table: Table) -> None:
    for seen in (0, 1):
        assert table.scores(seen)["0"] == pytest.approx((0.5 + CHANCE) / 2)  # of seeds 2 and 3, which diverges
        assert table.scores(seen)["baseline"] == pytest.approx(0.7)


def test_a_row_without_such_seeds_is_scored_by_the_seed_that_the_search_has_not_seen(table: Table) -> None:
    assert table.scores(0)["2"] == pytest.approx(0.3)
    assert table.scores(1)["2"] == pytest.approx(0.6)
    assert table.scores(1)["1"] == CHANCE  # it has diverged there


def test_a_row_of_one_seed_is_scored_by_repeated_rows_as_good_on_the_seed_that_was_seen(tmp_path: Path) -> None:
    task = Task(
        name="one", study_name="quickstart", overrides={"max_epochs": 1}, validation_images=10, test_images=10,
        rows=12, folder=tmp_path,
    )  # fmt: skip
    journal, known = Journal(task), configurations(task, 12)
    for row in range(11):  # repeated: their other seed reaches a tenth for each
        journal.append((str(row), 0), [_line(str(row), 0, 1, row, 0, known[str(row)])])
        journal.append((str(row), 1), [_line(str(row), 1, 1, 0, row % 2, known[str(row)])])
    journal.append(("11", 0), [_line("11", 0, 1, 10, 10, known["11"])])
    journal.pack()
    assert Table(task).scores(0)["11"] == pytest.approx(0.05)  # of rows 3 to 10, not its own 10 of 10


class _InOrder(BaseSampler):
    """Draws row 1, which diverges, then 0, 2 and 3."""

    def __init__(self, table: Table) -> None:
        self.table = table

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, Any]:
        return {}

    def sample_relative(self, study: optuna.Study, trial: FrozenTrial, search_space: Any) -> dict[str, Any]:
        return {}

    def sample_independent(self, study: optuna.Study, trial: FrozenTrial, param_name: str, _: Any) -> Any:
        row = "1023"[trial.number - 2]
        return self.table.task.study.search_space.encode(self.table.configurations[row])[param_name]


def _searched(table: Table, pruner: BasePruner, epochs: int, workers: int = 1) -> list[Found]:
    contestant = Contestant(build=lambda study, seed: (_InOrder(table), pruner))
    return search(Pool(table), contestant, seed=0, epochs=epochs, workers=workers)


def test_a_search_returns_the_best_value_that_it_has_seen_and_no_training_that_diverged(table: Table) -> None:
    found, scores = _searched(table, NopPruner(), 17), table.scores(0)
    returned = ["baseline"] * 6 + ["1", "1", "baseline", "0"] + ["0"] * 7
    assert [one.score for one in found] == [scores[row] for row in returned]
    assert [one.epochs for one in found] == list(range(1, 18))  # the ninth, which has no value, is spent as well
    assert [one.seconds for one in found] == [float(n) for n in range(1, 18)]


def test_searches_of_one_number_see_one_seed_of_every_row(table: Table) -> None:
    pool, rng = Pool(table), np.random.default_rng(0)
    for seed in (0, 1):
        pool.begin(seed)
        for row in ("0", "1", "2"):
            assert pool.curve(table.configurations[row], rng) is table.curves[row, seed]


class _AtFirst(BasePruner):
    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        return True


def test_trials_at_once_share_the_epochs_and_not_the_time(table: Table) -> None:
    found = _searched(table, NopPruner(), 12, workers=2)
    assert [one.seconds for one in found] == [1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 4.0, 5.0, 5.0, 6.0, 6.0]


def test_a_pruned_trial_is_not_trained_further(table: Table) -> None:
    scores = table.scores(0)
    found = _searched(table, _AtFirst(), 9)
    assert [one.score for one in found[6:]] == [scores["1"], scores["1"], scores["1"]]  # rows 1, 0 and 2, an epoch each


class _Library(Outside):
    """Another library that always draws the middle and stops row 0 at its first epoch."""

    def __init__(self, study: Study, first: dict[str, float]) -> None:
        super().__init__(study)
        self.first, self.heard = first, list[tuple[Any, ...]]()
        self.points: dict[int, dict[str, float]] = {}

    def suggest(self, number: int) -> dict[str, float]:
        self.heard.append(("suggest", number))
        return {name: some[0] if some else 0.5 for name, some in self.choices.items()}

    def begin(self, number: int, point: dict[str, float]) -> None:
        self.points[number] = point

    def epoch(self, number: int, epoch: int, value: float) -> bool:
        self.heard.append((number, epoch, value))
        return self.first.items() <= self.points[number].items()

    def end(self, number: int, state: TrialState) -> None:
        self.heard.append((number, state.name))


def test_another_library_hears_each_epoch_and_end_once_of_what_was_trained_and_stops_trials(table: Table) -> None:
    study, known = table.task.study, table.configurations
    library = _Library(study, point_of(study.search_space, known["0"]))
    search(Pool(table), Contestant(build=lambda *_: (library, library)), seed=0, epochs=100, workers=1)
    trained = {row: number for number, at in library.points.items() for row in known
               if point_of(study.search_space, known[row]).items() <= at.items()}  # fmt: skip
    assert trained.keys() == known.keys()  # each row once, though all draws are alike
    values = {"baseline": [0.2, 0.3, 0.4], "l2": [0.1] * 3, "0": [0.5], "1": [0.9, 1.0], "2": [0.6] * 3, "3": [0.2] * 3}
    ends = dict.fromkeys(known, "COMPLETE") | {"0": "PRUNED", "1": "FAIL"}
    last = max(trained.values())
    for row, number in trained.items():
        told = [one for one in library.heard if one[0] == number]
        ended = [(number, ends[row])] if number != last else []  # nobody asks after the end of the last one
        assert told == [(number, n, value) for n, value in enumerate(values[row], start=1)] + ended
    assert [one[1] for one in library.heard if one[0] == "suggest"] == [2, 3, 4, 5]


def test_a_search_that_goes_on_with_what_it_had_stopped_is_scored_alike(table: Table) -> None:
    promoting = Contestant(resuming=Promotion)
    found = search(Pool(table), promoting, seed=0, epochs=8, workers=1)
    assert [one.score for one in found[:6]] == [table.scores(0)["baseline"]] * 6
    assert found[7].epochs == 8


def test_parts_of_a_table(table: Table) -> None:
    assert rows_of(table, "living") == ["baseline", "l2", "0", "2"]  # row 1 diverges, row 3 is at twice chance
    assert rows_of(table, "tuning") == ["baseline", "l2", "0", "1"]
    assert rows_of(table, "confirming+living") == ["baseline", "l2", "2"]
    drawn = {tuple(rows_of(table, f"subset-{n}")) for n in range(20)}
    assert {len(rows) for rows in drawn} == {2 + 3} and len(drawn) > 2
    assert "1" not in Pool(table, "living").row_of.values()


def test_a_table_goes_on_after_a_kill(task: Task, journal: Journal) -> None:
    whole = journal.path.read_text()
    for cut in (whole[:-5], whole[: whole[:-1].rfind("\n") + 1], whole[: whole[:-1].rfind("\n") + 9]):
        journal.path.write_text(cut)
        again = Journal(task)
        assert again.trainings.keys() == TRAININGS.keys() - {("3", 1)}
        again.append(("3", 1), [_line("3", 1, n, 2, 2, configurations(task, 4)["3"]) for n in (1, 2, 3)])
        assert Journal(task).trainings.keys() == TRAININGS.keys()
        assert journal.path.read_text() == whole


def test_the_best_rows_of_a_block_are_trained_on_seeds_that_chose_nothing(task: Task, journal: Journal) -> None:
    assert repeated(task, journal, range(4)) == [("0", 2), ("0", 3)]  # row 1 had more right, and diverged
    assert repeated(task, journal, range(1, 4)) == [("1", 2), ("1", 3)]  # by its other seed


def test_a_search_ends_where_every_row_is_taken(table: Table) -> None:
    found = _searched(table, NopPruner(), 100)
    assert len(found) == 6 * 3  # six rows of three epochs, the one in which a training diverges among them


def test_a_row_that_is_likely_to_fail_is_drawn_again_under_tpe_alone_and_is_free_afterwards(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    safe = table.configurations["0"]["learning_rate"]
    monkeypatch.setattr(View, "learned_risk", lambda self: lambda one: float(one["learning_rate"] != safe))

    def first_and_length(sampler: str) -> tuple[float, int]:
        contestant = Contestant(sampler=sampler, build=lambda study, seed: (RandomSampler(seed=seed), NopPruner()))
        found = search(Pool(table), contestant, seed=1, epochs=100, workers=1)
        return found[6].score, len(found)  # behind the first epoch after the references

    scores = table.scores(1)
    assert first_and_length("tpe") == (scores["0"], 6 * 3)  # then the other rows, each once
    assert first_and_length("random") == (scores["1"], 6 * 3)


def test_a_world_where_scoring_trains_is_asked_at_budgets_alone(table: Table) -> None:
    pool = Pool(table)
    pool.scored = frozenset({7, 9})
    contestant = Contestant(build=lambda study, seed: (_InOrder(table), NopPruner()))
    assert [one.epochs for one in search(pool, contestant, seed=0, epochs=17, workers=1)] == [7, 9]
