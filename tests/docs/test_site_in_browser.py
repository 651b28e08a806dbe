"""The site in headless Chromium, from a server on loopback and with no other address to be found."""

import functools
import http.server
import threading
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.report.chromium import CHROMIUM, PATIENCE_SECONDS, Browser, browser

pytestmark = [
    pytest.mark.matrix,
    pytest.mark.filterwarnings("ignore"),  # of mkdocs' plugins, while the site is built
    pytest.mark.skipif(CHROMIUM is None, reason="Debian's chromium is not installed: apt-get install chromium"),
]
PAGES = ("", "tutorial/", "study-file/", "python/", "files/", "claims/", "search/", "benchmarks/")
PHONE, DESKTOP = 400, 1280  # CSS pixels
FOUND = "[...document.querySelectorAll('.md-search-result__item a')].map(a => a.innerText + ' ' + a.href)"
TYPE = """(() => { const field = document.querySelector('.md-search__input'); field.focus();
field.value = '%s'; field.dispatchEvent(new Event('keyup', {bubbles: true}));
field.dispatchEvent(new Event('input', {bubbles: true})); })()"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def address(site) -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_as_wide_as_the_window_whole_and_asks_only_its_own_server(page, address, path, width):
    page.open(address + path, width=width)
    assert page.ask("document.documentElement.scrollWidth") <= width
    assert page.ask("[...document.images].filter(i => !(i.complete && i.naturalWidth)).map(i => i.src)") == []
    asked = [e["params"]["request"]["url"] for e in page.events if e.get("method") == "Network.requestWillBeSent"]
    assert asked and {urlsplit(url).netloc for url in asked if not url.startswith("data:")} == {
        urlsplit(address).netloc
    }
    bad = [e["params"]["entry"] for e in page.events if e.get("method") == "Log.entryAdded"]
    assert not [entry for entry in bad if entry["level"] == "error"]


@pytest.mark.parametrize(("words", "leads_to"), [("reduction_factor", "study-file/"), ("Holm", "claims/")])
def test_the_search_finds_without_a_network(page, address, words, leads_to):
    page.open(address, width=DESKTOP)
    page.ask(TYPE % words)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (found := page.ask(FOUND)):
        assert time.monotonic() < deadline, "nothing found"
        time.sleep(0.1)
    assert any(address + leads_to in one for one in found), found
