"""The dashboard as a person sees it: Chromium opens it on a study that another process runs."""

import pytest

from tests.integrations.dashboard.served import running_elsewhere, served, wait_until
from tests.report.chromium import CHROMIUM, Browser, browser
from tests.report.fake_study import write_fake_study

pytestmark = [
    pytest.mark.matrix,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium"),
]


def shown(page: Browser) -> str:
    return str(page.ask("document.body.innerText"))


def test_trials_arrive_on_the_open_page(tmp_path):
    folder = write_fake_study(tmp_path, trials=3, seeds=0)
    with (
        served(tmp_path, "quickstart") as dashboard,
        running_elsewhere(folder.root) as add_trial,
        browser(tmp_path / "profile") as page,
    ):
        study_id = dashboard.study_ids()["quickstart"]
        page.open(f"{dashboard.page}/studies/{study_id}/trials", width=1300)
        wait_until(lambda: "3 Trials" in shown(page))
        assert "label baseline" in shown(page) and "Trial 3" not in shown(page)
        assert add_trial() == 3
        wait_until(lambda: "4 Trials" in shown(page) and "Trial 3" in shown(page))  # nobody reloads the page
        page.open(f"{dashboard.page}/studies/{study_id}", width=1300)
        wait_until(lambda: "4 of 3 trials" in shown(page))
        errors = [event for event in page.events if event.get("method") == "Runtime.exceptionThrown"]
        assert not errors, errors
