from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pandas as pd
import pytest

from hw2tune.errors import StudyFolderError
from hw2tune.records.arrays import npz
from hw2tune.records.dataset import read_dataset
from hw2tune.records.layout import StudyFolder
from hw2tune.records.replicates import (
    ReplicatesFolder,
    read_arrays,
    read_race,
    read_replicates,
    write_current,
    write_json,
    write_replicate,
)
from hw2tune.report.figures import DrawnFigure
from hw2tune.report.results import compute
from hw2tune.report.study_data import read_study_data
from hw2tune.report.write import ReportFiles, escape, page_html, summary_markdown, write_report
from tests.report.fake_study import write_fake_study
from tests.report.html import Element, parse

HOSTILE = "<script>alert(1)</script>"
CAVEAT = "evaluated on the training images"


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> ReportFiles:
    """The report of a study without replicates."""
    return write_report([write_fake_study(tmp_path_factory.mktemp("searched"), seeds=0)])


def page_without_figures(folder: StudyFolder) -> Element:
    return parse(page_html([compute(read_study_data(folder))]))


def texts(page: Element, tag: str) -> list[str]:
    plain = str.maketrans({"\N{NO-BREAK SPACE}": " ", "\N{NON-BREAKING HYPHEN}": "-"})
    return [" ".join(element.text.translate(plain).split()) for element in page.all(tag)]


def change_replicates(folder: StudyFolder, variant: str, **changes: object) -> None:
    replicates = ReplicatesFolder.of(folder)
    for replicate in read_replicates(replicates):
        if replicate.variant == variant:
            arrays = read_arrays(replicates, variant, replicate.seed)
            assert arrays is not None
            write_replicate(replicates, replace(replicate, **changes), npz(arrays))  # type: ignore[arg-type]


# What is written


def test_a_report_is_a_page_two_summaries_tables_and_figures(report: ReportFiles) -> None:
    folder = report.page.parent
    assert (folder.name, folder.parent.name, report.page.name) == ("report", "quickstart", "index.html")
    written = {path for path in folder.rglob("*") if path.is_file()}
    assert written == {report.page, report.markdown, report.json, *report.tables, *report.figures}
    assert {path.suffix for path in report.figures} == {".png", ".pdf"}
    assert [path.stem for path in report.tables] == [
        "variants",
        "pairs",
        "differences",
        "replicates",
        "epochs",
        "race",
        "variance",
        "trials",
    ]


def test_the_page_opens_with_the_study_and_its_claims_and_then_the_variants(report: ReportFiles) -> None:
    page = parse(report.page.read_text(encoding="utf-8"))
    assert texts(page, "h1") == ["quickstart"]
    question, answer, *claims = texts(page, "p")[:5]
    assert question.startswith("Which is better for mnist_cnn on invented: l2 or baseline; tuned or baseline; ")
    assert "tuned against baseline" in answer
    assert all("test accuracy" in claim and "n = 3" in claim for claim in claims)
    assert texts(page.all("main")[0], "h2")[0] == "Variants"
    rows = texts(page.all("table")[0], "th")
    assert rows[-4:] == ["baseline", "l2", "tuned", "tuned-no-l2"]


def test_the_sections_stand_in_reading_order(report: ReportFiles) -> None:
    page = parse(report.page.read_text(encoding="utf-8"))
    assert texts(page.all("main")[0], "h2") == [
        "Variants", "Learning curves", "Weights and biases", "Right and wrong", "Feature maps", "Classes",
        "Preprocessing", "Search", "Study doctor", "Replicates", "Limits", "How to repeat it", "Checklists",
    ]  # fmt: skip
    anchors = [section.attributes["id"] for section in page.all("section")]
    assert [link.attributes["href"] for link in page.all("nav")[0].all("a")] == [f"#{anchor}" for anchor in anchors]


def test_every_figure_is_embedded_with_size_alt_text_and_caption(report: ReportFiles) -> None:
    page = parse(report.page.read_text(encoding="utf-8"))
    figures = page.all("figure")
    assert len(figures) == len(report.figures) / 2 > 10
    for figure in figures:
        (image,) = figure.all("img")
        assert image.attributes["src"].startswith("data:image/png;base64,")
        assert int(image.attributes["width"]) > 0 and int(image.attributes["height"]) > 0
        assert len(image.attributes["alt"]) > 20
        assert len(figure.all("figcaption")[0].text) > 40


def test_files_beside_the_page_are_linked_by_paths_that_exist(report: ReportFiles) -> None:
    page = parse(report.page.read_text(encoding="utf-8"))
    links = [link.attributes["href"] for link in page.all("a") if not link.attributes["href"].startswith("#")]
    assert len(links) > 15
    assert all((report.page.parent / link).is_file() for link in links)


def test_the_page_says_how_to_repeat_the_study(report: ReportFiles) -> None:
    page = parse(report.page.read_text(encoding="utf-8"))
    assert texts(page, "pre") == ["hw2tune study quickstart"]
    facts = dict(zip(texts(page, "dt"), texts(page, "dd"), strict=True))
    assert facts["checksum"] == "sha256:00" and facts["checksum of the split"] == "sha256:11"
    assert facts["seeds of the replicates"] == "0, 1, 2" and facts["seed of the search"] == "0"
    assert "torch 2.15.0" in facts["packages"] and facts["commit"] == "abc"


def test_the_page_shows_who_was_overtaken_in_the_race(report: ReportFiles) -> None:
    tables = parse(report.page.read_text(encoding="utf-8")).all("table")
    race = next(table for table in tables if "Outcome" in table.text)
    assert [row.all("td")[5].text for row in race.all("tr")[1:]] == ["overtaken", "winner"]


def test_the_page_shows_why_a_trial_failed(report: ReportFiles) -> None:
    assert "diverged in epoch 2: loss nan (training), nan (validation)" in report.page.read_text(encoding="utf-8")


WITHOUT_TORCH_AND_RAY = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision", "ray"):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
from pathlib import Path
from hw2tune.records.layout import StudyFolder
from hw2tune.report.write import write_report
write_report([StudyFolder(Path(sys.argv[1]))])
"""


def test_redrawn_elsewhere_without_torch_and_ray_every_byte_is_the_same(searched: ReportFiles, tmp_path: Path) -> None:
    moved = tmp_path / "moved" / "quickstart"
    shutil.copytree(searched.page.parent.parent, moved, ignore=shutil.ignore_patterns("report"))
    subprocess.run([sys.executable, "-c", WITHOUT_TORCH_AND_RAY, str(moved)], check=True)
    first, second = searched.page.parent, moved / "report"
    names = sorted(path.relative_to(first) for path in first.rglob("*") if path.is_file())
    assert names == sorted(path.relative_to(second) for path in second.rglob("*") if path.is_file())
    assert [name for name in names if (first / name).read_bytes() != (second / name).read_bytes()] == []


def test_the_same_replicates_give_the_same_tables_and_words(report: ReportFiles, tmp_path: Path) -> None:
    moved = tmp_path / "quickstart"
    shutil.copytree(report.page.parent.parent, moved, ignore=shutil.ignore_patterns("report"))
    results = compute(read_study_data(StudyFolder(moved)))
    assert summary_markdown([results]) == report.markdown.read_text(encoding="utf-8")
    for path in report.tables:
        assert results.csv[path.stem] == path.read_text(encoding="utf-8")


def test_the_summary_for_programs_has_a_schema_and_holds_the_claims(report: ReportFiles) -> None:
    content = json.loads(report.json.read_text(encoding="utf-8"), parse_constant=lambda name: pytest.fail(name))
    assert content["schema"] == 2
    (study,) = content["studies"]
    assert study["name"] == "quickstart" and study["dataset"]["label"] == "invented"
    assert [claim["variant"] for claim in study["claims"]] == ["l2", "tuned", "tuned"]
    assert study["claims"][1]["n"] == 3
    variants = pd.read_csv(report.json.parent / study["tables"]["variants"])
    for row, (_, expected) in zip(study["variants"], variants.iterrows(), strict=True):
        assert row["variant"] == expected["variant"]
        assert row["test_accuracy"] == pytest.approx(expected["test_accuracy"], abs=1e-12)
    assert all((report.json.parent / figure["png"]).is_file() for figure in study["figures"] if "png" in figure)


def test_the_summary_for_a_pull_request_has_claims_and_tables(report: ReportFiles) -> None:
    lines = report.markdown.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "## quickstart"
    assert sum("test accuracy by" in line for line in lines) == 3
    assert any(line.startswith("| tuned-no-l2 |") for line in lines)
    for block in (lines[lines.index(start) :] for start in lines if start.startswith(("| Variant", "| Pair"))):
        widths = [line.count(" | ") for line in block[: block.index("")]]
        assert len(set(widths)) == 1, widths


def test_markdown_shows_text_as_it_is() -> None:
    assert escape("<b> a|b *c* [d](e)\nf") == r"&lt;b&gt; a\|b \*c\* \[d\](e) f"
    assert escape("`a_b` c_d") == r"`a_b` c\_d"


# Several studies


def test_several_studies_share_one_page_side_by_side(tmp_path: Path) -> None:
    folders = [write_fake_study(tmp_path, seeds=0), write_fake_study(tmp_path, "cifar10", seeds=0, max_epochs=3)]
    files = write_report(folders)
    assert files.page == tmp_path / "report-quickstart-cifar10" / "index.html"
    page = parse(files.page.read_text(encoding="utf-8"))
    assert texts(page, "h1") == ["quickstart and cifar10"]
    assert {path.parent.name for path in [*files.tables, *files.figures]} == {"quickstart", "cifar10"}
    assert all(path.is_file() for path in [*files.tables, *files.figures])
    labels = [p.text for p in page.all("p") if p.attributes.get("class") == "of-study"]
    assert labels[:4] == ["quickstart", "cifar10"] * 2
    study = json.loads(files.json.read_text(encoding="utf-8"))["studies"][1]
    assert (files.json.parent / study["tables"]["trials"]).is_file()


def test_two_studies_of_one_name_are_refused(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path / "quickstart")
    with pytest.raises(StudyFolderError, match="two studies of one name, but got quickstart, quickstart"):
        write_report([folder, folder])


def test_a_copied_study_beside_the_original_keeps_files_and_pictures_of_its_own(tmp_path: Path) -> None:
    folder = write_fake_study(tmp_path, seeds=0)
    copy = StudyFolder(tmp_path / "copy")
    shutil.copytree(folder.root, copy.root)  # its study.toml still says quickstart
    shutil.rmtree(copy.root / "trials")  # without the epochs' times there is no timeline
    files = write_report([folder, copy])
    paths = [*files.tables, *files.figures]
    assert len(set(paths)) == len(paths) and all(path.is_file() for path in paths)
    tables = {path.relative_to(files.page.parent / "tables").as_posix() for path in files.tables}
    assert {name for name in tables if name.endswith("trials.csv")} == {"quickstart/trials.csv", "copy/trials.csv"}
    figures = {path.relative_to(files.page.parent / "figures").as_posix() for path in files.figures}
    assert "quickstart/timeline.png" in figures and "copy/timeline.png" not in figures
    page = parse(files.page.read_text(encoding="utf-8"))
    assert texts(page, "h1") == ["quickstart and copy"]
    labels = [p.text for p in page.all("p") if p.attributes.get("class") == "of-study"]
    assert labels[:2] == ["quickstart", "copy"]
    links = {link.attributes["href"] for link in page.all("a")}
    assert {"figures/quickstart/search-history.pdf", "figures/copy/search-history.pdf"} <= links


# What is missing


def test_a_study_without_a_finished_trial_is_refused_with_the_way_out(tmp_path: Path) -> None:
    folder = write_fake_study(tmp_path, seeds=0)
    folder.journal.unlink()
    shutil.rmtree(folder.root / "trials")
    with pytest.raises(StudyFolderError) as raised:
        write_report([folder])
    assert str(raised.value) == (
        f"{folder.root}: no trial of `quickstart` has finished, so there is nothing to report; "
        "`hw2tune study quickstart` runs it"
    )
    assert not (folder.root / "report").exists()


def test_without_replicates_the_page_claims_nothing_and_says_what_trains_them(searched: ReportFiles) -> None:
    page = parse(searched.page.read_text(encoding="utf-8"))
    assert "Nothing to claim yet" in texts(page, "p")[1] and "hw2tune summarize quickstart" in texts(page, "p")[1]
    assert texts(page.all("main")[0], "h2") == ["Search", "Study doctor", "How to repeat it"]
    assert "is not shown: " in page.text
    assert "Nothing to claim yet" in searched.markdown.read_text(encoding="utf-8")


def test_what_an_earlier_report_drew_and_nothing_else_is_removed(searched: ReportFiles, tmp_path: Path) -> None:
    shutil.copytree(searched.page.parent.parent, tmp_path / "quickstart")
    folder = StudyFolder(tmp_path / "quickstart")
    figures = folder.root / "report" / "figures"
    assert (figures / "timeline.png").exists()
    (figures / "mine.png").write_bytes(b"")
    shutil.rmtree(folder.root / "trials")  # without the epochs' times there is no timeline
    write_report([folder])
    assert not (figures / "timeline.png").exists() and not (figures / "timeline.pdf").exists()
    assert (figures / "mine.png").exists() and (figures / "search-history.png").exists()


def test_a_summary_that_names_files_elsewhere_removes_none_of_them(tmp_path: Path) -> None:
    folder = write_fake_study(tmp_path, seeds=0)
    target = folder.root / "report"
    (target / "figures").mkdir(parents=True)
    precious, stale = folder.root / "study.toml", target / "figures" / "stale.png"
    stale.write_bytes(b"")
    (target / "mine.png").write_bytes(b"")
    figures = [{"png": "figures/../../study.toml", "pdf": str(tmp_path / "b.pdf")}, {"png": "figures/stale.png"}]
    study = {"tables": {"a": "../optuna.journal", "b": "mine.png", "c": "tables"}, "figures": figures}
    (target / "summary.json").write_text(json.dumps({"studies": [study]}), encoding="utf-8")
    (tmp_path / "b.pdf").write_bytes(b"")
    write_report([folder])
    assert precious.exists() and folder.journal.exists() and (tmp_path / "b.pdf").exists()
    assert (target / "mine.png").exists() and not stale.exists()


def test_one_replicate_is_called_a_single_run(tmp_path: Path) -> None:
    page = page_without_figures(write_fake_study(tmp_path, seeds=1))
    assert texts(page, "p")[1].startswith("Single run: l2 against baseline, tuned against baseline and ")
    baseline = texts(page.all("table")[0].all("tr")[1], "td")
    assert baseline[1:3] == ["\N{EN DASH}", "1"]  # no interval of one


def test_diverged_replicates_are_shown_and_left_out_of_the_numbers(tmp_path: Path) -> None:
    folder = write_fake_study(tmp_path)
    reason = "diverged in epoch 2: loss nan (training), nan (validation)"
    change_replicates(folder, "tuned", state="diverged", reason=reason, chosen=None, last=None)
    page = page_without_figures(folder)
    said = "Not in the numbers: 3 diverged of 3 seeds of tuned. The table of replicates gives each reason."
    assert said in texts(page, "p")
    assert "tuned diverged on every seed" in texts(page, "p")[3]
    tuned = next(row for row in page.all("table")[0].all("tr") if row.text.startswith("tuned"))
    assert texts(tuned, "td")[:3] == ["\N{EN DASH}", "\N{EN DASH}", "0 of 3"]
    assert page.text.count(reason) == 4  # three replicates and a trial


def test_what_was_evaluated_on_training_images_is_marked(tmp_path: Path) -> None:
    folder = write_fake_study(tmp_path)
    replicates = read_replicates(ReplicatesFolder.of(folder))
    assert CAVEAT not in page_without_figures(folder).text
    seen = replace(replicates[0].chosen, overlaps_training=True)  # type: ignore[type-var]
    change_replicates(folder, "baseline", chosen=seen, last=seen)
    page = page_without_figures(folder)
    caveats = [span for span in page.all("span") if span.attributes["class"] == "caveat"]
    assert {span.text for span in caveats} == {CAVEAT}
    assert page.all("header")[0].all("span")
    counts = [table.text.count(CAVEAT) for table in page.all("table")]
    # baseline among the variants, its pairs, race, trials, stopping, findings, its replicates
    assert counts[:7] == [1, 2, 0, 0, 0, 0, 3]
    assert not any(counts[7:])  # the checklists


def test_a_figure_drawn_from_such_an_evaluation_is_marked(tmp_path: Path) -> None:
    folder = write_fake_study(tmp_path)
    chosen = replace(read_replicates(ReplicatesFolder.of(folder))[0].chosen, overlaps_training=True)  # type: ignore[type-var]
    change_replicates(folder, "baseline", chosen=chosen)
    (png := tmp_path / "a.png").write_bytes(b"\x89PNG")
    words = {"title": "A", "caption": "b", "alt": "c", "png": png, "pdf": png, "width": 1, "height": 1}
    drawn = [DrawnFigure(name=name, section=name, **words) for name in ("curves", "examples")]  # type: ignore[arg-type]
    page = parse(page_html([compute(read_study_data(folder), drawn)]))
    assert [CAVEAT in caption.text for caption in page.all("figcaption")] == [False, True]


@pytest.mark.matrix
def test_every_trouble_at_once_gives_a_page_with_names_as_text(tmp_path: Path) -> None:
    """Hostile names, a diverged tuned variant, a class never predicted, a missing and a damaged file."""
    folder = write_fake_study(tmp_path, seeds=2, test_size=200)
    replicates = ReplicatesFolder.of(folder)
    dataset = read_dataset(folder)
    assert dataset is not None
    classes = [f"{HOSTILE} $\\frac$ {i}" for i in range(10)]
    write_json(folder.datasets[0], asdict(replace(dataset, label=HOSTILE, source=HOSTILE, classes=classes)))
    change_replicates(folder, "tuned", state="diverged", reason=HOSTILE, chosen=None, last=None)
    for replicate in read_replicates(replicates):
        arrays = read_arrays(replicates, replicate.variant, replicate.seed)
        assert arrays is not None
        arrays["predicted"][arrays["predicted"] == 3] = 4
        (replicates.replicate(replicate.variant, replicate.seed) / "arrays.npz").write_bytes(npz(arrays))
    (replicates.replicate("l2", 0) / "arrays.npz").unlink()
    replicates.pixels.write_bytes(b"damaged")
    files = write_report([folder])
    page = parse(files.page.read_text(encoding="utf-8"))
    assert len(page.all("script")) == 1  # the page's own
    assert page.text.count(HOSTILE) > 5
    assert "<script" not in files.markdown.read_text(encoding="utf-8")
    assert "What preprocessing does to the pixels is not shown: " in page.text
    assert len(page.all("figure")) > 5


def test_a_missing_race_and_environment_leave_a_page(tmp_path: Path) -> None:
    folder = write_fake_study(tmp_path)
    race = read_race(ReplicatesFolder.of(folder))
    assert race is not None
    write_current(ReplicatesFolder.of(folder), ["fake"])
    folder.environment.unlink()
    page = page_without_figures(folder)
    assert "There was no race" in page.text
    assert not page.all("pre")
    write_current(ReplicatesFolder.of(folder), ["fake"], replace(race, candidates=race.candidates[1:]))
    assert "ran alone" in page_without_figures(folder).text


def test_a_study_whose_every_trial_failed_gives_a_page(tmp_path: Path) -> None:
    folder = write_fake_study(tmp_path, seeds=0)
    lines = [json.loads(line) for line in folder.journal.read_text(encoding="utf-8").splitlines()]
    for line in lines:  # optuna.storages.journal: operation 6 sets a trial's state; state 3 is FAIL
        if line["op_code"] == 6 and line["state"] in (1, 2):
            line |= {"state": 3, "values": None}
    folder.journal.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    page = parse(write_report([folder]).page.read_text(encoding="utf-8"))
    assert "Nothing to claim: of 10 trials, none has a value." in texts(page, "p")[1]
