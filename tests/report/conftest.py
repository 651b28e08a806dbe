from __future__ import annotations

import pytest

from hw2tune.report.write import ReportFiles, write_report
from tests.report.fake_study import write_fake_study


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> ReportFiles:
    """The report of a complete study; drawing it takes seconds, so it is drawn once and only read."""
    return write_report([write_fake_study(tmp_path_factory.mktemp("results"))])
