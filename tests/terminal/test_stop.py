"""What `hw2tune stop` says: what was ended, what is kept, how it goes on."""

import json

import pytest

from hw2tune.records.lock import this_process
from hw2tune.records.overview import read_overview
from hw2tune.records.stopping import Stop
from hw2tune.terminal.upkeep import print_stop
from tests.command_line import hw2tune
from tests.report.fake_study import write_fake_study
from tests.terminal.test_display import console, text
from tests.terminal.test_watch import begin_trial


def said(folder, **more):
    given = {"ended": this_process(), "stale": None, "seconds": 3.2, "overview": read_overview(folder)} | more
    shown = console(200)
    print_stop(Stop(name="quickstart", **given), shown)
    return text(shown).splitlines()


@pytest.fixture
def folder(tmp_path):
    """A study of six trials: four have ended, and two were at epochs 2 and 1."""
    folder = write_fake_study(tmp_path / "ray_results", trials=4, seeds=0)
    folder.study_file.write_text(folder.study_file.read_text().replace("trials = 4", "trials = 6"))
    begin_trial(folder, 0.5, 0.6)
    begin_trial(folder, 0.5)
    return folder


def test_a_study_that_was_ended_says_what_goes_on_and_by_which_command(folder):
    assert said(folder) == [
        "quickstart: ended in 3 s; everything finished is kept",
        "interrupted: 4 of 6 trials finished; #4 from epoch 2, #5 from epoch 1 go on",
        "the same command continues: hw2tune study quickstart",
    ]


def test_a_search_that_was_done_by_then_does_not_go_on_but_a_report_does(tmp_path):
    folder = write_fake_study(tmp_path, trials=4, seeds=0)
    assert said(folder)[1:] == ["complete: 4 of 4 trials finished"]
    record = json.loads(folder.environment.read_text())
    record["runs"].append(record["runs"][0] | {"command": "hw2tune summarize quickstart"})
    folder.environment.write_text(json.dumps(record))
    assert said(folder)[2:] == ["the same command continues: hw2tune summarize quickstart"]
    assert len(said(folder, ended=None)) == 2  # nothing was under way


def test_a_reproduction_has_no_trials_to_count(folder):
    assert said(folder, overview=None) == [
        "quickstart: ended in 3 s; everything finished is kept",
        "the same command continues",
    ]


def test_where_nothing_runs_the_command_says_so_and_a_stale_record_is_named(folder):
    def stop(name):
        ended = hw2tune("stop", name, cwd=folder.root.parents[1], COLUMNS="80")
        return ended.returncode, ended.stdout.splitlines(), ended.stderr

    code, lines, err = stop("quickstart")
    assert (code, lines[0], err) == (0, "quickstart: nothing runs it", "")
    dead = this_process().__dict__ | {"pid": 2**22 + 1, "since": "yesterday"}
    folder.lock.with_name("running.json").write_text(json.dumps(dead))
    code, lines, err = stop("quickstart")
    assert (code, err) == (0, "")
    assert lines[0] == (
        f"quickstart: nothing runs it; process {2**22 + 1} on {this_process().host}, since yesterday died without a "
        "word, and what it left holds nobody up"
    )
    code, lines, err = stop("mnist")
    assert (code, lines) == (1, []) and "no study `mnist`; it holds quickstart" in err
