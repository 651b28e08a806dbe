"""Whatever has become of a file that the report reads, the rest is reported and the page says what is omitted."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hw2tune.records.layout import StudyFolder
from hw2tune.report.figures.drawing import CannotDrawError, Drawing
from hw2tune.report.figures.recipes import recipes
from hw2tune.report.figures.style import style
from hw2tune.report.results import compute
from hw2tune.report.study_data import StudyData, read_study_data
from hw2tune.report.write import page_html, summary_json, summary_markdown
from tests.report.fake_study import write_fake_study
from tests.report.html import parse

Change = Callable[[Any], Any]
RECORD, ARRAYS = "replicates/tuned/0/replicate.json", "replicates/tuned/0/arrays.npz"
CURRENT, DATASET, ENVIRONMENT = "replicates/current.json", "dataset.json", "environment.json"
GALLERY, PIXELS = "replicates/gallery.npz", "replicates/pixels.npz"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_fake_study(tmp_path_factory.mktemp("whole"), trials=4, seeds=2, test_size=120).root


@pytest.fixture
def study(whole: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    shutil.copytree(whole, tmp_path / "quickstart")
    return tmp_path / "quickstart"


def told(study: Path) -> list[str]:
    """What the page says is damaged; page and summaries must be written without an error."""
    data = read_study_data(StudyFolder(study))
    results = compute(data)
    page, summary = parse(page_html([results])).text, json.loads(summary_json([results]))
    assert all(sentence.split("`")[1] in page for sentence in data.damaged)
    assert summary["studies"][0]["damaged"] == data.damaged
    assert all(sentence.rpartition(" ")[2] in summary_markdown([results]) for sentence in data.damaged)
    return data.damaged


def drawn(data: StudyData, name: str) -> Drawing | str:
    """One figure; the reason where there is none."""
    with style():
        try:
            return next(recipe for recipe in recipes(data) if recipe.name == name).draw(data)
        except CannotDrawError as error:
            return str(error)


def change_json(path: Path, change: Change) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def change_npz(path: Path, change: Change) -> None:
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    change(arrays)
    with path.open("wb") as opened:
        np.savez(opened, **arrays)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "of another shape": lambda path: path.write_text("[1]"),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("file", [RECORD, DATASET, GALLERY, PIXELS, ENVIRONMENT])
def test_a_damaged_file_is_named_on_the_page(study: Path, file: str, damage: str) -> None:
    DAMAGES[damage](study / file)
    assert told(study) == [f"`{file}` is damaged, and omitted."]


@pytest.mark.parametrize("damage", DAMAGES)
def test_without_the_list_of_what_counts_all_is_shown_and_that_is_said(study: Path, damage: str) -> None:
    DAMAGES[damage](study / CURRENT)
    assert told(study) == [
        "`replicates/current.json` is damaged: which replicates count is not known, and all that are there are shown; "
        "`hw2tune summarize quickstart` writes it anew."
    ]


def test_without_the_list_of_what_counts_two_winners_are_not_one_side_of_a_claim(study: Path) -> None:
    (study / CURRENT).unlink()
    for variant in ("tuned", "tuned-no-l2"):
        place = study / "replicates" / variant / "1" / "replicate.json"
        change_json(place, lambda content: content["params"].update(learning_rate=0.5))
    assert told(study) == [
        "Replicates of tuned and tuned-no-l2 are of several winners, and which ones count is not known: they are "
        "omitted; `hw2tune summarize quickstart` tests those that are missing."
    ]
    results = compute(read_study_data(StudyFolder(study)))
    assert [claim.verdict for claim in results.claims] == ["undecided", "missing", "missing"]


WRONG_RECORDS: dict[str, Change] = {
    "an epoch without its number": lambda c: c["epochs"][0].pop("epoch"),
    "a loss that is a word": lambda c: c["epochs"][0].update(train_loss="x"),
    "an accuracy of nan": lambda c: c["chosen"].update(accuracy=float("nan")),
    "no images": lambda c: c["chosen"].update(total=0, correct=0),
    "more right than there are": lambda c: c["chosen"].update(correct=121, total=120),
    "a time of nan": lambda c: c.update(seconds=float("nan")),
    "a learning rate that is a word": lambda c: c["params"].update(learning_rate="x"),
    "another variant": lambda c: c.update(variant="l2"),
    "the seed of another": lambda c: c.update(seed=1),
    "no key": lambda c: c.pop("key"),
}


@pytest.mark.parametrize("what", WRONG_RECORDS)
def test_a_replicate_whose_record_cannot_be_right_is_left_out_and_named(study: Path, what: str) -> None:
    change_json(study / RECORD, WRONG_RECORDS[what])
    assert told(study) == [f"`{RECORD}` is damaged, and omitted."]
    assert [(r.variant, r.seed) for r in read_study_data(StudyFolder(study)).replicates][4:6] == [
        ("tuned", 1), ("tuned-no-l2", 0),
    ]  # fmt: skip


def test_keys_of_a_later_version_are_no_damage(study: Path) -> None:
    change_json(study / RECORD, lambda c: (c.update(later={}), c["epochs"][0].update(host="node", later=None)))
    change_json(study / DATASET, lambda c: c.update(later=[1]))
    change_json(study / CURRENT, lambda c: (c.update(later=1), c["race"].update(later=1)))
    change_json(study / ENVIRONMENT, lambda c: c.update(later=1))
    change_npz(study / ARRAYS, lambda a: a.update(later=np.zeros(3)))
    assert told(study) == []


def test_a_replicate_that_version_0_1_tested_at_an_epoch_without_a_value_is_omitted_and_named(study: Path) -> None:
    def blind(content: dict[str, Any]) -> None:
        content["chosen"]["epoch"] = 1
        content["epochs"][0]["validation_accuracy"] = float("nan")

    change_json(study / RECORD, blind)
    data = read_study_data(StudyFolder(study))
    assert data.damaged == [
        "tuned, seed 0, was tested at epoch 1, where validation_accuracy is not finite (an error of version 0.1), and "
        "is omitted; `hw2tune summarize quickstart` trains it again."
    ]
    assert [(one.variant, one.seed) for one in data.replicates if one.variant == "tuned"] == [("tuned", 1)]


def test_a_test_loss_that_is_not_finite_is_missing_and_all_else_is_reported(study: Path) -> None:
    toml = study / "study.toml"
    toml.write_text(toml.read_text().replace('objective = "validation_accuracy"', 'objective = "validation_loss"'))
    change_json(study / RECORD, lambda c: c["chosen"].update(loss=None))
    change_json(study / "replicates/tuned/1/replicate.json", lambda c: c["chosen"].update(loss=float("inf")))  # of 0.1
    change_json(study / CURRENT, lambda c: c["race"].update(objective="validation_loss", direction="minimize"))
    data = read_study_data(StudyFolder(study))
    assert data.damaged == [] and len(data.of("tuned")) == 2
    results = compute(data)
    summary = json.loads(summary_json([results]))["studies"][0]
    assert [row["test_loss"] for row in summary["replicates"] if row["variant"] == "tuned"] == [None, None]
    page_html([results])


WRONG_RACES: dict[str, Change] = {
    "too few values": lambda c: c["race"]["candidates"][0].update(values=[]),
    "too many values": lambda c: c["race"]["candidates"][0].update(values=[0.1] * 99),
    "no seeds": lambda c: c["race"].update(seeds=[]),
    "no candidates": lambda c: c["race"].update(candidates=[]),
    "a winner who did not run": lambda c: c["race"].update(winner=99),
    "a value of nan": lambda c: c["race"]["candidates"][0].update(search_value=float("nan")),
    "a value of nan on a seed": lambda c: c["race"]["candidates"][0]["values"].__setitem__(0, float("nan")),
}


@pytest.mark.parametrize("what", WRONG_RACES)
def test_a_race_whose_numbers_do_not_fit_is_left_out_and_named(study: Path, what: str) -> None:
    change_json(study / CURRENT, WRONG_RACES[what])
    assert told(study) == ["The race in `replicates/current.json` is damaged, and omitted."]
    assert len(read_study_data(StudyFolder(study)).replicates) == 8


def test_a_race_of_another_winner_than_the_replicates_is_left_out_and_named(study: Path) -> None:
    """A kill of an earlier version, which wrote race and replicates' list in two files."""
    current = json.loads((study / CURRENT).read_text())
    (study / "replicates" / "race.json").write_text(json.dumps(current["race"] | {"winner": 2}))
    (study / CURRENT).write_text(json.dumps({"keys": current["keys"]}))
    assert told(study) == [
        "The race was won by trial #2, but the replicates of tuned are of another configuration, as a run was "
        "interrupted in between; the race is omitted, and `hw2tune summarize quickstart` goes on."
    ]
    assert read_study_data(StudyFolder(study)).race is None


def test_a_race_in_a_file_of_its_own_is_read(study: Path) -> None:
    current = json.loads((study / CURRENT).read_text())
    (study / "replicates" / "race.json").write_text(json.dumps(current["race"]))
    (study / CURRENT).write_text(json.dumps({"keys": current["keys"]}))
    race = read_study_data(StudyFolder(study)).race
    assert told(study) == [] and race is not None and race.winner == 3


def predictions(change: Change) -> Change:
    return lambda arrays: arrays.update({
        name: change(arrays[name]) for name in ("labels", "predicted", "last_predicted", "confidence")
    })  # fmt: skip


WRONG_ARRAYS: dict[str, tuple[str, Change]] = {
    "labels of no class": ("class-accuracies", lambda a: a.update(labels=a["labels"] + 200)),
    "negative labels": ("confusion", lambda a: a.update(labels=a["labels"].astype(int) - 1)),
    "labels that are fractions": ("confusion", lambda a: a.update(labels=a["labels"] + 0.5)),
    "too few labels": ("examples-tuned", lambda a: a.update(labels=a["labels"][:10])),
    "predictions in two dimensions": ("examples-tuned", predictions(lambda one: one.reshape(2, -1))),
    "no predictions": ("class-accuracies", predictions(lambda one: one[:0])),
    "objects": ("confusion", lambda a: a.update(labels=np.array([{}] * 120, dtype=object))),
    "weights that are words": ("weights-tuned", lambda a: a.update({"weights/conv1.weight": np.array(["x"])})),
    "no weights": ("weights-tuned", lambda a: a.update({"weights/conv1.weight": np.zeros((0, 5))})),
    "a norm that is a list": ("weights-tuned", lambda a: a.update({"initial_norms/conv1.weight": np.zeros(3)})),
    "maps that are words": ("features-conv1", lambda a: a.update({"features/conv1": np.array(["x"])})),
    "a map of one image": ("features-conv1", lambda a: a.update({"features/conv1": a["features/conv1"][:1]})),
}


@pytest.mark.parametrize("what", WRONG_ARRAYS)
def test_wrong_arrays_of_one_replicate_leave_the_figure_with_the_other_seed_or_a_reason(study: Path, what: str) -> None:
    figure, change = WRONG_ARRAYS[what]
    change_npz(study / ARRAYS, change)
    assert told(study) == []
    picture = drawn(read_study_data(StudyFolder(study)), figure)
    assert isinstance(picture, Drawing)


WRONG_GALLERIES: dict[str, Change] = {
    "fractions": lambda a: a.update(indices=a["indices"] + 0.5),
    "two dimensions": lambda a: a.update(indices=a["indices"].reshape(2, -1)),
    "negative": lambda a: a.update(indices=-1 - a["indices"]),
    "two channels": lambda a: a.update(images=np.repeat(a["images"], 2, axis=-1)),
    "words": lambda a: a.update(images=a["images"].astype(str)),
    "few images": lambda a: a.update(images=a["images"][:2]),
    "no labels": lambda a: a.pop("labels"),
}


@pytest.mark.parametrize("what", WRONG_GALLERIES)
def test_a_gallery_that_does_not_fit_is_named_and_its_figures_say_so(study: Path, what: str) -> None:
    change_npz(study / GALLERY, WRONG_GALLERIES[what])
    assert told(study) == [f"`{GALLERY}` is damaged, and omitted."]
    for figure in ("examples-l2", "features-conv1"):
        assert drawn(read_study_data(StudyFolder(study)), figure) == "The gallery of test images is missing or damaged."


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"std": []}, "The record of the data set is damaged: deviations none for means 0.5."),
        ({"std": [0.0]}, "The record of the data set is damaged: deviations 0.0 for means 0.5."),
        ({"mean": [0.5, 0.5]}, "The counts of pixel values are damaged: (1, 256) for 2 channels."),
    ],
)
def test_means_and_deviations_that_cannot_be_right_give_a_reason(
    study: Path, change: dict[str, Any], reason: str
) -> None:
    change_json(study / DATASET, lambda c: c.update(change))
    assert drawn(read_study_data(StudyFolder(study)), "preprocessing") == reason


def test_labels_beyond_the_known_classes_leave_the_feature_maps_with_numbers_for_names(study: Path) -> None:
    change_npz(study / GALLERY, lambda a: a.update(labels=a["labels"] + 100))
    picture = drawn(read_study_data(StudyFolder(study)), "features-conv1")
    assert isinstance(picture, Drawing)
    assert all(int(axes.get_title().removeprefix("true ")) >= 100 for axes in picture.figure.axes[:3])


WRONG_RUNS: dict[str, Change] = {
    "no entry": lambda c: c["runs"].append({}),
    "versions": lambda c: c["runs"][0].update(versions=[1]),
    "resources": lambda c: c["runs"][0].update(resources="x"),
    "started": lambda c: c["runs"][0].update(started=5),
    "command": lambda c: c["runs"][0].update(command=None),
}


@pytest.mark.parametrize("what", WRONG_RUNS)
def test_an_odd_entry_of_the_environment_leaves_a_page(study: Path, what: str) -> None:
    change_json(study / ENVIRONMENT, WRONG_RUNS[what])
    assert told(study) == []


def test_odd_times_in_a_trials_epochs_leave_the_timeline(study: Path) -> None:
    odd = '{"epoch": "a"}\n[]\n{"epoch": 1, "timestamp": "x"}\n{"epoch": 2, "timestamp": NaN}\n'
    (study / "trials" / "2" / "result.json").write_text(odd + '{"epoch": 3, "timestamp": 5, "epoch_seconds": null}\n')
    assert isinstance(drawn(read_study_data(StudyFolder(study)), "timeline"), Drawing)


def test_images_that_version_one_scaled_each_by_itself_are_named(study):
    """Since then the record says which value became white, also where no image has more than 8 bits."""
    record = json.loads((study / DATASET).read_text()) | {
        "notes": ["8 images of 16 bits, scaled to 8", "1 image in CMYK"]
    }
    (study / DATASET).write_text(json.dumps(record | {"white": None}))
    assert told(study) == [
        "8 images of 16 bits, scaled to 8: version 0.1 scaled each by its own largest pixel, so dark and bright images "
        "may have changed places; `hw2tune study quickstart --fresh` trains on one scale for all."
    ]
    (study / DATASET).write_text(json.dumps(record | {"white": {"integers": 65_535.0}}))
    assert told(study) == []


def test_a_study_of_mixed_images_is_told_so(study: Path) -> None:
    content = json.loads((study / ENVIRONMENT).read_text())
    later = content["runs"][0] | {"data": {"name": "fake", "checksum": "sha256:22", "split_checksum": "sha256:11"}}
    (study / ENVIRONMENT).write_text(json.dumps(content | {"runs": [*content["runs"], later]}))
    assert told(study) == [
        "The images changed between two runs of this study (checksums 00 and 22), which version 0.1 did not notice: "
        "its results mix both; `hw2tune study quickstart --fresh` starts over."
    ]
