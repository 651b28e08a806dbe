"""The tutorial, typed from its first line to its last, but for the installation."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, blocks
from tests.docs.test_blocks import write_files

pytestmark = [pytest.mark.ray, pytest.mark.matrix]
PAGE = ROOT / "docs" / "tutorial.md"


def test_whoever_types_the_tutorial_gets_a_tuned_network_and_a_tested_claim(tmp_path):
    write_files(PAGE, tmp_path)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for block in blocks(PAGE):
        if block.is_console and block.mark != "not run":
            for words in block.commands:
                ended = subprocess.run(
                    words, cwd=tmp_path, env=os.environ | {"PATH": path, "PYTHONPATH": str(ROOT)},
                    capture_output=True, text=True, timeout=300,
                )  # fmt: skip
                assert ended.returncode == 0, f"{block.place}: {shlex.join(words)}\n{ended.stderr}"
    report = tmp_path / "ray_results" / "digits" / "report"
    sentence = r"uning (raises|lowers|changes) test accuracy by"
    assert re.search(sentence, (report / "summary.md").read_text())
    assert (tmp_path / "accuracy.png").stat().st_size > 10_000
