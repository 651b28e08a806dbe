"""Links as they work where the repository is browsed; the site's are mkdocs' to check (test_site.py)."""

import re

import pytest

from tests.docs.pages import BLOCK, PAGES, ROOT

LINK = re.compile(r"!?\[[^\]]*\]\((?!https?:|mailto:)(?P<path>[^)#\s]*)(?:#(?P<anchor>[^)\s]+))?\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def github_slug(heading: str) -> str:
    """A heading's anchor: https://github.com/gjtorikian/html-pipeline, toc_filter.rb."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_leads_to_a_file_and_to_a_heading(page):
    text = re.sub(r"`[^`\n]*`", "", BLOCK.sub("", page.read_text()))
    for link in LINK.finditer(text):
        target = (page.parent / link["path"]).resolve() if link["path"] else page
        assert target.is_file() and target.is_relative_to(ROOT), f"{page.name}: {link[0]} leads nowhere"
        if link["anchor"]:
            headings = HEADING.findall(BLOCK.sub("", target.read_text()))
            assert link["anchor"] in map(github_slug, headings), f"{page.name}: {link[0]}: {target.name} has none"


def test_every_file_that_a_change_touches_exists():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    paths = re.findall(r"`([a-z_]+/[\w/]+\.py)`", text.partition("## Where a change goes")[2].partition("\n## ")[0])
    assert len(paths) > 20 and [path for path in paths if not (ROOT / "hw2tune" / path).is_file()] == []


def test_a_headings_anchor_is_githubs():
    assert github_slug("`[training]`: what is fixed, and the hyperparameters") == (
        "training-what-is-fixed-and-the-hyperparameters"
    )
    assert github_slug("Is it better than chance?") == "is-it-better-than-chance"
