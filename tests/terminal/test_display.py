"""What a person sees: words, plan, board."""

import io

import pytest
from rich.console import Console

from hw2tune.events import (
    EpochFinished,
    ReplicationStarted,
    StudyStarted,
    TrainingFinished,
    TrainingStarted,
    TrainingStopped,
    TrialFinished,
    TrialStarted,
)
from hw2tune.records.lock import locked
from hw2tune.records.overview import read_overview
from hw2tune.records.trials.epochs import append_epoch
from hw2tune.records.trials.rows import TrialRow
from hw2tune.resources import Capacity
from hw2tune.study.file import find_study, parse_study
from hw2tune.study.schema import Study
from hw2tune.terminal import progress
from hw2tune.terminal.plan import replication_line, resumed_line, trial_name, value_of
from hw2tune.terminal.progress import Display, Lines
from hw2tune.terminal.tables import LONG, print_status
from hw2tune.text.numbers import configuration_line, duration
from tests.report.fake_study import write_fake_study
from tests.terminal.test_watch import begin_trial

STUDY = parse_study(*find_study("mnist"), overrides={"trials": 20})
ROOM = Capacity(cpus_per_trial=1, gpus_per_trial=0, concurrency=2, text="2 CPUs and 0 GPUs on 1 node, Ray started here")
PARAMS = {"learning_rate": 0.00123, "batch_size": 64, "optimizer": "sgd", "momentum": 0.95, "weight_decay": 0.0}


def row(number: int, value: float | None, state: str = "complete", label: str = "", reason: str = "") -> TrialRow:
    return TrialRow(
        number=number, label=label, state=state, reason=reason, epochs=5, value=value, best_epoch=value and 4,
        seconds=61.0, params=PARAMS,
    )  # fmt: skip


def plan(finished: list[TrialRow], resumed: dict[int, int], study: Study = STUDY) -> StudyStarted:
    return StudyStarted(
        study=study, finished=finished, resumed=resumed, capacity=ROOM, dataset="MNIST", folder="ray_results/mnist",
        dataset_checksum="sha256:0123456789abcdef", sizes={"train": 55_000, "validation": 5_000, "test": 10_000},
    )  # fmt: skip


def console(width: int) -> Console:
    return Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None, highlight=False)


def text(on: Console) -> str:
    assert isinstance(on.file, io.StringIO)
    return on.file.getvalue()


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (59.6, "1 min 00 s"), (200, "3 min 20 s"), (3599.7, "1 h 00 min"), (7500, "2 h 05 min")],
)
def test_a_duration_is_said_in_its_largest_units(seconds, words):
    assert duration(seconds) == words


def test_a_configuration_stands_on_one_short_line():
    assert configuration_line(PARAMS) == "sgd lr 0.0012 batch 64 mom 0.95 wd 0"
    assert trial_name(0, "baseline") == "#0 baseline" and trial_name(12, "") == "#12"
    assert value_of(0.96384, "validation_accuracy") == "96.38 %"
    assert value_of(1.54321, "validation_loss") == "1.5432"
    assert value_of(None, "validation_loss") == "-"


def test_a_resumed_study_says_what_was_there_and_what_goes_on():
    finished = [row(number, 0.9) for number in range(5)]
    assert resumed_line(plan(finished, {5: 4, 6: 2})) == "5 finished, 2 continued at epochs 4 and 2, 13 to go"
    assert resumed_line(plan(finished, {5: 4})) == "5 finished, 1 continued at epoch 4, 14 to go"
    assert resumed_line(plan(finished, {})) == "5 finished, 15 to go"


@pytest.mark.parametrize("width", [80, 140])
def test_the_board_fits_the_terminal_and_shows_the_running_and_the_best_five(width):
    display = Display(console(width))
    display(plan([row(n, 0.9 + 0.01 * n, label="baseline" if n == 0 else "") for n in range(6)], {}))
    display(TrialStarted(trial=6, label="", params=PARAMS))
    display(EpochFinished(trial=6, record={"epoch": 3, "validation_accuracy": 0.9512, "images_per_second": 12_345.0}))
    picture = console(width)
    picture.print(display.board)
    lines = text(picture).rstrip().splitlines()
    assert all(len(line) <= width for line in lines)
    assert "6/20 trials, best 95.00 % (#5), 0 s so far" in lines[0]
    assert lines[1].split()[:5] == ["#6", "epoch", "3/5", "95.12", "%"]
    assert [line.split()[0] for line in lines[2:]] == ["#5", "#4", "#3", "#2", "#1"]
    if width == 140:
        assert "12,345 images/s" in lines[1]


class Ending(dict[int, dict[str, float]]):
    """Records of trials that end in the other thread as soon as the board has asked for one of them."""

    def __contains__(self, number: object) -> bool:
        there = super().__contains__(number)
        self.clear()
        return there


def test_a_trial_may_end_while_the_board_is_drawn():
    display, on = Display(console(80)), console(80)
    display(plan([], {}))
    display.board.records = Ending()
    display(TrialStarted(trial=0, label="", params=PARAMS))
    display(EpochFinished(trial=0, record={"epoch": 1, "validation_accuracy": 0.9}))
    on.print(display.board)
    assert "0/20 trials" in text(on)


def test_the_time_left_is_told_once_two_trials_a_slot_are_done():
    display = Display(console(100))
    display(plan([], {}))
    display.board.started -= 60
    for number in range(4):
        display(TrialFinished(row=row(number, 0.9)))
    picture = console(100)
    picture.print(display.board)
    assert "4 min 00 s left" in text(picture)  # 4 trials in 60 s, 16 to go


def test_the_time_left_is_told_at_the_end_of_a_continued_study():
    display = Display(console(100))
    display(plan([row(number, 0.9) for number in range(17)], {}))
    display.board.started -= 60
    display(TrialFinished(row=row(17, 0.9)))
    picture = console(100)
    picture.print(display.board)
    assert "2 min 00 s left" in text(picture)  # 1 trial in 60 s, 2 to go


def test_where_there_is_no_terminal_each_trial_is_a_line():
    shown = console(100)
    lines = Lines(shown)
    lines(plan([row(0, 0.9)], {}))
    lines(TrialFinished(row=row(1, None, "diverged", reason="diverged in epoch 2: loss nan")))
    assert "test is not read by the search" in text(shown)
    assert text(shown).splitlines()[-1] == (
        "2/20 #1: diverged (diverged in epoch 2: loss nan), -, 1 min 01 s, sgd lr 0.0012 batch 64 mom 0.95 wd 0"
    )


def test_a_log_that_was_silent_for_a_minute_says_what_is_running(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    shown = console(200)
    lines = Lines(shown)
    lines(plan([row(0, 0.9)], {}))
    begun = text(shown).count("\n")

    def epoch(trial: int, number: int, seconds: float, **record: float) -> None:
        now[0] += seconds
        lines(EpochFinished(trial=trial, record={"epoch": number, "images_per_second": 99.0, **record}))

    for trial in range(1, 7):
        lines(TrialStarted(trial=trial, label="l2" if trial == 1 else "", params=PARAMS))
    epoch(1, 1, 59, validation_accuracy=0.4)
    for trial in range(2, 7):
        epoch(trial, 1, 0, train_accuracy=0.5)
    assert text(shown).count("\n") == begun
    epoch(1, 2, 2, validation_accuracy=0.4567)
    epoch(2, 2, 60, train_accuracy=0.5)
    lines(TrialFinished(row=row(1, 0.4567)))
    epoch(2, 3, 60, train_accuracy=0.5)
    said = text(shown).splitlines()[begun:]
    assert said[0] == (
        "1/20; #1 l2 epoch 2/5 45.67 %, #2 epoch 1/5 50.00 %, #3 epoch 1/5 50.00 %, #4 epoch 1/5 50.00 %, 2 more"
    )
    assert len(said) == 2 and said[1].startswith("2/20 #1: complete")
    epoch(2, 4, 1, train_accuracy=0.5)
    assert text(shown).splitlines()[-1].startswith("2/20; #2 epoch 4/5 50.00 %, #3 epoch")


def test_with_a_budget_epochs_are_counted_and_not_trials():
    study = parse_study(*find_study("mnist"), overrides={"budget": 6})
    begun = plan([row(0, 0.9), row(1, 0.8)], {2: 3}, study)
    assert resumed_line(begun) == "2 finished, 1 continued at epoch 3, 17 epochs to go"
    shown, display, picture = console(100), Display(console(100)), console(100)
    lines = Lines(shown)
    for listener in (lines, display):
        listener(begun)
        listener(TrialFinished(row=row(2, 0.91)))
    assert "30 epochs, in trials of at most 5 epochs" in text(shown) and "for the race" not in text(shown)
    assert text(shown).splitlines()[-1].startswith("15/30 #2: complete, 91.00 %")
    display.board.started -= 60
    picture.print(display.board)
    assert "15/30 epochs, best 91.00 % (#2)" in text(picture)


def test_the_plan_of_a_budget_says_what_is_for_the_race():
    shown = console(200)
    Lines(shown)(plan([], {}, parse_study(*find_study("mnist"), overrides={"budget": 24})))
    assert "100 epochs, in trials of at most 5 epochs" in text(shown)
    assert "seed 0; 4 trainings more for the race" in text(shown)


def test_the_plan_of_a_budget_names_the_trials_where_they_cannot_spend_it():
    shown = console(200)
    Lines(shown)(plan([], {}, parse_study(*find_study("mnist"), overrides={"budget": 24, "trials": 9})))
    assert "100 epochs, in at most 9 trials of at most 5 epochs" in text(shown)


def test_replicating_says_what_was_there_already():
    room = "2 at once (2 CPUs and 0 GPUs on 1 node, Ray started here)"
    assert replication_line(ReplicationStarted(study=STUDY, total=3, cached=22, capacity=ROOM, folder="mnist")) == (
        f"mnist: 3 trainings of 5 epochs, 22 are there already; {room}"
    )
    short = parse_study(*find_study("mnist"), overrides={"max_epochs": 1, "pruner": "none"})
    assert replication_line(ReplicationStarted(study=short, total=1, cached=1, capacity=ROOM, folder="mnist")) == (
        f"mnist: 1 training of 1 epoch, 1 is there already; {room}"
    )
    race = ReplicationStarted(study=short, total=18, done=6, cached=0, capacity=ROOM, folder="mnist", race=6)
    assert replication_line(race) == f"mnist: race of 6 trials, at most 12 trainings of 1 epoch; {room}"


def test_trainings_of_one_command_are_counted_through_and_what_ends_without_a_result_is_gone():
    """A race may take fewer than it might, or with those in idle slots more; the count never begins again."""
    shown = console(200)
    lines, replicates = Lines(shown), {"study": STUDY, "cached": 0, "capacity": ROOM, "folder": "mnist"}
    numbers = iter(range(9))

    def train(*ends: str) -> None:
        for end in ends:
            number = next(numbers)
            lines(TrainingStarted(training=number, label=end, params={}))
            stopped, finished = TrainingStopped(training=number, text=end), TrainingFinished(row=row(number, 0.9))
            lines(finished if end == "done" else stopped)

    lines(ReplicationStarted(total=2, race=2, **replicates))
    train("done", "done", "done", "")
    lines(ReplicationStarted(total=5, done=3, **replicates))
    train("baseline seed 1: its machine is gone; its training begins again", "done", "done")
    told = [line.split(":")[0] for line in text(shown).splitlines()]
    counts = ["1/2 #0", "2/2 #1", "3/3 #2"]
    assert told == ["mnist", *counts, "mnist", "baseline seed 1", "4/5 #5", "5/5 #6"]
    assert not lines.board.running


def test_status_says_which_trials_run_where_if_several_machines_work(tmp_path):
    folder = write_fake_study(tmp_path, trials=3, seeds=0)
    begun = [begin_trial(folder, 0.5)[0].number for _ in range(4)]

    def machines(*addresses: str) -> tuple[str, object]:
        for number, address in zip(begun, addresses, strict=False):
            append_epoch(folder.trial(number), {"epoch": 1, "node_ip": address})
        shown = io.StringIO()
        with locked(folder):
            overview = read_overview(folder)
        print_status(overview, Console(file=shown, width=100))
        lines = [line for line in shown.getvalue().splitlines() if line.startswith("machines: ")]
        return "".join(lines), overview.as_json()["machines"]

    assert machines() == ("", {})
    assert machines("10.0.0.1", "10.0.0.1") == ("", {"10.0.0.1": begun[:2]})
    assert machines("10.0.0.1", "10.0.0.2", "10.0.0.1") == (
        "machines: 10.0.0.1 (trials 3 and 5), 10.0.0.2 (trial 4)", {"10.0.0.1": [3, 5], "10.0.0.2": [4]}
    )  # fmt: skip


def test_a_long_study_is_told_in_plain_columns_with_every_trial(tmp_path):
    folder = write_fake_study(tmp_path, trials=LONG + 1, seeds=0)
    shown = io.StringIO()
    print_status(read_overview(folder), Console(file=shown, width=100))
    lines = shown.getvalue().splitlines()
    assert len(lines) == 1 + 1 + (LONG + 1) + 1
    assert lines[1].split()[:3] == ["trial", "state", "validation"]
    assert {line.split()[0] for line in lines[2:-1]} == {f"#{number}" for number in range(LONG + 1)}
    column = lines[1].index("configuration")
    assert all(line[column - 2 : column] == "  " and line[column] != " " for line in lines[2:-1])
