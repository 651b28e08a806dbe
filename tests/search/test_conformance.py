"""Every sampler and every pruner: ten trials, a continuation without replay, and our words for the states."""

import pytest

from hw2tune.errors import StudyFileError, StudyFolderError
from hw2tune.events import Listeners, Noted
from hw2tune.records.environment import add_run
from hw2tune.records.layout import StudyFolder
from hw2tune.records.overview import read_overview
from hw2tune.records.trials.rows import trial_rows
from hw2tune.records.trials.storage import create_optuna_study, read_trials
from hw2tune.search.algorithms import PRUNERS, SAMPLERS, build_pruner, build_sampler
from hw2tune.search.driver import Assignment, Decision, EpochResult, Outcome, StudyDriver
from hw2tune.search.failures import FailurePolicy
from hw2tune.search.recorder import Recorder
from hw2tune.search.view import read_observations, take_over
from hw2tune.study.file import dump_study, parse_study
from hw2tune.study.hyperparameters import identity

NUMBERS = """
learning_rate = { low = 1e-4, high = 1e-1, log = true }
batch_size = { low = 16, high = 64, step = 16, integer = true }
optimizer = "sgd"
momentum = { low = 0.0, high = 0.9 }
"""
CHOICES = """
learning_rate = [0.001, 0.003, 0.01, 0.03]
batch_size = [16, 32]
optimizer = ["sgd", "adamw"]
"""


def study(space: str = NUMBERS, more: str = "", **overrides):
    text = (
        'name = "mine"\ndataset = "synthetic-mnist"\nmodel = "mnist_cnn"\nmax_epochs = 4\nvalidation_size = 100\n'
        f"trials = 10\n{more}\n[pruner]\nreduction_factor = 2\n[space]{space}"
    )
    return parse_study(text, "mine.toml", overrides)


def driver(settings, folder: StudyFolder, tell: Listeners) -> StudyDriver:
    folder.root.mkdir(exist_ok=True)
    recorder = Recorder(settings, create_optuna_study(folder, settings), folder, tell)
    recorder.enqueue_references()
    drawn = len(recorder.trials())
    recorder.optuna_study.sampler = build_sampler(settings, drawn)
    recorder.optuna_study.pruner = build_pruner(settings)
    return StudyDriver(recorder=recorder, policy=FailurePolicy(retries=0), tell=Listeners())


def run(settings, folder: StudyFolder, *, at_most: int = 99, tell: Listeners | None = None) -> list[dict]:
    """Runs trials one after another and returns their configurations; a good one has a learning rate near 0.01."""
    one, configurations = driver(settings, folder, tell or Listeners()), []
    while len(configurations) < at_most and isinstance(given := one.next(), Assignment):
        configurations.append(given.hyperparameters)
        quality = 1 - abs(given.hyperparameters["learning_rate"] - 0.01) * 5
        for epoch in range(1, settings.max_epochs + 1):
            record = {
                "epoch": epoch, "validation_accuracy": quality * epoch / 4, "epoch_seconds": 1.0,
                "images_per_second": 1.0, "parameters": 10,
            }  # fmt: skip
            if one.epoch(given.trial, EpochResult(record=record, checkpoint=b"")) is Decision.STOP:
                break
        one.ended(given.trial, Outcome())
    return configurations


def assert_conforms(settings, place) -> None:
    folder = StudyFolder(place)
    first = run(settings, folder, at_most=4)
    second = run(settings, folder)
    assert len(first) == 4 and len(second) == 6
    kinds = {identity(configuration) for configuration in first + second}
    assert len(kinds) == 10  # nothing was drawn again
    rows = trial_rows(settings, read_trials(folder), alive=False)
    assert [row.number for row in rows] == list(range(10))
    assert {row.state for row in rows} <= {"complete", "pruned"}
    assert all((row.epochs == 4) == (row.state == "complete") for row in rows)


@pytest.mark.filterwarnings("ignore")  # Optuna's own, of experimental samplers and of small studies
@pytest.mark.parametrize("name", list(SAMPLERS))
def test_a_sampler_conforms(name, tmp_path):
    space = CHOICES if name == "grid" else NUMBERS
    more = 'second_objective = "seconds"' if name == "nsga2" else ""
    assert_conforms(study(space, more, **{"sampler.name": name, "pruner.name": "none"}), tmp_path / "mine")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", list(PRUNERS))
def test_a_pruner_conforms(name, tmp_path):
    assert_conforms(study(**{"pruner.name": name, "sampler.name": "random"}), tmp_path / "mine")


def test_a_grid_goes_through_all_configurations_in_order(tmp_path):
    settings = study(CHOICES, **{"sampler.name": "grid", "trials": 16, "pruner.name": "none"})
    assert run(settings, StudyFolder(tmp_path)) == list(settings.configurations.values())


def test_a_class_of_anybodys_goes_by_its_path(tmp_path):
    settings = study(**{"sampler.name": "optuna.samplers:QMCSampler", "pruner.name": "optuna.pruners:NopPruner"})
    assert type(build_sampler(settings, 0)).__name__ == "QMCSampler"
    assert_conforms(settings, tmp_path / "mine")


@pytest.mark.parametrize(
    ("space", "more", "overrides", "said"),
    [
        (NUMBERS, "", {"sampler.name": "tep"}, "sampler: no sampler 'tep'; did you mean `tpe`?"),
        (NUMBERS, "", {"sampler.name": "grid"},
         "sampler: grid goes through all values, and space.learning_rate is a range of real numbers; list its choices"),
        (CHOICES, "", {"sampler.name": "cmaes"},
         "sampler: cmaes draws numbers alone, and space.learning_rate has choices; fix it in [training], or take tpe"),
        (NUMBERS, "", {"sampler.name": "nsga2"},
         'sampler: nsga2 is for two objectives; add second_objective = "seconds"'),
        (NUMBERS, 'second_objective = "seconds"', {},
         'second_objective: tpe knows one objective; take sampler = "nsga2", or leave it out'),
        (NUMBERS, "", {"sampler.name": "tpe", "sampler.arguments": {"n_startup": 3}},
         "sampler.arguments.n_startup: tpe does not take it; did you mean `n_startup_trials`?"),
        (NUMBERS, "", {"sampler.name": "optuna.samplers:TPESamplers"},
         "sampler: optuna.samplers:TPESamplers cannot be imported: "),
        (NUMBERS, "", {"sampler.name": "math:sqrt"},
         "sampler: math:sqrt is a builtin_function_or_method, not a class of optuna's BaseSampler, so it is not "
         "called"),
    ],
)  # fmt: skip
def test_a_sampler_that_cannot_serve_is_refused_before_the_start(space, more, overrides, said):
    with pytest.raises(StudyFileError) as refused:
        build_sampler(study(space, more, **overrides), 0)
    assert str(refused.value).startswith(said)


def test_a_pruner_that_is_none_is_refused():
    for overrides, said in (
        ({"pruner.name": "ahsa"}, "pruner: no pruner 'ahsa'; did you mean `asha`?"),
        ({"pruner.name": "percentile", "pruner.arguments": {"percent": 3}},
         "pruner.arguments.percent: percentile does not take it; did you mean `percentile`?"),
        ({"pruner.name": "percentile", "pruner.arguments": {"percentile": 300.0}},
         "pruner.arguments: percentile refuses them: "),
        ({"pruner.name": "patient", "pruner.arguments": {"wrapped_pruner": "halving"}},
         'pruner.arguments: patient refuses them: wrapped_pruner must be "median" or "none", but got \'halving\''),
    ):  # fmt: skip
        with pytest.raises(StudyFileError) as refused:
            build_pruner(study(**overrides))
        assert str(refused.value).startswith(said)


@pytest.mark.parametrize(("name", "few"), [("tpe", {"n_startup_trials": 5}), ("gp", {"n_startup_trials": 5})])
def test_finished_trials_of_another_study_are_known_to_the_sampler_and_not_counted(tmp_path, name, few):
    other = StudyFolder(tmp_path / "other")
    settings = study(**{"sampler.name": name, "sampler.arguments": few, "pruner.name": "none"})
    run(settings, other)
    other.study_file.write_text(dump_study(settings))
    mine = StudyFolder(tmp_path / "mine")
    mine.root.mkdir()
    assert (
        take_over(settings, mine, read_overview(other)) == "10 of 10 finished trials of other are known to the sampler"
    )
    for folder, checksum in ((mine, "sha256:1"), (other, "sha256:2")):
        add_run(folder, print, data={"name": "images", "checksum": checksum})
    assert take_over(settings, mine, read_overview(other)).endswith(
        "are known to the sampler, though their images were others"
    )
    cold, warm = run(settings, StudyFolder(tmp_path / "cold"), at_most=1), run(settings, mine, at_most=1)
    assert cold != warm and len(read_trials(mine)) == 1
    narrow = study(NUMBERS.replace("low = 1e-4, high = 1e-1", "low = 0.5, high = 0.6"))
    assert len(read_observations(settings, mine)) == 10
    with pytest.raises(
        StudyFolderError, match=r"none of its 10 trials that have a value or .* the space of mine; name"
    ):
        take_over(narrow, StudyFolder(tmp_path / "narrow"), read_overview(other))


def test_a_study_with_two_objectives_takes_no_trials_of_another_and_goes_on_if_it_has(tmp_path):
    other, mine = StudyFolder(tmp_path / "other"), StudyFolder(tmp_path / "mine")
    first = study(trials=3, **{"pruner.name": "none"})
    run(first, other)
    other.study_file.write_text(dump_study(first))
    two = study(more='second_objective = "seconds"', **{"sampler.name": "nsga2", "pruner.name": "none"})
    with pytest.raises(StudyFolderError) as refused:
        take_over(two, mine, read_overview(other))
    assert str(refused.value) == (
        "--warm-start other: its seconds are not known to this study; leave out --warm-start or second_objective"
    )
    mine.root.mkdir()
    take_over(first, mine, read_overview(other))  # as versions before let it
    assert len(run(two, mine)) == 10


def enqueued(*configurations):
    return "".join(f"[[enqueue]]\n{one.replace(', ', chr(10))}\n" for one in configurations)


ONE = "learning_rate = 0.001, batch_size = 16, optimizer = 'sgd', momentum = 0.0"
TWO = ONE.replace("0.001", "0.002")


def test_what_is_enqueued_twice_or_is_a_reference_is_trained_once_and_that_is_said(tmp_path):
    references = f"[references.one]\n{ONE}\n[references.same]\n{ONE}\n".replace(", ", "\n")
    settings, notes = study(NUMBERS + references + enqueued(TWO, ONE, TWO), **{"pruner.name": "none"}), []
    folder = StudyFolder(tmp_path)
    for at_most in (1, 2, 99):  # also after an interruption
        drawn = run(settings, folder, at_most=at_most, tell=Listeners([lambda event: notes.append(event)]))
    params = [trial.params for trial in read_trials(folder)]
    assert [one["learning_rate"] for one in params[:2]] == [0.001, 0.002] and len(drawn) == 7
    assert len({tuple(one.items()) for one in params}) == len(params) == 10
    said = [
        "references.same: is the configuration of trial 0; it is trained once",
        "enqueue.1: is the configuration of trial 0; it is trained once",
        "enqueue.2: is the configuration of trial 1; it is trained once",
    ]
    assert [note.text for note in notes if isinstance(note, Noted)] == 3 * said


def test_what_a_finished_trial_has_drawn_is_not_trained_again_when_it_is_enqueued_later(tmp_path):
    first = study(trials=3, **{"pruner.name": "none"})
    drawn = run(first, StudyFolder(tmp_path))[1]
    later = first.model_copy(update={"trials": 5, "enqueue": [drawn]})
    assert drawn not in run(later, StudyFolder(tmp_path))


def test_what_is_enqueued_may_take_the_place_of_what_training_fixes_as_a_reference_may(tmp_path):
    space = NUMBERS.replace('optimizer = "sgd"\n', "") + '[training]\noptimizer = "sgd"\nlabel_smoothing = 0.1\n'
    one = ONE.replace("optimizer = 'sgd', ", "") + ", label_smoothing = 0.0"
    settings, folder = study(space + enqueued(one), trials=2), StudyFolder(tmp_path)
    assert [one["label_smoothing"] for one in run(settings, folder)] == [0.0, 0.1]
    assert [row.params.get("label_smoothing") for row in trial_rows(settings, read_trials(folder), alive=False)] == [
        0.0, None,
    ]  # fmt: skip


def test_enqueued_configurations_come_behind_the_references_once(tmp_path):
    more = "\n".join(f"[[enqueue]]\nlearning_rate = {rate}\nbatch_size = 32\noptimizer = 'sgd'\nmomentum = 0.5"
                     for rate in (0.002, 0.004))  # fmt: skip
    reference = "[references.one]\nlearning_rate = 0.001\nbatch_size = 16\noptimizer = 'sgd'\nmomentum = 0.0\n"
    settings = study(NUMBERS + reference + more, **{"pruner.name": "none"})
    folder = StudyFolder(tmp_path)
    drawn = run(settings, folder, at_most=2) + run(settings, folder)
    assert [one["learning_rate"] for one in drawn[:3]] == [0.001, 0.002, 0.004]
    assert len({tuple(sorted(one.items())) for one in drawn}) == len(drawn) == 10
