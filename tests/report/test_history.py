from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hw2tune.report.history import NOT_COVERED, earlier_verdicts, history, restated
from hw2tune.report.page.opening import claims_prose
from hw2tune.report.results import compute
from hw2tune.report.study_data import StudyData, read_study_data
from hw2tune.report.write import summary_json
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


def test_seeds_that_were_added_after_results_stand_with_their_dates(fake: StudyData) -> None:
    runs = [run(fake, "2026-01-05", 3, 3), run(fake, "2026-01-05", 3, 3), run(fake, "2026-01-07", 3, "auto", 20)]
    assert history(replace(fake, environment=runs[:2])) == []
    assert history(replace(fake, environment=runs)) == [
        "Seeds were added after results: 3 asked for on 2026-01-05 and auto (up to 20) asked for on 2026-01-07. The "
        "verdicts hold, as they may be looked at after each seed."
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


@pytest.mark.parametrize("text", ["", "[]", '{"studies": 1}', '{"studies": [{"name": "a", "claims": [{}]}]}', "\xff"])
def test_a_damaged_summary_has_no_earlier_verdicts(text: str, tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text(text, encoding="latin-1")
    assert earlier_verdicts([tmp_path], "a") == {}
