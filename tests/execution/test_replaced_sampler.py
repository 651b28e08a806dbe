"""Studies that name a sampler of an earlier version: they are begun and continued with what replaces it."""

import pytest

from hw2tune.api import check_study
from hw2tune.errors import StudyFolderError
from hw2tune.events import Noted
from hw2tune.execution.request import Request
from hw2tune.records.layout import StudyFolder
from hw2tune.records.overview import read_overview
from hw2tune.study.file import parse_study
from tests.execution.test_arms import FILE, Executor, run

GUIDED = 'sampler = { name = "guided", arguments = { startup = 4 } }'
PLAIN = FILE.partition("[arms.l2]")[0]
SINGLE = PLAIN.replace('sampler = "random"', 'sampler = "tpe"')


def guided(text):
    return text.replace('sampler = "random"', GUIDED)


def told(tmp_path, text, execute, **options):
    """The notes on samplers, and the sampler in study.toml after the run."""
    notes = []
    run(tmp_path, execute, text, listeners=[lambda event: notes.append(event)], **options)
    study = read_overview(StudyFolder(tmp_path / "results" / "sides")).study
    return [one.text for one in notes if isinstance(one, Noted) and "sampler" in one.text], study.sampler


def as_of_earlier_version(tmp_path):
    """Make the study in the results one that an earlier version has begun."""
    for path in (tmp_path / "results").rglob("study.toml"):
        text = path.read_text()
        assert 'name = "tpe"' in text
        arguments = "[sampler.arguments]\n"
        path.write_text(text.replace('name = "tpe"', 'name = "guided"').replace(arguments, f"{arguments}startup = 4\n"))


@pytest.mark.parametrize("text", [PLAIN, FILE])
def test_a_new_study_is_searched_and_recorded_with_what_replaces_it(text, tmp_path):
    execute = Executor()
    notes, sampler = told(tmp_path, guided(text), execute)
    assert notes == ["sampler guided of earlier versions is no longer there: tpe draws the configurations"]
    assert (sampler.name, sampler.arguments) == ("tpe", {})
    assert len(execute.trained) == (6 if text == FILE else 3)


@pytest.mark.parametrize("file", [SINGLE, guided(PLAIN)])
def test_an_old_study_goes_on_whichever_the_file_names_and_keeps_what_has_drawn(file, tmp_path):
    told(tmp_path, SINGLE, Executor(ends_at=2))
    as_of_earlier_version(tmp_path)
    execute = Executor()
    notes, sampler = told(tmp_path, file, execute)
    assert notes == [
        "sampler guided of earlier versions is no longer there: tpe draws each configuration that is still to be drawn"
    ]
    assert (sampler.name, sampler.arguments) == ("guided", {"startup": 4})
    assert execute.order == [("sides", 2)]
    assert told(tmp_path, file, third := Executor()) == ([], sampler) and not third.trained  # nothing is left to draw


def test_an_old_study_is_not_continued_with_another_sampler(tmp_path):
    told(tmp_path, SINGLE, Executor(ends_at=2))
    as_of_earlier_version(tmp_path)
    with pytest.raises(
        StudyFolderError,
        match=r"holds a different study \(sampler.arguments.startup: 4 -> absent; "
        r"sampler.name: guided -> random\)",
    ):
        told(tmp_path, PLAIN, Executor())


def test_check_says_what_draws(tmp_path):
    (tmp_path / "sides.toml").write_text(guided(PLAIN))
    plan, _, notes = check_study(Request(study=str(tmp_path / "sides.toml"), results=tmp_path / "results"))
    assert plan.study.sampler.name == "tpe"
    assert "sampler guided of earlier versions is no longer there: tpe draws the configurations" in notes


def test_an_old_study_in_virtual_order_is_read():
    assert parse_study(f'order = "virtual"\n{guided(PLAIN)}', "a.toml").sampler.name == "guided"
