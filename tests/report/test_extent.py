"""The size of a study: trials that its space or its file allows, or the epochs of a budget, the same in every place."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from hw2tune.api import check_study
from hw2tune.events import StudyStarted
from hw2tune.execution.request import Request
from hw2tune.records.layout import StudyFolder
from hw2tune.records.overview import UNREADABLE, Overview, read_overview
from hw2tune.report.page.sections import search_blocks
from hw2tune.report.results import compute
from hw2tune.report.study_data import read_study_data
from hw2tune.report.write import summary_json
from hw2tune.terminal.plan import print_plan
from hw2tune.terminal.tables import print_outcome, print_studies, status_title
from tests.execution.test_arms import FILE, Executor, run

BROAD, ARMS = FILE.partition("[arms.l2]")[::2]
RATES = "learning_rate = { low = 1e-4, high = 1e-1, log = true }"
DECAYS = "weight_decay = { low = 1e-6, high = 1e-1, log = true, or_zero = true }"
FINITE = (
    BROAD.replace("trials = 3", "trials = 50")
    .replace(RATES, "learning_rate = [0.001, 0.01]")
    .replace(DECAYS, "weight_decay = [0.0, 0.001, 0.01]")
)
FINITE_ARMS = f"{FINITE}[arms.l2]\nweight_decay = [0.001, 0.01]\n[arms.no-l2]\nweight_decay = 0.0\n"
WHOLE = "every configuration of the space is trained"
BUDGET = BROAD.replace("trials = 3", "budget = 24")  # of which the race has 4 trainings


def searched(tmp_path: Path, text: str) -> tuple[Overview, list[StudyStarted]]:
    plans: list[Any] = []
    run(tmp_path, Executor(), text, listeners=[plans.append])
    overview = read_overview(StudyFolder(tmp_path / "results" / "sides"))
    return overview, [event for event in plans if isinstance(event, StudyStarted)]


def as_csv(overview: Overview, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    print_studies([overview], {"broken": "not valid TOML"}, Console(), "csv", "here")
    row, broken = csv.DictReader(io.StringIO(capsys.readouterr().out, newline=""), strict=True)
    assert (broken["extent"], broken["unit"], broken["error"]) == ("", "", "not valid TOML")
    return row


def planned(plan: StudyStarted) -> str:
    out = io.StringIO()
    print_plan(plan, Console(file=out, width=300))
    [line] = [line for line in out.getvalue().splitlines() if line.startswith("budget")]
    return " ".join(line.split())


@pytest.mark.parametrize(
    ("text", "planned_trials", "finished", "extent", "unit"),
    [
        (FINITE, 6, 6, 6, "trials"), (FINITE_ARMS, 6, 6, 6, "trials"), (BUDGET, None, 20, 20, "epochs"),
        (FILE, 6, 6, 6, "trials"),
    ],
)  # fmt: skip
def test_json_csv_and_summary_agree_with_the_state_of_a_complete_study(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    text: str,
    planned_trials: int | None,
    finished: int,
    extent: int,
    unit: str,
) -> None:
    overview, _ = searched(tmp_path, text)
    assert status_title(overview) == f"sides: complete, {extent} of {extent} {unit} finished"
    content = json.loads(json.dumps(overview.as_json()))
    assert (content["trials_planned"], content["trials_finished"]) == (planned_trials, finished)
    assert (content["done"], content["extent"], content["unit"]) == (extent, extent, unit)
    assert UNREADABLE.keys() >= {"done", "extent", "unit"}
    row = as_csv(overview, capsys)
    assert (row["trials_planned"], row["trials_finished"]) == (str(planned_trials or ""), str(finished))
    assert (row["done"], row["extent"], row["unit"]) == (str(extent), str(extent), unit)
    [study] = json.loads(summary_json([compute(read_study_data(overview.folder))]))["studies"]
    counts = study["trials"]
    assert (counts["planned"], counts["finished"]) == (planned_trials, finished)
    assert (counts["done"], counts["extent"], counts["unit"]) == (extent, extent, unit)


def test_page_and_plan_count_the_trials_that_a_finite_space_has(tmp_path: Path) -> None:
    overview, [plan] = searched(tmp_path, FINITE)
    [text, *_] = search_blocks(compute(read_study_data(overview.folder)))
    assert ": 6 of 6 trials finished (6 complete)." in text.paragraphs[0]  # type: ignore[union-attr]
    assert planned(plan).startswith("budget 6 trials of at most 1 epoch;")


@pytest.mark.parametrize(
    ("text", "way"),
    [
        (FINITE, WHOLE), (FINITE_ARMS, WHOLE), (FINITE.replace("trials = 50", "trials = 6"), WHOLE),
        (FINITE.replace("trials = 50", "trials = 5"), "--trials 10 searches on"),
        (BROAD, "--trials 6 searches on"), (BUDGET, "--budget 48 searches on"),
    ],
)  # fmt: skip
def test_a_search_of_a_space_that_is_trained_whole_does_not_go_on(tmp_path: Path, text: str, way: str) -> None:
    overview, _ = searched(tmp_path, text)
    shown = io.StringIO()
    print_outcome(overview, Console(file=shown, width=200))
    [line] = [line for line in shown.getvalue().splitlines() if line.startswith("next")]
    assert line == f"next:  hw2tune status sides (every trial); {way}"


def test_the_plan_and_the_page_of_arms_have_the_trials_of_the_smallest_and_the_largest(tmp_path: Path) -> None:
    overview, plans = searched(tmp_path, FINITE_ARMS)
    assert [planned(plan).split(" of ")[0] for plan in plans] == ["budget 4 trials", "budget 2 trials"]
    plan, _, _ = check_study(Request(study=str(tmp_path / "sides.toml"), results=tmp_path / "new"))
    assert planned(plan).startswith("budget 2 to 4 trials of at most 1 epoch;")
    [text, *_] = search_blocks(compute(read_study_data(overview.folder)))
    assert "Each arm was searched 1 time on 2 to 4 trials, with" in text.paragraphs[0]  # type: ignore[union-attr]
