"""What mkdocs does beside its own: pages that lie outside docs/ become part of the site.

Links stand in the files as they work in the repository; here they become the site's, in which docs/ is the top.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
OUTSIDE = [
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "CITATION.cff",
    "LICENSE",
    "benchmarks/README.md",
    *(f"deploy/{path.name}" for path in sorted((ROOT / "deploy").iterdir()) if path.is_file()),
]
LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#|/)([^)#\s]+)")  # the path of a relative link, without its anchor
FENCE = re.compile(r"(^```.*?^```)", re.DOTALL | re.MULTILINE)


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Adds the files of OUTSIDE under their own paths."""
    for name in OUTSIDE:
        files.append(File.generated(config, name, abs_src_path=str(ROOT / name)))


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Turns the repository's links into the site's, but for what stands in code."""
    here = page.file.src_uri
    place = posixpath.dirname(here if here in OUTSIDE else f"docs/{here}")

    def site_link(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(place, match[1]))
        return posixpath.relpath(target.removeprefix("docs/"), posixpath.dirname(here) or ".")

    parts = FENCE.split(markdown)
    return "".join(part if part.startswith("```") else LINK.sub(site_link, part) for part in parts)
