from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hw2tune.report.figures.style import style
from hw2tune.report.study_data import StudyData, read_study_data
from tests.report.fake_study import write_fake_study


@pytest.fixture(scope="session")
def mnist(tmp_path_factory: pytest.TempPathFactory) -> StudyData:
    return read_study_data(write_fake_study(tmp_path_factory.mktemp("mnist"), "mnist", trials=12, seeds=3))


@pytest.fixture(scope="session")
def cifar(tmp_path_factory: pytest.TempPathFactory) -> StudyData:
    return read_study_data(write_fake_study(tmp_path_factory.mktemp("cifar"), "cifar10", trials=12, seeds=1))


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    """The folder of a small study that a test may damage."""
    return write_fake_study(tmp_path, "quickstart", trials=4, seeds=2, test_size=120).root


@pytest.fixture
def styled() -> Iterator[None]:
    with style():
        yield
