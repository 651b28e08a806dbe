"""The study files that hw2tune ships. Light on purpose: a shell's completion imports this."""

from __future__ import annotations

from importlib import resources
from pathlib import Path


def shipped_studies() -> dict[str, Path]:
    """The study files that hw2tune ships, by name."""
    package = Path(str(resources.files("hw2tune")))
    # In a wheel they lie inside the package, in a checkout beside it: one place, `studies/`, in the sources.
    folder = next(f for f in (package / "shipped_studies", package.parent / "studies") if f.is_dir())
    return {path.stem: path for path in sorted(folder.glob("*.toml"), key=lambda path: path.stem)}
