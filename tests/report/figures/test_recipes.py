from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import pytest
from PIL import Image

from hw2tune.report.figures import DrawnFigure, MissingFigure, make_figures, recipes
from hw2tune.report.figures.classes import draw_accuracies
from hw2tune.report.figures.history import draw_history
from hw2tune.report.figures.panels import draw_panels
from hw2tune.report.figures.style import looks_of
from hw2tune.report.study_data import StudyData
from hw2tune.study.schema import Study

NAMES = [
    "claims",
    "learning-curves",
    "accuracy-curves",
    "weights-l2",
    "weights-tuned",
    "examples-baseline",
    "examples-l2",
    "examples-tuned",
    "changed-by-l2",
    "changed-by-tuning",
    "features-conv1",
    "features-conv2",
    "confusion",
    "confusion-difference",
    "class-accuracies",
    "preprocessing",
    "search-history",
    "parallel-coordinates",
    "importances",
    "hyperparameters",
    "tuning-curve",
    "timeline",
]
DRAWN_TWICE = ("learning-curves", "features-conv1", "importances", "parallel-coordinates", "timeline")


@pytest.fixture(scope="module")
def drawn(mnist: StudyData, tmp_path_factory: pytest.TempPathFactory) -> list[DrawnFigure | MissingFigure]:
    return make_figures(mnist, tmp_path_factory.mktemp("figures"))


def test_a_complete_study_gives_every_figure_with_files_words_and_size(
    drawn: list[DrawnFigure | MissingFigure],
) -> None:
    assert [figure.name for figure in drawn] == NAMES
    for figure in drawn:
        assert isinstance(figure, DrawnFigure), figure
        assert figure.pdf.read_bytes().startswith(b"%PDF")
        with Image.open(figure.png) as image:
            assert image.size == (figure.width, figure.height)
            assert image.getpixel((0, 0)) == (255, 255, 255, 255)
        for text in (figure.title, figure.caption, figure.alt):
            assert text and not set("{}") & set(text), text  # an f-string without its f
        assert figure.caption.endswith(".") and figure.alt.endswith(".")


def test_captions_speak_of_what_the_study_has(mnist: StudyData, styled: None) -> None:
    study = mnist.overview.study
    plain = study.model_copy(update={"references": {}, "claims": []})
    rows = [
        replace(row, label="", params={k: v for k, v in row.params.items() if k != "optimizer"})
        for row in mnist.overview.rows
    ]
    bare = replace(mnist, overview=replace(mnist.overview, study=plain, rows=rows))
    sgd = replace(
        bare, overview=replace(bare.overview, study=plain.model_copy(update={"training": {"optimizer": "sgd"}}))
    )
    rings = "Rings mark the references."
    assert rings in draw_history(mnist).caption and rings not in draw_history(bare).caption
    caption = draw_panels(mnist).caption
    assert "Weight decay is in adam and sgd coupled (L2 in the gradient), in adamw decoupled: equal numbers" in caption
    assert "(n = 50 per class)" in draw_accuracies(mnist).caption  # of one seed: 500 images in 10 classes
    assert "Weight decay is in sgd coupled (L2 in the gradient). The other" in draw_panels(sgd).caption
    assert not {"adam", "coupled"} & set(draw_panels(bare).caption.split())


def test_claims_with_a_side_in_common_have_a_figure_each_and_every_variant_a_look(mnist: StudyData) -> None:
    claims = [{"a": {"name": "twin", "of": "baseline"}, "b": against} for against in ("l2", "tuned")]
    study = Study.model_validate({**mnist.overview.study.model_dump(), "claims": claims})
    data = replace(mnist, overview=replace(mnist.overview, study=study))
    names = [recipe.name for recipe in recipes.recipes(data)]
    assert len(set(names)) == len(names) and {"weights-twin", "weights-twin.2"} < set(names)
    assert set(looks_of(study)) >= set(study.variants)


def test_the_same_sources_give_the_same_bytes_whatever_the_users_own_style(
    mnist: StudyData,
    drawn: list[DrawnFigure | MissingFigure],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chosen = [recipe for recipe in recipes.recipes(mnist) if recipe.name in DRAWN_TWICE]
    monkeypatch.setattr(recipes, "recipes", lambda _: chosen)
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "pink"}):
        again = make_figures(mnist, tmp_path)
        assert mpl.rcParams["font.size"] == 30  # and it is left as it was
    first = {figure.name: figure for figure in drawn if isinstance(figure, DrawnFigure)}
    assert len(again) == len(DRAWN_TWICE)
    for figure in again:
        assert isinstance(figure, DrawnFigure)
        assert figure.png.read_bytes() == first[figure.name].png.read_bytes(), figure.name
        assert figure.pdf.read_bytes() == first[figure.name].pdf.read_bytes(), figure.name


def test_a_study_without_trials_and_replicates_gives_reasons_and_no_files(mnist: StudyData, tmp_path: Path) -> None:
    empty = replace(
        mnist,
        overview=replace(mnist.overview, rows=[]),
        replicates=[],
        dataset=None,
        gallery=None,
        pixel_counts=None,
        race=None,
    )
    figures = make_figures(empty, tmp_path)
    assert [figure.name for figure in figures if not isinstance(figure, MissingFigure)] == []
    assert all(figure.reason.endswith(".") for figure in figures if isinstance(figure, MissingFigure))
    assert {figure.section for figure in figures} == {
        "claims", "curves", "weights", "examples", "features", "classes", "data", "search",
    }  # fmt: skip
    assert list(tmp_path.iterdir()) == []
