"""The documentation as a site: built strictly and without a request to anywhere, and asking for nothing when read."""

import re
from html.parser import HTMLParser

import pytest

from tests.docs.pages import ROOT

pytestmark = pytest.mark.filterwarnings("ignore")  # of mkdocs and its plugins; its own log is what counts here


class Loaded(HTMLParser):
    """What a page loads by itself: scripts, styles, pictures, frames."""

    def __init__(self) -> None:
        super().__init__()
        self.urls: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        if tag in ("script", "img", "iframe", "source", "object", "embed"):
            self.urls += [given[name] for name in ("src", "srcset", "data") if given.get(name)]
        if tag == "link" and given.get("rel") not in ("canonical", "next", "prev"):
            self.urls.append(given["href"])


def test_no_page_loads_anything_from_elsewhere(site):
    pages = list(site.rglob("*.html"))
    assert len(pages) > 15
    for page in pages:
        loaded = Loaded()
        loaded.feed(page.read_text())
        assert loaded.urls and not [url for url in loaded.urls if re.match(r"(\w+:)?//", url)], page
    for style in [*site.rglob("*.css"), *site.rglob("*.svg")]:
        assert not re.search(r"url\(['\"]?(https?:)?//|@import", style.read_text()), style


def test_every_page_of_the_documents_is_part_of_it(site):
    for page in ("tutorial", "study-file", "python", "files", "claims", "benchmarks", "CONTRIBUTING", "CHANGELOG"):
        assert (site / page / "index.html").is_file(), page
    assert (site / "deploy" / "rayjob.yaml").read_text() == (ROOT / "deploy" / "rayjob.yaml").read_text()


def test_the_reference_has_what_the_api_has(site):
    import hw2tune

    page = (site / "python" / "index.html").read_text()
    for name in set(hw2tune.__all__) - {"__version__"}:
        assert re.search(rf'id="hw2tune\.[\w.]+\.{name}"', page), name
    assert 'id="hw2tune.study_result.StudyResult.pairs"' in page
