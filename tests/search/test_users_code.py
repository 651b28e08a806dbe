"""A sampler or pruner of the user's that raises is told as theirs, with file and line; what is ours stays ours."""

from pathlib import Path

import pytest
from optuna.trial import TrialState

from hw2tune.errors import StudyFileError, UserCodeError
from tests.search.test_driver import Driver

STUDY = """
name = "own"
dataset = "mnist"
model = "mnist_cnn"
max_epochs = 3
trials = 4
{}
[training]
optimizer = "adam"
[space]
learning_rate = {{ low = 1e-4, high = 1e-1, log = true }}
batch_size = {{ low = 16, high = 256, integer = true }}
"""
MEND = "fix it and, if the study has begun, its copy in code/ of the study's folder, then run the same command again"
SAMPLER = """
from optuna.samplers import RandomSampler

class Mine(RandomSampler):
    def sample_independent(self, study, trial, name, distribution):
        if trial.number < 1:
            return super().sample_independent(study, trial, name, distribution)
        {}

    def after_trial(self, study, trial, state, values):
        {}
"""
PRUNER = """
from optuna.pruners import BasePruner

class Mine(BasePruner):
    def prune(self, study, trial):
        return [][trial.number]
"""


def driver(place: Path, line: str, code: str) -> Driver:
    (place / "mine.py").write_text(code)
    (place / "own.toml").write_text(STUDY.format(line))
    (place / "results").mkdir()
    return Driver(place / "results", file=place / "own.toml")


@pytest.mark.parametrize(
    ("raises", "told"),
    [
        ("return 1 / 0", "mine.py, line 8: ZeroDivisionError: division by zero"),
        ("raise FileNotFoundError('no table')", "mine.py, line 8: FileNotFoundError: no table"),
        ("return None", "ValueError: 'None' is not a valid type for the `float` distribution"),
    ],
)
def test_a_sampler_that_raises_is_told_with_its_line_and_no_trial_is_lost(tmp_path, raises, told):
    own = driver(tmp_path, 'sampler = "mine.py:Mine"', SAMPLER.format(raises, "pass"))
    own.next("a")
    own.epoch("a", 1, 0.5)
    with pytest.raises(UserCodeError) as error:
        own.next("b")
    assert str(error.value).startswith("sampler mine.py:Mine: ")
    assert str(error.value).endswith(f"; {MEND}")
    if told.startswith("mine.py"):
        assert f": {told};" in str(error.value)
    assert [trial.state for trial in own.trials] == [TrialState.RUNNING]  # none is begun without a configuration
    assert own.driver.recorder.not_writable is None


def test_a_sampler_that_raises_when_it_is_told_of_a_trial_is_told_with_its_line(tmp_path):
    own = driver(tmp_path, 'sampler = "mine.py:Mine"', SAMPLER.format("pass", "raise KeyError(trial.number)"))
    own.next("a")
    with pytest.raises(UserCodeError) as error:
        own.run("a", [0.5, 0.5, 0.5])
    assert str(error.value) == (f"sampler mine.py:Mine: mine.py, line 11: KeyError: 0; {MEND}")


def test_a_pruner_that_raises_is_told_with_its_line(tmp_path):
    own = driver(tmp_path, 'pruner = "mine.py:Mine"', PRUNER)
    own.next("a")
    with pytest.raises(UserCodeError) as error:
        own.epoch("a", 1, 0.5)
    assert str(error.value) == (f"pruner mine.py:Mine: mine.py, line 6: IndexError: list index out of range; {MEND}")


@pytest.mark.parametrize("key", ["sampler", "pruner"])
def test_a_module_that_raises_when_it_is_imported_is_told_with_its_line(tmp_path, key):
    with pytest.raises(StudyFileError) as error:
        driver(tmp_path, f'{key} = "mine.py:Mine"', "import optuna\n\nsize = 1 / 0\n\n\nclass Mine: pass\n")
    assert str(error.value) == (
        f"{key}: mine.py:Mine cannot be imported: mine.py, line 3: ZeroDivisionError: division by zero"
    )


def test_an_error_of_ours_is_not_told_as_theirs(tmp_path, monkeypatch):
    own = driver(tmp_path, 'sampler = "mine.py:Mine"', SAMPLER.format("pass", "pass"))
    own.driver.recorder.taken = None  # type: ignore[assignment]  # a fault of our own
    with pytest.raises(TypeError):
        own.next("a")
