"""Class names in scripts that matplotlib's font lacks: drawn with an installed font, or the caption says so."""

import json
import warnings

import matplotlib as mpl
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager

from hw2tune.records.layout import StudyFolder
from hw2tune.report.figures import DrawnFigure, make_figures, recipes
from hw2tune.report.figures.recipes import fonts_for
from hw2tune.report.figures.style import new_figure, style
from hw2tune.report.study_data import read_study_data
from tests.report.fake_study import write_fake_study

CAT, DOG = "\N{CJK UNIFIED IDEOGRAPH-732B}", "\N{CJK UNIFIED IDEOGRAPH-72AC}"


@pytest.fixture
def cats(tmp_path, monkeypatch):
    """An installed font that has one character, a cat."""
    pen = TTGlyphPen(None)
    pen.moveTo((0, 0)), pen.lineTo((500, 0)), pen.lineTo((500, 500)), pen.closePath()
    builder = FontBuilder(1000)
    builder.setupGlyphOrder([".notdef", "cat"])
    builder.setupCharacterMap({ord(CAT): "cat"})
    builder.setupGlyf({".notdef": pen.glyph(), "cat": pen.glyph()})
    builder.setupHorizontalMetrics({".notdef": (600, 0), "cat": (600, 0)})
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Cats", "styleName": "Regular"})
    builder.setupOS2(), builder.setupPost()
    builder.save(tmp_path / "cats.ttf")
    monkeypatch.setattr(font_manager.fontManager, "ttflist", [*font_manager.fontManager.ttflist])
    font_manager.fontManager.addfont(tmp_path / "cats.ttf")


def test_latin_names_have_the_font_that_comes_with_matplotlib():
    assert fonts_for("caf\u00e9 10\u207b\u00b3 \u03b1\u0436\n") == (["DejaVu Sans"], set())


def test_an_installed_font_has_the_characters_that_it_lacks(cats, tmp_path):
    assert fonts_for(f"a {CAT}{DOG}") == (["DejaVu Sans", "Cats"], {DOG})
    with style(), mpl.rc_context({"font.family": ["DejaVu Sans", "Cats"]}), warnings.catch_warnings():
        warnings.simplefilter("error")  # a glyph that is missing warns
        figure = new_figure(1)
        figure.text(0.5, 0.5, f"a {CAT}")
        figure.savefig(tmp_path / "x.png")


def test_captions_of_figures_with_boxes_say_which_characters_they_stand_for(tmp_path, monkeypatch):
    folder = write_fake_study(tmp_path, trials=3, seeds=2, test_size=60).root
    (record,) = folder.glob("**/dataset.json")
    content = json.loads(record.read_text())
    record.write_text(json.dumps(content | {"classes": [f"{CAT}{DOG}", *content["classes"][1:]]}))
    data = read_study_data(StudyFolder(folder))
    some = [one for one in recipes.recipes(data) if one.name in ("confusion", "class-accuracies", "learning-curves")]
    monkeypatch.setattr(recipes, "recipes", lambda _: some)
    drawn = {one.name: one for one in make_figures(data, tmp_path / "figures")}
    said = f" Boxes stand for {DOG} {CAT}: no installed font has them."
    boxed = {name for name, one in drawn.items() if isinstance(one, DrawnFigure) and one.caption.endswith(said)}
    assert boxed == {"confusion", "class-accuracies"} and "learning-curves" in drawn
