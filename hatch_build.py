"""Writes the commit that a wheel or an sdist is built of into it, as `hw2tune/commit.txt`."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

DESCRIBE = ("git", "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*")


class CommitHook(BuildHookInterface[Any]):
    """Asks git in a checkout. A wheel that is built of an sdist finds the sdist's own file among the package's."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Adds the file to what is built; an editable install asks its checkout itself."""
        if version == "editable" or not (Path(self.root) / ".git").exists():
            return
        described = subprocess.run(DESCRIBE, cwd=self.root, capture_output=True, text=True, check=False)
        if described.stdout.strip():
            self.place = Path(tempfile.mkdtemp()) / "commit.txt"
            self.place.write_text(described.stdout, encoding="utf-8")
            build_data["force_include"][str(self.place)] = "hw2tune/commit.txt"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Removes what `initialize` wrote."""
        if hasattr(self, "place"):
            self.place.unlink(missing_ok=True)
            self.place.parent.rmdir()
