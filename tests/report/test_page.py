from __future__ import annotations

import base64
import hashlib
import re
from importlib import resources
from itertools import pairwise

import pytest

from hw2tune.report.page.blocks import (
    Absent,
    Block,
    Commands,
    Facts,
    Figure,
    Prose,
    Row,
    Section,
    Spot,
    Table,
    embedded,
    prose,
    render_page,
)
from tests.report.html import parse

HOSTILE = "<script>alert('1')</script>\" onload=\"x"
STYLE = resources.files("hw2tune.report").joinpath("templates/style.css").read_text(encoding="utf-8")


def figure(name: str = "loss", text: str = "Loss") -> Figure:
    image = "data:image/png;base64,"
    return Figure(
        name=name, title=text, caption=text, alt=text, image=image, width=12, height=8, file=text, caveat=text,
        choice=text, spots=[Spot(0.25, 0.5, text, text)],
    )  # fmt: skip


def every_kind(text: str) -> list[Block]:
    return [
        Prose(name="prose", note=text, paragraphs=[text], caveat=text),
        Table(name="table", title=text, caption=text, columns=[text], rows=[Row(cells=[text], caveat=text)], file=text),
        figure(text=text),
        Absent(name="absent", title=text, reason=text),
        Facts(name="facts", title=text, facts=[(text, text)]),
        Commands(name="commands", title=text, lines=[text]),
    ]


def render(*columns: list[Block], title: str = "quickstart") -> str:
    names = ["quickstart", "cifar10"][: len(columns)]
    empty = Section(anchor="opening", title="Opening", columns=[[] for _ in columns])
    section = Section(anchor="part", title="Part", columns=columns)
    return render_page(title=title, studies=names, opening=empty, sections=[section])


def test_hostile_text_comes_out_as_text_in_every_kind_of_block() -> None:
    page = parse(render(every_kind(HOSTILE), title=HOSTILE))
    assert all("alert" not in script.text for script in page.all("script"))
    elements = [element for tag in ("img", "a", "div", "p", "th", "td", "span") for element in page.all(tag)]
    assert len(elements) > 10 and not any("onload" in element.attributes for element in elements)
    assert page.all("title")[0].text == HOSTILE
    assert page.all("img")[0].attributes["alt"] == HOSTILE
    for tag in ("h1", "h3", "td", "dd", "pre", "figcaption"):
        assert all(HOSTILE in element.text for element in page.all(tag)), tag


def test_a_page_needs_no_address_and_allows_its_own_script_by_its_hash() -> None:
    page = parse(render(every_kind("text")))
    (script,) = page.all("script")
    digest = base64.b64encode(hashlib.sha256(script.text.encode()).digest()).decode()
    assert len(script.text) < 4096 and "src" not in script.attributes
    assert all(image.attributes["src"].startswith("data:") for image in page.all("img"))
    assert [link.attributes["href"] for link in page.all("link")] == ["data:,"]
    assert "url(" not in STYLE and "@import" not in STYLE
    policy = next(meta for meta in page.all("meta") if "http-equiv" in meta.attributes)
    assert policy.attributes["content"] == (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    )


def test_sections_without_blocks_are_left_out() -> None:
    assert "Part" not in render([])
    assert "Part" in render([figure()])


def test_spots_lie_on_their_picture_where_the_drawing_has_them() -> None:
    (spot,) = parse(render([figure(text="seed 3")])).all("i")
    assert spot.attributes["style"] == "left:25.0%;top:50.0%"
    assert (spot.attributes["data-key"], spot.attributes["title"]) == ("seed 3", "seed 3")


def test_figures_are_numbered_in_reading_order_side_by_side() -> None:
    page = parse(render([figure("loss"), figure("accuracy")], [figure("loss"), figure("accuracy")]))
    numbers = [re.findall(r"Figure (\d)", caption.text) for caption in page.all("figcaption")]
    assert numbers == [["1"], ["2"], ["3"], ["4"]]


def test_blocks_of_one_name_stand_side_by_side_and_leave_a_gap_where_one_is_missing() -> None:
    first, second = figure("loss"), figure("accuracy")
    section = Section(anchor="a", title="A", columns=[[first], [second, first]])
    assert section.rows == [(first, first), (None, second)]


def test_blocks_of_one_name_in_one_study_stay_apart() -> None:
    first, second = Prose(name="machine", paragraphs=["a"]), Prose(name="machine", paragraphs=["b"])
    assert Section(anchor="a", title="A", columns=[[first, second]]).rows == [(first,), (second,)]


def test_several_studies_are_named_above_each_block_and_one_is_not() -> None:
    assert render([figure()], [figure()]).count('class="of-study"') == 2
    assert 'class="of-study"' not in render([figure()])


def test_words_between_backticks_are_code() -> None:
    assert prose("run `a <b>` & go") == "run <code>a &lt;b&gt;</code> &amp; go"
    assert prose("one ` alone <") == "one ` alone &lt;"


def test_a_line_does_not_end_within_a_percentage_a_sample_size_or_a_date() -> None:
    assert " " not in prose("95 %") and " " not in prose("n = 5") and "-" not in prose("2026-11-23")
    assert prose("a = 5 -4.98 to") == "a = 5 -4.98 to"


def test_a_line_does_not_end_within_a_number_with_an_exponent_or_an_option() -> None:
    assert prose("decay 4.8e-5, <") == 'decay <span class="keep">4.8e-5</span>, &lt;'
    assert prose("(`--race`)") == '(<code><span class="keep">--race</span></code>)'
    assert prose("tuned-no-l2, -4.98 to 2") == "tuned-no-l2, -4.98 to 2"


def test_a_png_file_is_embedded(tmp_path) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG")
    assert embedded(tmp_path / "a.png") == "data:image/png;base64,iVBORw=="


# Contrast, as WCAG 2.2 defines it: https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio


def colours(scheme: str) -> dict[str, str]:
    light, dark = re.findall(r":root \{(.*?)\}", STYLE, flags=re.S)
    read = [dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", block)) for block in (light, dark)]
    return read[0] if scheme == "light" else read[0] | read[1]


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    dark, light = sorted([luminance(one), luminance(other)])
    return (light + 0.05) / (dark + 0.05)


def test_contrast_is_computed_as_wcag_defines_it() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.005)  # the lightest grey that passes on white


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    ("text", "paper"),
    [
        ("ink", "paper"), ("quiet", "paper"), ("link", "paper"), ("ink", "code-paper"), ("quiet", "code-paper"),
        ("caveat-ink", "caveat-paper"),
    ],
)  # fmt: skip
def test_text_has_the_contrast_of_wcag_aa(scheme: str, text: str, paper: str) -> None:
    assert contrast(colours(scheme)[text], colours(scheme)[paper]) >= 4.5


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_lines_and_frames_that_mean_something_have_the_contrast_of_wcag_aa(scheme: str) -> None:
    assert contrast(colours(scheme)["strong-rule"], colours(scheme)["paper"]) >= 3
    assert contrast(colours(scheme)["caveat-ink"], colours(scheme)["paper"]) >= 3


def test_colours_stand_only_where_their_contrast_is_checked() -> None:
    outside = re.sub(r":root \{.*?\}", "", STYLE, flags=re.S)
    assert not re.findall(r"#[0-9a-fA-F]{3,8}\b|rgba?\(|hsla?\(", outside)
    assert set(re.findall(r"(?<!-)color: var\(--([a-z-]+)\)", outside)) == {
        "ink", "quiet", "link", "caveat-ink", "paper",  # the last on ink
    }  # fmt: skip
    assert set(re.findall(r" color: var\(--paper\); background: (.*?);", outside)) == {"var(--ink)"}


def test_dark_figures_keep_white_paper() -> None:
    assert colours("dark")["frame"] == "#ffffff"


def test_headings_go_down_one_step_at_a_time() -> None:
    levels = [int(tag) for tag in re.findall(r"<h(\d)", render(every_kind("text")))]
    assert levels[0] == 1 and all(after - before <= 1 for before, after in pairwise(levels))
