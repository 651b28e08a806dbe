"""Figures asked for in Python follow the caller's matplotlib style; those of a report do not."""

import io

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import style
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from PIL import Image

from hw2tune.api import read_study
from tests.report.fake_study import write_fake_study

DARK = "dark_background"


@pytest.fixture(scope="module")
def figures(tmp_path_factory):
    results = tmp_path_factory.mktemp("results")
    write_fake_study(results, trials=10)
    return read_study("quickstart", results_dir=results).figures


def contrast(one: object, other: object) -> float:
    """Of two colours, from 1 to 21 (https://www.w3.org/TR/WCAG21/#dfn-contrast-ratio)."""

    def luminance(colour: object) -> float:
        c = np.array(mpl.colors.to_rgb(colour))
        return float(np.where(c <= 0.03928, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722])

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def pixels(figure: Figure) -> np.ndarray:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=50)
    return np.asarray(Image.open(buffer).convert("RGB"))


def visible(figure: Figure, kind: type) -> list:
    return [one for one in figure.findobj(kind) if one.get_visible()]


def test_on_a_dark_background_text_and_lines_can_be_seen(figures):
    with style.context(DARK):
        for name in ("accuracy-curves", "learning-curves", "search-history", "parallel-coordinates", "hyperparameters"):
            figure = figures[name]
            assert mpl.colors.to_hex(figure.get_facecolor()) == "#000000"
            words = [one for one in visible(figure, Text) if one.get_text()]
            assert len(words) > 5 and min(contrast(one.get_color(), "black") for one in words) >= 3, name
            lines = [one for one in visible(figure, Line2D) if one.get_linestyle() != "None" and len(one.get_xdata())]
            assert min(contrast(one.get_color(), "black") for one in lines) >= 3, name
            assert tuple(pixels(figure)[0, 0]) == (0, 0, 0)


def test_without_a_style_of_ones_own_they_look_as_in_the_report(figures):
    figure = figures["accuracy-curves"]
    assert mpl.colors.to_hex(figure.get_facecolor()) == "#ffffff"
    assert {"#000000"} <= {mpl.colors.to_hex(one.get_color()) for one in visible(figure, Line2D)}
    assert figure.get_size_inches()[0] == 6


def test_width_and_resolution_are_the_callers(figures):
    report = figures["accuracy-curves"].get_size_inches()
    with mpl.rc_context({"figure.figsize": (9, 4), "figure.dpi": 60}):
        figure = figures["accuracy-curves"]
    assert figure.get_size_inches() == pytest.approx(1.5 * report) and figure.dpi == 60
    assert Image.open(io.BytesIO(figure._repr_png_())).width == pytest.approx(540, abs=40)


def test_the_callers_settings_are_as_before(figures):
    with style.context(DARK):
        before = dict(mpl.rcParams)
        _ = figures["search-history"]
        assert dict(mpl.rcParams) == before
