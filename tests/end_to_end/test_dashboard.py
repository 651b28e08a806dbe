"""`hw2tune study --dashboard`: served beside the study, for as long as that lasts."""

import json
import re
import signal
import urllib.error
import urllib.request

import pytest

from tests.end_to_end.command import Command

pytestmark = [pytest.mark.ray, pytest.mark.matrix]


def test_the_dashboard_shows_the_running_study_and_ends_with_it(tmp_path):
    told = tmp_path / "stderr"
    with told.open("w") as stderr:
        command = Command("study", "quickstart", "--trials", 40, "--dashboard", cwd=tmp_path, stderr=stderr)
        command.wait_until(lambda: "dashboard: " in told.read_text())
        base = re.search(r"dashboard: (http://127\.0\.0\.1:\d+)/dashboard", told.read_text())[1]

        def finished() -> list[dict]:
            with urllib.request.urlopen(f"{base}/api/studies", timeout=60) as answer:
                studies = json.load(answer)["study_summaries"]
            if not studies:
                return []
            with urllib.request.urlopen(f"{base}/api/studies/{studies[0]['study_id']}", timeout=60) as answer:
                return [trial for trial in json.load(answer)["trials"] if trial["state"] in ("Complete", "Pruned")]

        command.wait_until(lambda: len(finished()) >= 2)
        command.process.send_signal(signal.SIGINT)  # reaches the study, which ends in order
        code, out, _ = command.finish()
    assert code == 130 and "the same command continues" in out
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(base, timeout=5)
    lines = told.read_text()
    assert "GET /" not in lines and "Traceback" not in lines
    assert not command.left_running()
