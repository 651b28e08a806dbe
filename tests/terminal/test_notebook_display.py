"""The display in a notebook: a real kernel runs the cells, and its outputs are looked at."""

import re

import pytest

from tests.report.fake_study import write_fake_study

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
EVENTS = """
import time
from pathlib import Path
import hw2tune
from hw2tune.events import EpochFinished, Noted, StageStarted, StudyFinished, StudyStarted, TrialFinished, TrialStarted
from hw2tune.resources import Capacity
study = hw2tune.read_study("quickstart", results_dir="RESULTS")
rows = study.overview.rows
capacity = Capacity(cpus_per_trial=1, gpus_per_trial=0, concurrency=2, text="2 CPUs")
events = [StageStarted(text="starting Ray"), StudyStarted(
    study=study.study, finished=[], resumed={}, capacity=capacity, dataset="MNIST-5k", folder="RESULTS/quickstart",
    dataset_checksum="sha256:00", sizes={"train": 4000, "validation": 500, "test": 500},
)]
for row in rows:
    events.append(TrialStarted(trial=row.number, label=row.label, params=row.params))
    for epoch in range(1, row.epochs + 1):
        record = {"epoch": epoch, "validation_accuracy": 0.9, "images_per_second": 100.0}
        events.append(EpochFinished(trial=row.number, record=record))
    events.append(TrialFinished(row=row))
events.insert(5, Noted(text="a note <that> stays"))
"""
SHOW = """
display = hw2tune.NotebookDisplay()
for event in events[:-1]:
    display(event)
    time.sleep(0.06)
"""
REPLICATES = """
from hw2tune.events import (
    ReplicationFinished, ReplicationStarted, TrainingFinished, TrainingStarted, TrainingStopped,
)
replicates = {"study": study.study, "cached": 0, "capacity": capacity, "folder": "mnist"}
for news in ((1, 2), (1, 0)):
    display, done = hw2tune.NotebookDisplay(), 0
    for new in news:
        display(ReplicationStarted(total=done + new, done=done, **replicates))
        for training in range(done, done + new):
            display(TrainingStarted(training=training, label="baseline", params={}))
            display(TrainingFinished(row=rows[training]))
        done += new
    display(StageStarted(text="drawing the report"))
display = hw2tune.NotebookDisplay()
display(ReplicationStarted(total=12, race=6, **replicates))
for training in range(2):
    display(TrainingStarted(training=training, label="race: trial 1 seed 1001", params={}))
display(TrainingFinished(row=rows[0]))
display(TrainingStopped(training=1, text=""))
display(ReplicationFinished(folder="mnist"))
"""
END = """
display(events[-1])
display(StudyFinished(folder="RESULTS/quickstart", end="complete", rows=rows))
"""
COMPLETE_BEFORE = """
hw2tune.NotebookDisplay()(StudyFinished(folder="RESULTS/quickstart", end="complete", rows=rows))
"""


def run_cells(*cells: str, path) -> list:
    """The outputs of each cell, and the messages of every kind that the kernel sent for it."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    sent: list[list[str]] = [[] for _ in cells]

    class Watching(NotebookClient):
        def process_message(self, message, cell, cell_index):
            sent[cell_index].append(message["msg_type"])
            return super().process_message(message, cell, cell_index)

    Watching(notebook, timeout=120, resources={"metadata": {"path": str(path)}}).execute()
    return list(zip([cell.outputs for cell in notebook.cells], sent, strict=True))


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    path = tmp_path_factory.mktemp("notebook")
    write_fake_study(path / "results", trials=10, seeds=0)
    is_default = "from hw2tune.api import _listening\n[type(one).__name__ for one in _listening(None).listeners]"
    sources = [EVENTS, SHOW, END, is_default, REPLICATES, COMPLETE_BEFORE]
    return run_cells(*(source.replace("RESULTS", str(path / "results")) for source in sources), path=path)


def test_one_output_changes_in_place(cells):
    outputs, sent = cells[1]
    assert [output.output_type for output in outputs] == ["display_data"]
    assert sent.count("display_data") == 1
    # An epoch in 60 ms: not each makes a picture, but every trial's beginning and end do.
    assert 20 <= sent.count("update_display_data") <= 35


def test_when_the_study_is_over_a_table_of_every_trial_stands_there(cells):
    (output,), (later, sent) = cells[1][0], cells[2]
    assert later == [] and sent.count("update_display_data") == 2
    shown = output.data["text/plain"]
    assert "quickstart: complete, 10 of 10 trials finished" in shown
    lines = shown[shown.index("quickstart: complete") :].splitlines()
    assert lines[1].split() == ["trial", "state", "validation", "epoch", "seconds", "configuration"]
    assert len([line for line in lines if re.match(r"#\d+ ", line)]) == 10
    assert "diverged in epoch 2: loss nan" in shown and "#0 baseline" in shown
    assert "left" not in lines[0] and "\x1b" not in shown


def test_a_study_that_was_complete_before_is_the_table_at_once(cells):
    (output,) = cells[5][0]
    assert "quickstart: complete, 10 of 10 trials finished" in output.data["text/plain"]


def test_when_replicates_are_over_nothing_seems_to_run(cells):
    last = [output.data["text/plain"].strip().splitlines()[-1].strip() for output in cells[4][0]]
    assert last == ["3 trainings finished", "1 training finished", "1 training finished"]


def test_importing_hw2tune_says_nothing(cells):
    assert cells[0][0] == []


def test_what_was_said_stays_above_it_and_is_no_markup(cells):
    (output,) = cells[1][0]
    assert "4,000 train, 500 validation, 500 test" in output.data["text/plain"]
    assert "a note <that> stays" in output.data["text/plain"]
    assert "a note &lt;that&gt; stays" in output.data["text/html"]


def test_a_notebook_gets_it_by_default_and_a_script_does_not(cells):
    from hw2tune.api import _listening

    assert cells[3][0][0].data["text/plain"] == "['NotebookDisplay']"
    assert _listening(None).listeners == []
