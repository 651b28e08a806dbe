"""A study to start from is looked for where the results are, before Ray's seconds."""

import pytest

from hw2tune.errors import StudyFolderError
from hw2tune.events import Listeners
from hw2tune.execution.request import Request
from hw2tune.resources import ResourceRequest
from hw2tune.study_run import run_on
from tests.report.fake_study import write_fake_study
from tests.without_ray import RayNeededError, WithoutRay


@pytest.mark.parametrize("behind_a_url", [False, True])
def test_an_unknown_study_is_refused_before_ray_starts_and_a_known_one_is_found(behind_a_url, tmp_path, monkeypatch):
    monkeypatch.setenv("HW2TUNE_CACHE", str(tmp_path / "cache"))
    write_fake_study(tmp_path / "store", "mnist", trials=2, seeds=0)
    results = f"file://{tmp_path}/store" if behind_a_url else tmp_path / "store"
    with WithoutRay(ResourceRequest(), Listeners()) as connection:
        with pytest.raises(StudyFolderError, match="no study `none`; it holds mnist"):
            run_on(connection, Request(study="quickstart", results=results, warm_start="none"), Listeners())
        with pytest.raises(RayNeededError):
            run_on(connection, Request(study="quickstart", results=results, warm_start="mnist"), Listeners())
