from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import pytest
from PIL import Image

from hw2tune.report.figures import DrawnFigure, MissingFigure, make_figures, recipes
from hw2tune.report.study_data import StudyData

NAMES = [
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
    "weight-decay",
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
        assert len(figure.caption) > 80 and figure.caption.endswith("."), figure.caption
        assert figure.alt.endswith(".") and figure.title


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
        "curves", "weights", "examples", "features", "classes", "data", "search",
    }  # fmt: skip
    assert list(tmp_path.iterdir()) == []
