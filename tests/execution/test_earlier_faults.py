"""Studies that carry what earlier versions accepted: they are read and continued, with a note; new ones are refused."""

import pytest

from hw2tune.api import check_study
from hw2tune.errors import StudyFileError
from hw2tune.events import Noted
from hw2tune.execution.request import Request
from hw2tune.records.layout import StudyFolder
from hw2tune.records.overview import read_overview
from tests.execution.test_arms import FILE, Executor, run

PLAIN = FILE.partition("[arms.l2]")[0] + "[references.base]\nlearning_rate = 0.01\nweight_decay = 0.0\n"
SOUND = PLAIN.replace('batch_size = 32\noptimizer = "adam"\n', "").replace(
    "[space]", '[training]\nbatch_size = 32\noptimizer = "adam"\n[space]'
)
OLD = SOUND.replace("[training]\n", "[training]\nmomentum = 0.9\n")
NOTE = "training.momentum: adam has none; leave it out"


def of_earlier_version(tmp_path):
    """A study with one of three trials, which an earlier version has begun."""
    run(tmp_path, Executor(ends_at=1), SOUND)
    path = tmp_path / "results" / "sides" / "study.toml"
    path.write_text(path.read_text().replace("[training]\n", "[training]\nmomentum = 0.9\n"))
    return StudyFolder(path.parent)


def test_a_new_study_is_refused(tmp_path):
    with pytest.raises(StudyFileError, match=r"training\.momentum: adam has none; leave it out"):
        run(tmp_path, Executor(), OLD)


@pytest.mark.parametrize("mended", [False, True])
def test_a_study_of_an_earlier_version_goes_on_and_is_told_of_unless_its_file_was_mended(mended, tmp_path):
    folder = of_earlier_version(tmp_path)
    assert read_overview(folder).study.training["momentum"] == 0.9
    (tmp_path / "sides.toml").write_text(OLD)
    for study in (str(tmp_path / "sides.toml"), str(folder.study_file)):
        plan, _, notes = check_study(Request(study=study, results=tmp_path / "results"))
        assert NOTE in notes and plan.study.fixed == {"batch_size": 32, "optimizer": "adam"}
    notes, execute = [], Executor()
    run(tmp_path, execute, SOUND if mended else OLD, listeners=[notes.append])
    assert execute.order == [("sides", 1), ("sides", 2)]
    assert (NOTE in [one.text for one in notes if isinstance(one, Noted)]) is not mended
    assert not any("momentum" in hyperparameters for _, _, hyperparameters in execute.trained)


def test_the_same_file_begins_no_study_afresh(tmp_path):
    of_earlier_version(tmp_path)
    with pytest.raises(StudyFileError, match=r"training\.momentum: adam has none; leave it out"):
        run(tmp_path, Executor(), OLD, fresh=True)
