"""The report of a reproduction, from invented epochs: nothing is trained."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from hw2tune.records.arrays import npz
from hw2tune.records.atomic import write_atomically
from hw2tune.records.evaluation import Evaluation
from hw2tune.records.layout import StudyFolder
from hw2tune.records.replicates import Replicate, ReplicatesFolder, write_replicate
from hw2tune.report.claims import CAVEAT
from hw2tune.report.figures.curves import PUBLISHED_LOSS
from hw2tune.report.reproduction.write import COLUMNS, ReproductionReport, cells, write_reproduction
from hw2tune.study.published import published_epochs
from tests.report.html import Element, parse

ENVIRONMENT = {
    "started": "2026-11-23T08:31:23+00:00",
    "command": "hw2tune reproduce mnist --replicates 3",
    "python": "3.11.7",
    "processor": "an invented processor",
}
DATA = {"mnist": "MNIST", "cifar10": "CIFAR-10 (JPEG q75)"}
HELD_OUT_ACCURACY = 0.67  # far from what was published as test


def invented(dataset: str, run: str, seed: int) -> Replicate:
    """A repetition that lies 0.001 x seed above the published numbers."""
    shift = 0.001 * seed
    held_out = dataset == "cifar10"
    epochs: list[dict[str, Any]] = [
        {
            "epoch": epoch.epoch,
            "train_loss": epoch.train_loss + shift,
            "train_accuracy": epoch.train_accuracy + shift,
            "validation_accuracy": epoch.validation_accuracy and epoch.validation_accuracy + shift,
            "published_test_loss": epoch.test_loss + shift,
            "published_test_accuracy": epoch.test_accuracy + shift,
            "held_out_loss": 1.1 if held_out else epoch.test_loss + shift,
            "held_out_accuracy": HELD_OUT_ACCURACY if held_out else epoch.test_accuracy + shift,
        }
        for epoch in published_epochs(dataset, run)
    ]
    last = Evaluation(
        split="test", epoch=epochs[-1]["epoch"], loss=1.0, accuracy=0.5, correct=1, total=2, overlaps_training=held_out
    )
    return Replicate(
        study=dataset, variant=run, seed=seed, params={"optimizer": "adam", "learning_rate": 0.001}, model="cnn",
        loss=PUBLISHED_LOSS[dataset], state="complete", reason="", epochs=epochs, chosen=None, last=last, seconds=1.0,
        key=f"{run}-{seed}",
    )  # fmt: skip


def written(results: Path, dataset: str, *, seeds: dict[str, int]) -> ReproductionReport:
    """The report of a folder with so many seeds a run."""
    folder = StudyFolder(results / f"reproduce-{dataset}")
    for run, count in seeds.items():
        for seed in range(count):
            write_replicate(ReplicatesFolder.of(folder), invented(dataset, run, seed), npz({}))
    data = {"name": DATA[dataset], "checksum": "sha256:1234", "split_checksum": "sha256:5678"}
    write_atomically(folder.environment, json.dumps({"schema": 1, "runs": [ENVIRONMENT | {"data": data}]}))
    return write_reproduction(folder)


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ReproductionReport]:
    results = tmp_path_factory.mktemp("results")
    return {
        "mnist": written(results, "mnist", seeds={"baseline": 3, "l2": 3}),
        "cifar10": written(results, "cifar10", seeds={"baseline": 1, "l2": 1}),
    }


def page(report: ReproductionReport) -> Element:
    return parse(report.page.read_text(encoding="utf-8"))


def captions(report: ReproductionReport) -> list[str]:
    return [caption.text.replace("\N{NO-BREAK SPACE}", " ") for caption in page(report).all("figcaption")]


@pytest.mark.parametrize("dataset", ["mnist", "cifar10"])
def test_the_page_has_both_figures_with_alt_text_and_captions(
    reports: dict[str, ReproductionReport], dataset: str
) -> None:
    report = reports[dataset]
    names = [path.name for path in report.figures]
    assert names == [f"reproduction-{what}.{form}" for what in ("loss", "accuracy") for form in ("png", "pdf")]
    assert all(path.stat().st_size > 5000 for path in report.figures)
    images = page(report).all("img")
    assert len(images) == 2
    assert all(image.attributes["src"].startswith("data:image/png;base64,") for image in images)
    assert all(image.attributes["alt"].startswith("Line chart of training and ") for image in images)
    for caption in captions(report):
        assert DATA[dataset] in caption and "n = " in caption and "on the training images" in caption


def test_captions_say_n_what_the_band_means_and_the_convention_of_the_loss(
    reports: dict[str, ReproductionReport],
) -> None:
    loss, accuracy = captions(reports["mnist"])
    assert "cross-entropy of softmax outputs (as published; minimum 1.4612)" in loss
    assert "crosses are the published loss on the 10,000 test images" in loss  # no validation loss was published
    assert "crosses" in accuracy and "test images" not in accuracy
    assert "n = 3 per variant (seeds 0, 1 and 2)" in loss
    assert "bands span the smallest to the largest value over the seeds" in loss
    assert "cross-entropy on logits" in captions(reports["cifar10"])[0]


def test_one_seed_has_no_band_and_the_caption_says_so(reports: dict[str, ReproductionReport]) -> None:
    for caption in captions(reports["cifar10"]):
        assert "One seed: there is no band." in caption
        assert "bands span" not in caption


def test_what_cifar10_published_as_test_is_marked_and_mnist_is_not(reports: dict[str, ReproductionReport]) -> None:
    caveats = [span.text for span in page(reports["cifar10"]).all("span") if span.attributes.get("class") == "caveat"]
    # at the verdicts, at each figure, at the table
    assert caveats == [CAVEAT, f"“test”: {CAVEAT}", f"“test”: {CAVEAT}", CAVEAT]
    tested = [row for row in page(reports["cifar10"]).all("tr") if "test " in row.text]
    assert len(tested) == 2 * 2 * (1 + 29) and all("(train images)" in row.text for row in tested)
    assert CAVEAT not in reports["mnist"].page.read_text(encoding="utf-8")


def test_the_page_opens_with_the_verdicts_and_the_tolerance(reports: dict[str, ReproductionReport]) -> None:
    report = reports["mnist"]
    opening = page(report).all("header")[0].text.replace("\N{NO-BREAK SPACE}", " ")
    places = [opening.index(run.sentence) for run in report.runs.values()]
    assert places == sorted(places)
    assert opening.index(report.runs["l2"].tolerance_note) > places[-1]
    assert opening.count("A published number counts as reproduced") == 1  # both runs rest on the same


def test_the_page_holds_every_row_and_what_it_takes_to_repeat_them(reports: dict[str, ReproductionReport]) -> None:
    report = reports["mnist"]
    (table,) = page(report).all("table")
    assert len(table.all("tr")) == 1 + 2 * (5 + 25)  # of each run the means, then every printed number
    assert [cell.text.lower() for cell in table.all("tr")[0].all("th")] == ["run", *COLUMNS]
    text = page(report).all("main")[0].text
    assert "an invented processor" in text and "sha256:1234" in text and ENVIRONMENT["command"] in text
    assert "0, 1, 2" in text


def test_a_number_that_is_not_reproduced_has_its_note(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path / "reproduce-mnist")
    for seed in range(3):  # seeds of the baseline as if they repeated L2, whose first epochs lack a digit
        write_replicate(
            ReplicatesFolder.of(folder), replace(invented("mnist", "baseline", seed), variant="l2"), npz({})
        )
    report = write_reproduction(folder)
    rows = [[cell.text for cell in (*row.all("th"), *row.all("td"))] for row in page(report).all("tr")]
    shown = [row for row in rows if "outside by" in row[-1]]
    noted = report.runs["l2"].rows.query("note != ''")
    assert len(shown) == len(noted) > 5
    assert shown[0][:2] == ["l2", "1"] and shown[0][-1].endswith("did not predict one of the ten digits yet)")
    assert [row[-1] for row in shown] == [f"not reproduced ({note})" for note in noted["note"]]


def test_the_csv_equals_the_tables(reports: dict[str, ReproductionReport]) -> None:
    for report in reports.values():
        read = pd.read_csv(report.table, dtype={"note": str})
        for label, run in report.runs.items():
            rows = read[read["run"] == label].drop(columns="run").reset_index(drop=True)
            assert list(rows.columns) == list(run.rows.columns)
            for column in ("published", "mean", "min", "max", "held_out", "tolerance"):
                assert rows[column].to_numpy() == pytest.approx(run.rows[column].to_numpy(), nan_ok=True)
            for column in ("epoch", "quantity", "n", "verdict"):
                assert rows[column].tolist() == run.rows[column].tolist()
            assert rows["note"].fillna("").tolist() == run.rows["note"].tolist()


def test_the_page_shows_the_totals_that_the_verdicts_rest_on(reports: dict[str, ReproductionReport]) -> None:
    for report in reports.values():
        lines = page(report).all("tr")
        expected = [[label, *cells(row)[1:]] for label, run in report.runs.items() for _, row in run.totals.iterrows()]
        read_off = [[cell.text.replace(" (train images)", "") for cell in (*r.all("th"), *r.all("td"))] for r in lines]
        shown = [[line[0], *line[2:]] for line in read_off if line[1] == "mean"]
        assert [[text.replace("\N{NO-BREAK SPACE}", " ") for text in line] for line in shown] == expected
        markdown = report.markdown.read_text(encoding="utf-8")
        assert all(f"| {' | '.join(line)} |" in markdown for line in expected)
        read = pd.read_csv(report.totals)
        for label, run in report.runs.items():
            rows = read[read["run"] == label]
            assert rows["verdict"].tolist() == run.totals["verdict"].tolist()
            assert rows["mean"].to_numpy() == pytest.approx(run.totals["mean"].to_numpy())


def test_the_title_claims_no_published_run_on_other_pixels(reports: dict[str, ReproductionReport]) -> None:
    titles = {name: page(report).all("h1")[0].text for name, report in reports.items()}
    assert titles == {
        "mnist": "The published MNIST runs, repeated",
        "cifar10": "The published CIFAR-10 runs, repeated on CIFAR-10 (JPEG q75)",
    }
    openings = {name: page(report).all("header")[0].text for name, report in reports.items()}
    assert "the pixels differ" in openings["cifar10"] and "pixels" not in openings["mnist"]
    assert reports["cifar10"].markdown.read_text(encoding="utf-8").startswith(f"# {titles['cifar10']}\n\nThe published")


def test_the_replicates_say_whether_the_published_test_holds_training_images(tmp_path: Path) -> None:
    replicates = ReplicatesFolder.of(StudyFolder(tmp_path / "reproduce-cifar10"))
    replicate = invented("cifar10", "baseline", 0)
    assert replicate.last is not None
    apart = replace(replicate, last=replace(replicate.last, overlaps_training=False))
    write_replicate(replicates, apart, npz({}))
    report = write_reproduction(StudyFolder(tmp_path / "reproduce-cifar10"))
    assert {run.caveat for run in report.runs.values()} == {""}
    assert "The published CIFAR-10 runs, repeated" in page(report).all("h1")[0].text  # no label is known


def test_the_same_folder_gives_the_same_bytes(reports: dict[str, ReproductionReport]) -> None:
    report = reports["mnist"]
    paths = [report.page, report.table, report.totals, report.markdown, *report.figures]
    before = [path.read_bytes() for path in paths]
    write_reproduction(StudyFolder(report.page.parent.parent))
    assert [path.read_bytes() for path in paths] == before


def test_a_run_without_seeds_is_told(tmp_path: Path) -> None:
    report = written(tmp_path, "mnist", seeds={"baseline": 1})
    assert all("n = 1 per variant (seed 0)" in caption for caption in captions(report))
    assert "mnist l2: no repetition reached the last printed epoch." in page(report).text
    assert "L2: Nothing was repeated, so there is nothing to judge." in page(report).text
    assert "none yet" in page(report).text


def test_a_folder_without_seeds_has_a_page_that_says_so_and_keeps_no_earlier_figure(tmp_path: Path) -> None:
    stale = tmp_path / "reproduce-cifar10/report/figures/reproduction-loss.png"
    write_atomically(stale, b"of an earlier report")
    report = written(tmp_path, "cifar10", seeds={})
    assert report.figures == [] and not stale.exists()
    text = page(report).text
    assert "No replicate was trained yet: curves are drawn from replicates." in text
    assert "Nothing was repeated, so there is nothing to judge." in text


def test_what_no_training_of_cifar10_saw_is_drawn_below_in_place_of_validation(
    reports: dict[str, ReproductionReport],
) -> None:
    for caption in captions(reports["cifar10"]):
        assert "below on the test images that no training saw" in caption
    alts = [image.attributes["alt"] for image in page(reports["cifar10"]).all("img")]
    assert alts[1].endswith("On held-out test they end at baseline 67.00 % and l2 67.00 %.")
    assert all("below on the validation images" in caption for caption in captions(reports["mnist"]))
