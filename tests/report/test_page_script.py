"""The page's script in headless Chromium: it sorts, switches and names, and the page is complete without it."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from hw2tune.report.page.blocks import Figure, Row, Section, Spot, Table, render_page
from hw2tune.report.write import ReportFiles
from tests.report.chromium import CHROMIUM, Browser, browser

pytestmark = [
    pytest.mark.matrix,
    pytest.mark.skipif(CHROMIUM is None, reason="Debian's chromium is not installed: apt-get install chromium"),
]

WIDE, DESKTOP, PHONE = 1600, 1280, 400  # CSS pixels
AXE = resources.files("axe_playwright_python").joinpath("axe.min.js")
CELLS = "[...document.querySelectorAll('tbody tr')].map(row => row.cells[{}].innerText.trim())"
SORTED_BY = "[...document.querySelectorAll('th')].map(head => head.getAttribute('aria-sort'))"
SHOWN = "[...document.querySelectorAll('figure')].filter(one => one.offsetHeight).map(one => one.innerText)"
PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
    "gg=="
)


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def figure(name: str, spots: list[Spot] | None = None) -> Figure:
    return Figure(
        name=name, title=name, caption="", alt=name, image=PIXEL, width=300, height=100, choice=name, spots=spots or []
    )


@pytest.fixture
def page(tmp_path: Path) -> Path:
    cells = [("#9", "96.58 %", "2 min 3 s"), ("#10", "\u2013", "58 s"), ("#1 baseline", "100.00 %", "1 h 0 min")]
    columns = ["Trial", "Accuracy", "Time"]
    rows = [Row(cells=row) for row in cells]
    table = Table(name="trials", title="Trials", columns=columns, numeric=columns[1:], rows=rows)
    seeds = [Spot(0.2, 0.5, "1", "one"), Spot(0.8, 0.5, "1", "two"), Spot(0.5, 0.5, "2", "other")]
    blocks = [table, figure("baseline", seeds), figure("tuned")]
    opening = Section(anchor="opening", title="Opening", columns=[[]])
    parts = [Section(anchor="part", title="Part", columns=[blocks])]
    path = tmp_path / "page.html"
    path.write_text(render_page(title="study", studies=["study"], opening=opening, sections=parts), encoding="utf-8")
    return path


def press(chromium: Browser, key: str) -> None:
    for kind in ("keyDown", "keyUp"):
        text = {"text": "\r"} if key == "Enter" and kind == "keyDown" else {}
        chromium.say("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=13, **text)


@pytest.mark.parametrize(
    ("column", "ascending"),
    [(0, ["#1 baseline", "#9", "#10"]), (1, ["#9", "#1 baseline", "#10"]), (2, ["#10", "#9", "#1 baseline"])],
)
def test_a_table_is_sorted_by_number_both_ways_and_back_with_the_keyboard(
    chromium: Browser, page: Path, column: int, ascending: list[str]
) -> None:
    chromium.open(page, width=DESKTOP)
    before = chromium.ask(CELLS.format(0))
    chromium.ask(f"document.querySelectorAll('th button')[{column}].focus()")
    seen = []
    for _ in range(3):
        press(chromium, "Enter")
        seen.append((chromium.ask(SORTED_BY)[column], chromium.ask(CELLS.format(0))))
    last = ["#10"] if column == 1 else []  # without a value: the last in either direction
    descending = [name for name in reversed(ascending) if name not in last] + last
    assert seen == [("ascending", ascending), ("descending", descending), (None, before)]


def test_alternatives_are_all_shown_until_one_is_chosen_and_all_print(chromium: Browser, page: Path) -> None:
    chromium.open(page, width=DESKTOP)
    assert chromium.ask(f"{SHOWN}.length") == 2
    buttons = "[...document.querySelectorAll('.choices button')]"
    assert chromium.ask(f"{buttons}.map(one => one.innerText)") == ["all", "baseline", "tuned"]
    chromium.ask(f"{buttons}[2].click()")
    assert ["tuned" in text for text in chromium.ask(SHOWN)] == [True]
    assert chromium.ask(f"{buttons}.map(one => one.ariaPressed)") == ["false", "false", "true"]
    chromium.say("Emulation.setEmulatedMedia", media="print")
    assert chromium.ask(f"{SHOWN}.length") == 2
    chromium.say("Emulation.setEmulatedMedia", media="")


def test_a_chosen_variant_hides_the_others_where_studies_are_side_by_side(chromium: Browser, tmp_path: Path) -> None:
    shown = [figure("baseline"), figure("tuned")]
    opening = Section(anchor="opening", title="Opening", columns=[[], []])
    parts = [Section(anchor="part", title="Part", columns=[shown, shown])]
    path = tmp_path / "several.html"
    path.write_text(render_page(title="x", studies=["a", "b"], opening=opening, sections=parts), encoding="utf-8")
    chromium.open(path, width=DESKTOP)
    assert chromium.ask(f"{SHOWN}.length") == 4
    chromium.ask("document.querySelectorAll('.choices button')[2].click()")
    assert ["tuned" in text for text in chromium.ask(SHOWN)] == [True, True]


def test_a_seed_under_the_pointer_is_named_in_every_claim(chromium: Browser, page: Path) -> None:
    chromium.open(page, width=DESKTOP)
    x, y = chromium.ask(
        "(b => [b.x + b.width / 2, b.y + b.height / 2])(document.querySelector('i').getBoundingClientRect())"
    )
    chromium.say("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
    assert chromium.ask("document.querySelector('.spots b').innerText") == "one\ntwo"
    assert chromium.ask("document.querySelectorAll('.same').length") == 2
    chromium.say("Input.dispatchMouseEvent", type="mouseMoved", x=1, y=1)
    assert chromium.ask("document.querySelectorAll('.same, .spots b').length") == 0


def test_without_script_everything_is_there(chromium: Browser, page: Path) -> None:
    chromium.say("Emulation.setScriptExecutionDisabled", value=True)
    chromium.open(page, width=DESKTOP)
    chromium.say("Emulation.setScriptExecutionDisabled", value=False)
    assert chromium.ask(f"{SHOWN}.length") == 2 and chromium.ask("document.querySelectorAll('button').length") == 0
    assert chromium.ask("document.querySelector('i').title") == "one"


def test_another_script_in_the_page_is_refused(chromium: Browser, page: Path) -> None:
    text = page.read_text(encoding="utf-8").replace("<main>", "<main><script>document.title = 'changed'</script>")
    page.write_text(text, encoding="utf-8")
    chromium.open(page, width=DESKTOP)
    assert chromium.ask("document.title") == "study" and chromium.ask("document.querySelectorAll('button').length") > 0


def test_wide_windows_show_two_figures_abreast_and_others_one(chromium: Browser, page: Path) -> None:
    tops = "[...document.querySelectorAll('figure')].map(one => one.getBoundingClientRect().top)"
    abreast = []
    for width in (WIDE, DESKTOP, PHONE):
        chromium.open(page, width=width)
        left, right = chromium.ask(tops)
        abreast.append(left == right)
    assert abreast == [True, False, False]


def violations(chromium: Browser) -> list[Any]:
    """What axe-core finds: https://github.com/dequelabs/axe-core/blob/develop/doc/rule-descriptions.md"""
    chromium.ask(f"{AXE.read_text(encoding='utf-8')}; 0")
    found = "results => results.violations.map(one => [one.id, one.nodes.map(node => node.html.slice(0, 200))])"
    return list(chromium.ask(f"axe.run().then({found})"))


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [PHONE, DESKTOP, WIDE])
def test_axe_finds_nothing(chromium: Browser, report: ReportFiles, width: int, dark: bool) -> None:
    chromium.open(report.page, width=width, dark=dark)
    assert violations(chromium) == []


def test_axe_would_find_a_picture_without_a_text(chromium: Browser, page: Path) -> None:
    page.write_text(page.read_text(encoding="utf-8").replace('alt="tuned"', ""), encoding="utf-8")
    chromium.open(page, width=DESKTOP)
    assert [rule for rule, _ in violations(chromium)] == ["image-alt"]
