"""The page in headless Chromium, at phone and desktop width, in both schemes and on paper."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from hw2tune.records.layout import StudyFolder
from hw2tune.report.results import compute
from hw2tune.report.study_data import read_study_data
from hw2tune.report.write import ReportFiles, page_html
from tests.report.chromium import CHROMIUM, Browser, browser

pytestmark = [
    pytest.mark.matrix,
    pytest.mark.skipif(CHROMIUM is None, reason="Debian's chromium is not installed: apt-get install chromium"),
]

PHONE, DESKTOP = 400, 1280  # CSS pixels

FIGURES = """[...document.querySelectorAll('figure')].map(figure => {
  const image = figure.querySelector('img'), box = image.getBoundingClientRect();
  return {loaded: image.complete && image.naturalWidth > 0, width: box.width, height: box.height, alt: image.alt,
          caption: figure.querySelector('figcaption').innerText};
})"""

# The contrast of every piece of text with the nearest paper behind it, as the browser computes the colours.
CONTRASTS = """(() => {
  const channels = css => css.match(/[\\d.]+/g).map(Number);
  const linear = c => c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4;
  const luminance = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const paper = element => {
    for (let at = element; at; at = at.parentElement) {
      const colour = channels(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), low = [];
  let count = 0;
  while (texts.nextNode()) {
    const text = texts.currentNode.data.trim(), element = texts.currentNode.parentElement;
    if (!text) continue;
    count += 1;
    const pair = [channels(getComputedStyle(element).color), paper(element)];
    const [dark, light] = pair.map(luminance).sort((x, y) => x - y);
    if ((light + 0.05) / (dark + 0.05) < 4.5) low.push(text.slice(0, 40));
  }
  return {count, low};
})()"""
COMPLAINTS = ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(scope="module")
def pages(report: ReportFiles, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The page of one study, and one with two side by side (twice the same: only the layout is asked for)."""
    data = read_study_data(StudyFolder(report.page.parent.parent))
    several = tmp_path_factory.mktemp("several") / "index.html"
    several.write_text(page_html([compute(data), compute(data)]), encoding="utf-8")
    return {"one": report.page, "several": several}


def test_the_page_loads_without_errors_and_asks_the_network_for_nothing(chromium: Browser, report: ReportFiles) -> None:
    chromium.open(report.page, width=DESKTOP)
    requests = [
        event["params"]["request"]["url"] for event in chromium.events if event["method"] == "Network.requestWillBeSent"
    ]
    assert [url for url in requests if not url.startswith("data:")] == [report.page.resolve().as_uri()]
    assert [event for event in chromium.events if event["method"] in COMPLAINTS] == []


def test_a_request_would_be_seen_and_refused(chromium: Browser, report: ReportFiles, tmp_path: Path) -> None:
    page, image = tmp_path / "tampered.html", '<img src="http://127.0.0.1:9/a.png" alt="">'
    page.write_text(report.page.read_text(encoding="utf-8").replace("<main>", f"<main>{image}"), encoding="utf-8")
    chromium.open(page, width=DESKTOP)
    assert any("Content Security Policy" in json.dumps(event) for event in chromium.events)


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
@pytest.mark.parametrize("dark", [False, True])
def test_every_figure_has_a_size_alt_text_and_caption(
    chromium: Browser, report: ReportFiles, width: int, dark: bool
) -> None:
    chromium.open(report.page, width=width, dark=dark)
    figures = chromium.ask(FIGURES)
    assert len(figures) == len(report.figures) / 2
    for figure in figures:
        assert figure["loaded"] and figure["width"] > 300 and figure["height"] > 50, figure
        assert len(figure["alt"]) > 20, figure
        assert re.match(r"Figure \d+\. .{40}", figure["caption"]), figure


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
@pytest.mark.parametrize("which", ["one", "several"])
def test_nothing_makes_the_page_scroll_sideways(
    chromium: Browser, pages: dict[str, Path], which: str, width: int
) -> None:
    chromium.open(pages[which], width=width)
    assert chromium.ask("document.documentElement.scrollWidth") <= width
    assert chromium.ask("Math.max(...[...document.querySelectorAll('table')].map(t => t.scrollWidth))") > PHONE
    texts = "[...document.querySelectorAll('figure, p, dl, h1')]"
    assert chromium.ask(f"{texts}.every(text => text.scrollWidth <= text.clientWidth + 1)")


def test_the_claims_and_what_they_rest_on_are_on_the_first_screen_and_the_first_sheet(
    chromium: Browser, report: ReportFiles
) -> None:
    chromium.open(report.page, width=DESKTOP, height=800)
    bottoms = "[...document.querySelectorAll('header .row')].map(row => row.getBoundingClientRect().bottom)"
    rows = chromium.ask(bottoms)
    assert len(rows) == 4 and max(rows) <= 800  # answer, figure, basis, sentences
    between_margins = [round((length - 2 * margin) / 25.4 * 96) for length, margin in ((210, 16), (297, 18))]
    chromium.open(report.page, width=between_margins[0])
    chromium.say("Emulation.setEmulatedMedia", media="print")
    assert max(chromium.ask(bottoms)) <= between_margins[1]
    assert chromium.ask("document.documentElement.scrollWidth") <= between_margins[0]  # else the whole prints smaller
    chromium.say("Emulation.setEmulatedMedia", media="")


def test_studies_stand_side_by_side_where_there_is_room(chromium: Browser, pages: dict[str, Path]) -> None:
    tops = "[...document.querySelectorAll('header .row')[0].children].map(e => e.getBoundingClientRect().top)"
    chromium.open(pages["several"], width=DESKTOP)
    left, right = chromium.ask(tops)
    assert left == right
    chromium.open(pages["several"], width=PHONE)
    above, below = chromium.ask(tops)
    assert above < below


@pytest.mark.parametrize("dark", [False, True])
def test_every_text_has_the_contrast_of_wcag_aa(chromium: Browser, report: ReportFiles, dark: bool) -> None:
    chromium.open(report.page, width=DESKTOP, dark=dark)
    found = chromium.ask(CONTRASTS)
    assert found["count"] > 200
    assert found["low"] == []


def test_the_schemes_differ_and_figures_stay_on_white(chromium: Browser, report: ReportFiles) -> None:
    papers = []
    for dark in (False, True):
        chromium.open(report.page, width=DESKTOP, dark=dark)
        papers.append(chromium.ask("getComputedStyle(document.body).backgroundColor"))
        frame = chromium.ask("getComputedStyle(document.querySelector('figure img')).backgroundColor")
        assert frame == "rgb(255, 255, 255)"
    assert papers == ["rgb(255, 255, 255)", "rgb(21, 23, 26)"]


def test_the_page_prints_on_white_with_figures_that_fit_a_sheet(
    chromium: Browser, report: ReportFiles, tmp_path: Path
) -> None:
    chromium.open(report.page, width=DESKTOP, dark=True)
    chromium.print_pdf(tmp_path / "page.pdf")
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")
    dark = {"name": "prefers-color-scheme", "value": "dark"}
    chromium.say("Emulation.setEmulatedMedia", media="print", features=[dark])
    assert chromium.ask("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    sheet = (297 - 2 * 18) / 25.4 * 96  # CSS pixels between the upper and the lower margin of A4
    figures = "[...document.querySelectorAll('figure')]"
    assert all(height < sheet for height in chromium.ask(f"{figures}.map(figure => figure.offsetHeight)"))
    assert chromium.ask(f"{figures}.every(figure => getComputedStyle(figure).breakInside === 'avoid')")
    size = "parseFloat(getComputedStyle(document.querySelector('{}')).fontSize)"
    assert chromium.ask(f"{size.format('figcaption')} < {size.format('body')}")
    looks = "[...document.querySelectorAll('{}')].map(one => getComputedStyle(one).display)"
    assert {*chromium.ask(looks.format("figcaption > a, .caption > a"))} == {"none"}  # nothing to press
    assert {*chromium.ask(looks.format("thead button"))} == {"contents"}  # else blank in a head that is repeated
    chromium.say("Emulation.setDeviceMetricsOverride", width=673, height=986, deviceScaleFactor=1, mobile=False)
    files = "[...document.querySelectorAll('td:last-child code')].filter(code => /^[a-z.]+$/.test(code.textContent))"
    assert chromium.ask(f"{files}.length > 5 && {files}.every(file => file.getClientRects().length === 1)")
    curves = "[...document.querySelectorAll('main figure')].slice(0, 2)"
    heading = 60
    assert sum(chromium.ask(f"{curves}.map(figure => figure.offsetHeight)")) < sheet - heading  # both on one sheet
    chromium.say("Emulation.setEmulatedMedia", media="", features=[])
