"""`hw2tune stop` on a study that trains: ended in order from another process, watched meanwhile, and continued."""

import re

import pytest

from hw2tune.interrupt import INTERRUPTED
from hw2tune.records.layout import StudyFolder
from hw2tune.records.trials.epochs import read_epochs
from hw2tune.records.trials.storage import read_trials
from tests.end_to_end.command import Command
from tests.end_to_end.test_study import STUDY

pytestmark = [pytest.mark.ray, pytest.mark.matrix]


def test_a_study_is_stopped_from_another_terminal_and_continued(tmp_path):
    (tmp_path / "tiny.toml").write_text(STUDY.replace('"asha"', '"none"'))
    folder = StudyFolder(tmp_path / "ray_results" / "tiny")
    study = Command("study", "tiny.toml", "--trials", 400, cwd=tmp_path, prefix=["sh", "-c", 'trap "" INT; "$@"', "sh"])
    study.wait_until(lambda: read_epochs(folder.trial(2)))
    code, out, err = Command("stop", "tiny", cwd=tmp_path).finish()
    assert code == 0, err
    assert re.fullmatch(r"tiny: asking process \d+ \(.* study tiny.toml --trials 400\) to end \(SIGTERM\)\n", err), err
    said = out.splitlines()
    assert re.fullmatch(r"tiny: ended in [\d.]+ s; everything finished is kept", said[0]), out
    assert re.fullmatch(r"interrupted: \d+ of 400 trials finished; #\d+ from epoch \d.* go(es)? on", said[1]), out
    assert said[2].startswith("the same command continues"), out
    code, out, err = study.finish()
    assert code == INTERRUPTED and "the same command continues" in out, err
    assert study.left_running() == []
    before = read_trials(folder)
    assert {trial.state.name for trial in before} == {"COMPLETE", "RUNNING"}

    code, out, err = Command("stop", "tiny", cwd=tmp_path).finish()
    assert (code, err) == (0, "") and out.startswith("tiny: nothing runs it\ninterrupted: ")

    code, _, err = Command("study", "tiny.toml", "--trials", len(before), cwd=tmp_path).finish()
    assert code == 0, err
    assert {trial.state.name for trial in read_trials(folder)} == {"COMPLETE"}
