"""Faults that earlier versions accepted: refused in a new study, told of one that was run with them."""

import pytest

from hw2tune.errors import StudyFileError
from hw2tune.study.earlier import earlier_faults
from hw2tune.study.file import dump_study, parse_study

FILE = """
name = "mine"
dataset = "digits"
model = "MODEL"
max_epochs = 3
TOP
[training]
TRAINING
[space]
SPACE
"""
TRAINED = "batch_size = 32"
OPTIMIZERS = 'optimizer = ["sgd", "adam"]\n'
RATE = "learning_rate = { low = 0.001, high = 0.1, log = true"


def parsed(training=TRAINED, space="", model="net.py:Net", top="", **options):
    text = FILE.replace("TRAINING", training).replace("SPACE", space).replace("MODEL", model).replace("TOP", top)
    return parse_study(text, "mine.toml", missing_code_ok=True, **options)


def faults(*given, **options):
    with pytest.raises(StudyFileError) as refused:
        parsed(*given, **options)
    return [line.removeprefix("mine.toml: ") for line in str(refused.value).splitlines()]


@pytest.mark.parametrize(
    ("space", "fault"),
    [
        (f'{OPTIMIZERS}{RATE}, when = {{ optimizer = "sgd" }} }}',
         "space.learning_rate.when.optimizer: every configuration needs learning_rate, and with optimizer = adam it "
         "would have none; leave the condition out"),
        (f'{OPTIMIZERS}{RATE}, when = {{ "model.width" = {{ low = 8.5 }} }} }}\nmodel.width = {{ low = 8, high = 9 }}',
         "space.learning_rate.when.model.width: every configuration needs learning_rate, and with model.width outside "
         "of 8.5.. it would have none; leave the condition out"),
        (f'{OPTIMIZERS}{RATE}, when = {{ "model.dropout" = {{ low = 0.1 }} }} }}\n'
         "model.dropout = { low = 0.1, high = 0.5, or_zero = true }",
         "space.learning_rate.when.model.dropout: every configuration needs learning_rate, and with model.dropout "
         "outside of 0.1.. it would have none; leave the condition out"),
        (f"{OPTIMIZERS}{RATE}, when = {{ momentum = {{ low = 0.0 }} }} }}\n"
         'momentum = { low = 0.0, high = 0.9, when = { optimizer = "sgd" } }',
         "space.learning_rate.when.momentum: every configuration needs learning_rate, and without momentum it would "
         "have none; leave the condition out"),
        (f'optimizer = {{ choices = ["sgd", "adam"], when = {{ "model.norm" = true }} }}\n{RATE} }}\n'
         "model.norm = [true, false]",
         "space.optimizer.when.model.norm: every configuration needs optimizer, and with model.norm = false it would "
         "have none; leave the condition out"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("model", ["net.py:Net", "torchvision.models:resnet18"])
def test_a_condition_on_what_every_configuration_needs_is_refused_for_any_network(space, fault, model):
    assert faults(space=space, model=model) == [fault]


def test_a_batch_size_under_a_condition_is_refused():
    space = f'{OPTIMIZERS}{RATE} }}\nbatch_size = {{ choices = [32, 64], when = {{ optimizer = "sgd" }} }}'
    assert [fault.partition(":")[0] for fault in faults("", space)] == ["space.batch_size.when.optimizer"]


@pytest.mark.parametrize(
    "space",
    [
        f'{OPTIMIZERS}{RATE}, when = {{ optimizer = ["sgd", "adam"] }} }}',
        f'{OPTIMIZERS}{RATE}, when = {{ "model.width" = {{ low = 8, high = 32 }} }} }}\n'
        "model.width = { low = 8, high = 32, integer = true }",
        f'{OPTIMIZERS}{RATE}, when = {{ "model.width" = {{ low = 8 }} }} }}\nmodel.width = {{ low = 8, high = 9 }}',
        f'{OPTIMIZERS}{RATE}, when = {{ "model.a" = 1 }} }}\n'
        'model.a = { choices = [1], when = { optimizer = ["adam", "sgd"] } }',
    ],
)
def test_a_condition_that_always_holds_is_sound(space):
    assert earlier_faults(parsed(space=space)) == {}


def test_a_study_that_was_run_with_such_a_condition_is_still_read():
    space = f'{OPTIMIZERS}{RATE}, when = {{ optimizer = "sgd" }} }}'
    study = parsed(space=space, was_run=lambda name: name == "mine")
    assert list(earlier_faults(study)) == ["space.learning_rate.when.optimizer"]
    assert parse_study(dump_study(study), "x", missing_code_ok=True, was_run=lambda name: True) == study
