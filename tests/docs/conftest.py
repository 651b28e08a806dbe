"""The documentation as a site, built once for the tests that look at it."""

import socket
from pathlib import Path

import pytest

from tests.docs.pages import ROOT


@pytest.fixture(scope="session")
def site(tmp_path_factory) -> Path:
    """The site, built as `mkdocs build --strict` does, with no address to connect to."""
    pytest.importorskip("mkdocs", reason="the docs group is not installed")
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    place = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", refuse)
        config = load_config(str(ROOT / "mkdocs.yml"), site_dir=str(place), strict=True)
        config.plugins.run_event("startup", command="build", dirty=False)
        build(config)
    return place


def refuse(_: socket.socket, address: object) -> None:
    raise AssertionError(f"the build connects to {address}")
