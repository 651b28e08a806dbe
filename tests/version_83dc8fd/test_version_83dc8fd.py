"""Results that commit 83dc8fd wrote: their replicates are found and reused, and mistaken names are recognised.

`tiny/` and `shared/` are what `hw2tune study FILE --summarize --replicates 2` left, without the trials' weights, the
images and the report; in `shared/`, two claims had one name, and the name of a third held a slash.
"""

import json
import shutil
from importlib import metadata
from pathlib import Path

import pytest

import hw2tune
from hw2tune.events import Listeners
from hw2tune.records.environment import add_run
from hw2tune.records.layout import StudyFolder
from hw2tune.records.overview import read_study
from hw2tune.replication.studies import replicate_studies
from hw2tune.report.history import history
from hw2tune.report.study_data import read_study_data
from hw2tune.resources import ResourceRequest
from hw2tune.study.file import may_change
from tests.without_ray import WithoutRay

TORCH = "2.15.0"  # with which they were trained


@pytest.fixture
def results(tmp_path) -> Path:
    for name in ("tiny", "shared"):
        shutil.copytree(Path(__file__).with_name(name), tmp_path / name)
    return tmp_path


def test_its_replicates_are_found_and_none_is_trained_or_tested_again(results, monkeypatch):
    version = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: TORCH if name == "torch" else version(name))
    folder = results / "tiny"
    before = {path: path.read_bytes() for path in (folder / "replicates").rglob("*.*") if path.is_file()}
    with WithoutRay(ResourceRequest(), Listeners()) as connection:
        replicate_studies(
            [StudyFolder(folder)], replicates=2, race=3, data_dir=None, connection=connection, tell=Listeners()
        )
    for path, content in before.items():
        if path.name == "current.json":  # the race keeps its winner and its chances, by the rules of that version
            now = json.loads(path.read_text())
            assert now["race"].pop("image_error") is None
            assert now["race"].pop("trials") == [0, 1, 2]  # that had ended when it was confirmed
            assert now == json.loads(content)
        elif path.name != "dataset.json":
            assert path.read_bytes() == content, path
    study = hw2tune.read_study("tiny", results_dir=results)
    assert study.variants["variant"].tolist() == ["plain", "tuned", "plain-momentum-0.9-label_smoothing-0.125"]
    assert study.pairs["n"].tolist() == [0, 2]  # the winner is the reference itself


def test_claims_that_shared_a_name_are_named_and_no_replicate_stands_for_another_configuration(results):
    data = read_study_data(StudyFolder(results / "shared"))
    one, two = "plain-learning_rate-0.01234561", "plain-learning_rate-0.01234562"
    assert data.variants == ["plain", one, two, "plain-act-gelu/tanh"]
    assert (data.of(one), data.of(two)) == ([], [])
    assert data.damaged == [
        f"Replicates of `plain-learning_rate-0.0123456` are omitted: an earlier version called {one} and {two} so; "
        "`hw2tune summarize shared` tests each by its own name, and trains only what is missing."
    ]


def test_a_replicate_counts_only_for_the_values_that_it_was_trained_with(results):
    """Its name is the right one here, but as earlier versions rounded it was given to the other claim's replicates."""
    study = results / "shared" / "study.toml"
    study.write_text(study.read_text().replace("0.01234561", "0.0123456"))
    data = read_study_data(StudyFolder(results / "shared"))
    assert data.variants[1:3] == ["plain-learning_rate-0.0123456", "plain-learning_rate-0.01234562"]
    assert data.of("plain-learning_rate-0.0123456") == []
    assert len(data.damaged) == 1


def test_replicates_in_a_nested_folder_are_found(results):
    data = read_study_data(StudyFolder(results / "shared"))
    assert [one.seed for one in data.of("plain-act-gelu/tanh")] == [1, 2]
    arrays = data.arrays("plain-act-gelu/tanh", 1)
    assert arrays is not None and len(arrays["labels"]) == 360
    record = results / "shared" / "replicates" / "plain-act-gelu" / "tanh" / "1" / "replicate.json"
    assert data.of("plain-act-gelu/tanh")[0].params == json.loads(record.read_text())["params"]


ADDED = """
[[claims]]
sentence = "half the rate"
a = { of = "plain", with = { learning_rate = 0.005 } }
b = "plain"
"""


def test_a_claim_that_is_added_to_a_finished_study_is_taken_over_and_nothing_is_searched(results):
    file = results / "later.toml"
    file.write_text((results / "tiny" / "study.toml").read_text() + ADDED)
    shutil.copy(results / "tiny" / "code" / "net.py", results)
    study = hw2tune.run_study(file, name="tiny", results_dir=results)
    assert (study.state, len(study.trials)) == ("complete", 3)
    kept = hw2tune.read_study("tiny", results_dir=results).study
    assert [claim.sentence for claim in kept.claims] == ["", "", "half the rate"]


def test_the_report_names_a_claim_that_the_first_run_did_not_have(results):
    folder = StudyFolder(results / "tiny")
    study = read_study(folder)
    assert history(read_study_data(folder)) == []  # earlier versions did not note claims
    add_run(folder, print, started="2026-11-28T10:00:00+00:00", study=may_change(study))
    assert history(read_study_data(folder)) == []
    folder.study_file.write_text(folder.study_file.read_text() + ADDED)
    sentence = "plain-learning_rate-0.005 against plain was added {}after the study's first run."
    assert history(read_study_data(folder)) == [sentence.format("")]
    add_run(folder, print, started="2026-11-29T10:00:00+00:00", study=may_change(read_study(folder)))
    add_run(folder, print, started="2026-11-30T10:00:00+00:00", study={"claims": [{"a": 1}]})  # damaged
    assert history(read_study_data(folder)) == [sentence.format("on 2026-11-29, ")]
    report = hw2tune.write_report("tiny", results_dir=results)
    assert "was added on 2026-11-29, after the study" in (report.page.parent / "summary.md").read_text()
