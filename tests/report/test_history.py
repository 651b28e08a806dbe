from __future__ import annotations

import io
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from hw2tune.integrations.dashboard.folders import claims_of
from hw2tune.records.layout import StudyFolder
from hw2tune.report.appendix.checklists import checklists
from hw2tune.report.history import NOT_COVERED, earlier_verdicts, history, restated
from hw2tune.report.page.opening import claims_prose
from hw2tune.report.results import compute
from hw2tune.report.study_data import StudyData, read_study_data
from hw2tune.report.write import ReportFiles, _earlier, summary_json
from hw2tune.terminal.tables import print_report
from tests.report.fake_study import write_fake_study


@pytest.fixture(scope="module")
def fake(tmp_path_factory: pytest.TempPathFactory) -> StudyData:
    return read_study_data(write_fake_study(tmp_path_factory.mktemp("results"), seeds=3))


def run(data: StudyData, day: str, claims: int, asked: int | str | None = None, most: int | None = None) -> Any:
    """The entry of a run with the first claims of the study; without `asked`, of the search."""
    said = [one.model_dump(mode="json") for one in data.overview.study.claims[:claims]]
    entry: dict[str, Any] = {"started": f"{day}T10:00:00+00:00", "study": {"claims": said}, "seeds": {}}
    if asked is not None:
        entry |= {"seeds": {"replicates": [1, 2, 3]}, "replicates": {"asked": asked, "most": most}}
    return entry


def test_a_claim_that_came_after_results_is_named_with_its_date_and_what_does_not_cover_it(fake: StudyData) -> None:
    search, replicates = run(fake, "2026-01-04", 1), run(fake, "2026-01-05", 2, 3)
    later = replace(fake, environment=[search, replicates, run(fake, "2026-01-06", 3, 3)])
    assert history(later) == [
        "tuned against baseline was added on 2026-01-05, after the study's first run.",
        f"tuned against tuned-no-l2 was added on 2026-01-06, after the study's first run{NOT_COVERED}.",
    ]
    assert history(replace(fake, environment=[run(fake, "2026-01-05", 3, 3)])) == []


def test_what_came_after_results_is_in_summary_terminal_dashboard_and_checklists_too(fake: StudyData, tmp_path) -> None:
    results = compute(replace(fake, environment=[run(fake, "2026-01-05", 2, 3), run(fake, "2026-01-06", 3, 3)]))
    [said] = history(results.data)
    assert said.endswith(NOT_COVERED + ".")
    [of_tests] = [one for one in checklists(results) if one.number == "7c"]
    assert of_tests.answer.endswith(said)
    summary = tmp_path / "report" / "summary.json"
    summary.parent.mkdir()
    summary.write_text(summary_json([results]))
    assert json.loads(summary.read_text())["studies"][0]["history"] == [said]
    assert claims_of(StudyFolder(tmp_path))[3:] == [said]
    files = ReportFiles(page=tmp_path, markdown=tmp_path, json=summary, tables=[], figures=[])
    print_report(files, Console(file=(printed := io.StringIO()), width=1000))
    assert f"- {said}" in printed.getvalue()


def test_the_terminal_names_each_study_where_there_are_several(fake: StudyData, tmp_path) -> None:
    results = compute(fake)
    files = ReportFiles(page=tmp_path, markdown=tmp_path, json=tmp_path / "summary.json", tables=[], figures=[])

    def printed(*names: str) -> list[str]:
        studies = [json.loads(summary_json([results]))["studies"][0] | {"name": name} for name in names]
        files.json.write_text(json.dumps({"studies": studies}))
        print_report(files, Console(file=(out := io.StringIO()), width=1000))
        return out.getvalue().splitlines()

    claims = [f"- {one.sentence}" for one in results.claims]
    assert printed("one") == [*claims, f"report: {tmp_path}"]
    assert printed("one", "[b]two") == ["one:", *claims, "[b]two:", *claims, f"report: {tmp_path}"]


def test_seeds_that_were_added_after_results_stand_with_their_dates(fake: StudyData) -> None:
    runs = [run(fake, "2026-01-05", 3, 3), run(fake, "2026-01-05", 3, 3), run(fake, "2026-01-07", 3, "auto", 20)]
    assert history(replace(fake, environment=runs[:2])) == []
    assert history(replace(fake, environment=runs)) == [
        "The number of seeds changed after results: 3 asked for on 2026-01-05 and auto (up to 20) asked for on "
        "2026-01-07. The verdicts hold, as they may be looked at after each seed."
    ]
    [again] = history(replace(fake, environment=[*runs, run(fake, "2026-01-08", 3, 3)]))
    assert again.endswith("and 3 asked for on 2026-01-08. The verdicts hold, as they may be looked at after each seed.")


def noting(entry: Any, **noted: Any) -> Any:
    return entry | {"replicates": entry["replicates"] | noted}


def test_numbers_asked_for_before_there_were_results_are_no_change(fake: StudyData) -> None:
    early = run(fake, "2026-01-05", 3, 8)
    assert history(replace(fake, environment=[early, noting(run(fake, "2026-01-05", 3, 3), there=0)])) == []
    lost = [noting(run(fake, "2026-01-05", 3, 3), there=12)]
    assert history(replace(fake, environment=lost)) == [
        "Replicates were there before the first run on record, so verdicts are those of any look."
    ]


def test_searches_that_were_added_are_called_so_and_other_seeds_of_them_are_not_covered(fake: StudyData) -> None:
    few, more = (noting(run(fake, "2026-01-05", 3, number), each=1) for number in (3, 7))
    assert history(replace(fake, environment=[few, more])) == [
        "The number of searches changed after results: 3 on 1 seed each asked for on 2026-01-05 and 7 on 1 seed each "
        "asked for on 2026-01-05. The verdicts hold, as they may be looked at after each search."
    ]
    [said] = history(replace(fake, environment=[more, few]))
    assert said.endswith("The verdicts hold, as they may be looked at after each search. Only the first 3 count.")
    [said] = history(replace(fake, environment=[more, noting(more, each=2)]))
    assert said.endswith("The 5 % of false verdicts do not cover other seeds of the same searches.")


def test_a_worth_that_was_changed_after_results_is_named(fake: StudyData) -> None:
    study = fake.overview.study
    now = [one.model_copy(update={"worth": 3.0}) for one in study.claims[:1]] + study.claims[1:]
    data = replace(fake, overview=replace(fake.overview, study=study.model_copy(update={"claims": now})))
    assert history(replace(data, environment=[run(fake, "2026-01-05", 3, 3)])) == [
        "The worth of l2 against baseline changed after results (the default, then 3 points): its interval holds for "
        "any."
    ]


def test_another_winner_than_the_one_that_was_tested_before_is_named(fake: StudyData) -> None:
    assert fake.race is not None
    won = fake.race.winner
    runs = [noting(run(fake, "2026-01-05", 3, 3), there=0, winners={}), run(fake, "2026-01-06", 3, 3)]
    assert history(replace(fake, environment=[runs[0], noting(runs[1], there=12, winners={"tuned": won})])) == []
    assert history(replace(fake, environment=[runs[0], noting(runs[1], there=12, winners={"tuned": 99})])) == [
        f"tuned was trial #99 (before 2026-01-06) when it was tested before, and is #{won} now: the 5 % of false "
        "verdicts do not cover the choice between them."
    ]


def test_verdicts_of_an_earlier_report_are_named_and_handed_on(fake: StudyData, tmp_path: Path) -> None:
    old = {"variant": "tuned", "against": "baseline"}
    claims = [old | {"verdict": "increase"}, {"variant": "l2", "against": "baseline", "verdict": "missing"}]
    (tmp_path / "summary.json").write_text(json.dumps({"schema": 1, "studies": [{"name": "a", "claims": claims}]}))
    earlier = earlier_verdicts([tmp_path / "none", tmp_path], "a")
    assert earlier == {"tuned against baseline": "increase"} and earlier_verdicts([tmp_path], "b") == {}
    results = compute(fake, earlier=earlier)
    said = claims_prose(results).paragraphs[-1]
    assert said == restated(earlier) and said.endswith("its seeds alone (tuned against baseline: increase).")
    (tmp_path / "summary.json").write_text(summary_json([results]))
    assert earlier_verdicts([tmp_path], fake.name) == earlier


def test_a_folder_that_was_renamed_since_keeps_the_verdicts_of_its_earlier_report(fake: StudyData, tmp_path) -> None:
    root = shutil.copytree(fake.overview.folder.root, tmp_path / "renamed")
    claims = [{"variant": "tuned", "against": "baseline", "verdict": "increase"}]
    (root / "report").mkdir()
    (root / "report" / "summary.json").write_text(json.dumps({"studies": [{"name": fake.name, "claims": claims}]}))
    data = read_study_data(StudyFolder(root))
    assert data.name == "renamed"
    for target in (root / "report", tmp_path / "elsewhere"):
        assert _earlier(data, target) == {"tuned against baseline": "increase"}


@pytest.mark.parametrize("text", ["", "[]", '{"studies": 1}', '{"studies": [{"name": "a", "claims": [{}]}]}', "\xff"])
def test_a_damaged_summary_has_no_earlier_verdicts(text: str, tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text(text, encoding="latin-1")
    assert earlier_verdicts([tmp_path], "a") == {}
