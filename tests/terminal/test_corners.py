"""The corners of a space that fail, at the end of a study."""

import io
from dataclasses import replace

from rich.console import Console

from hw2tune.terminal.tables import print_outcome
from tests.report.test_doctor import planted, rates


def printed(overview):
    out = io.StringIO()
    print_outcome(overview, Console(file=out, width=200))
    return out.getvalue().splitlines()


def test_a_study_ends_with_the_corners_that_fail_and_says_nothing_without_one():
    every = rates()
    bad = {every[-n] for n in (1, 2, 4, 5, 7, 8, 9, 10, 11)}
    overview = planted((lambda params: params["learning_rate"] in bad, "diverged")).overview
    (line,) = (line for line in printed(overview) if "diverges" in line)
    assert line.startswith("learning_rate >= 0.0") and line.endswith(" diverges: 9 of 11 trials")
    assert not any("diverges" in line for line in printed(planted().overview))
    one = planted((lambda params: params["learning_rate"] == every[-1], "diverged")).overview
    assert not any("diverges" in line for line in printed(one))  # is no corner


def test_with_arms_a_corner_has_the_name_of_its_search():
    high = rates()[-12]
    search = planted((lambda params: params["learning_rate"] >= high, "diverged")).overview
    every = replace(search, rows=[], searches=(search,))
    (line,) = (line for line in printed(every) if "diverges" in line)
    assert line.startswith("quickstart: learning_rate >= 0.0") and line.endswith(" diverges: 12 of 12 trials")
