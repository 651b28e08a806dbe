"""Faults that earlier versions accepted: refused in a new study, told of one that was run with them."""

import pytest

from hw2tune.errors import StudyFileError
from hw2tune.study.earlier import earlier_faults
from hw2tune.study.file import differences, dump_study, parse_study

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


ADAM = 'optimizer = "adam"\nbatch_size = 32'
SGD = 'optimizer = "sgd"\nbatch_size = 32'
BOTH = f"{OPTIMIZERS}{RATE} }}"
REFERENCE = "[references.base]\nlearning_rate = 0.01\n"
WITHS = ("momentum = 0.9", 'optimizer = "adamw", momentum = 0.9', "nesterov = true",
         'optimizer = "sgd", momentum = 0.9, nesterov = true')  # fmt: skip
MOMENTUM, ADAMW, NESTEROV, OF_SGD = (
    f'[[claims]]\na = {{ of = "tuned", with = {{ {one} }} }}\nb = "tuned"\n' for one in WITHS
)


@pytest.mark.parametrize(
    ("training", "space", "named"),
    [
        (f"{ADAM}\nmomentum = 0.9", f"{RATE} }}", ["training.momentum: adam has none; leave it out"]),
        (f"{TRAINED}\nbeta1 = 0.9", f'optimizer = ["sgd", "rmsprop"]\n{RATE} }}',
         ["training.beta1: none of sgd, rmsprop has beta1; leave it out"]),
        (f"{ADAM}\nnesterov = false", f"{RATE} }}", ["training.nesterov: adam has none; leave it out"]),
        (f"{SGD}\nnesterov = true", f"{RATE} }}",
         ["training.nesterov: sgd has none without momentum; set momentum, or leave it out"]),
        (f"{SGD}\nnesterov = true\nmomentum = 0.0", f"{RATE} }}",
         ["training.nesterov: sgd has none without momentum; set momentum, or leave it out"]),
        (SGD, f"{RATE} }}\nnesterov = [true, false]",
         ["space.nesterov: sgd has none without momentum; set momentum, or leave it out"]),
        (ADAM, f"{RATE} }}\n{REFERENCE}momentum = 0.5", ["references.base.momentum: adam has none; leave it out"]),
        (ADAM, f"{RATE} }}\n[[enqueue]]\nlearning_rate = 0.01\nmomentum = 0.5",
         ["enqueue.0.momentum: adam has none; leave it out"]),
        (ADAM, f"{RATE} }}\n{MOMENTUM}",
         ["claims.0.a.with.momentum: adam has none; leave it out"]),
        (TRAINED, f"{BOTH}\n{ADAMW}",
         ["claims.0.a.with.momentum: adamw has none; leave it out"]),
        (TRAINED, f"{BOTH}\n{NESTEROV}",
         ["claims.0.a.with.nesterov: none of sgd, adam has nesterov without momentum; set momentum, or leave it out"]),
        (ADAM, f'{RATE} }}\n{REFERENCE}[[claims]]\na = {{ of = "base", with = {{ momentum = 0.9 }} }}\nb = "base"\n',
         ["claims.0.a.with.momentum: adam has none; leave it out",
          "claims.0: a and b train the same; a claim compares two configurations"]),
        (SGD, f'{RATE} }}\n{REFERENCE}[[claims]]\na = {{ of = "base", with = {{ momentum = 0.0 }} }}\nb = "base"\n',
         ["claims.0: a and b train the same; a claim compares two configurations"]),
        (TRAINED, f"{BOTH}\n[arms.one]\noptimizer = 'adam'\nmomentum = 0.9\n[arms.two]\noptimizer = 'sgd'",
         ["arms.one.momentum: adam has none; leave it out"]),
    ],
)  # fmt: skip
def test_what_no_optimizer_of_a_training_has_is_refused_wherever_it_is_given(training, space, named):
    assert faults(training, space) == named
    study = parsed(training, space, was_run=lambda name: True)
    assert [f"{place}: {fault}" for place, fault in earlier_faults(study).items()] == named


def of_function(top):
    text = FILE.replace("digits", "data.py:load").replace("TRAINING", ADAM).replace("SPACE", f"{RATE} }}")
    return text.replace("MODEL", "net.py:Net").replace("TOP", top)


def test_keys_of_a_folder_of_images_are_refused_beside_a_function():
    text = of_function("resize = [8, 8]\ntest_share = 0.5")
    with pytest.raises(StudyFileError) as refused:
        parse_study(text, "mine.toml", missing_code_ok=True)
    assert str(refused.value).splitlines() == [
        "mine.toml: resize: goes with a folder of images, and data.py:load returns arrays; leave resize out",
        "mine.toml: test_share: goes with a folder of images, and data.py:load returns test images; leave test_share "
        "out",
    ]
    there = parse_study(text, "mine.toml", missing_code_ok=True, was_run=lambda name: True)
    assert list(earlier_faults(there)) == ["resize", "test_share"]
    assert differences(there, parse_study(of_function(""), "mine.toml", missing_code_ok=True)) == []


SWITCH = f"{RATE} }}\nmodel.norm = [true, false]\n"
NUMBERS = f"{RATE} }}\nmodel.depth = [1, 2]\n"


@pytest.mark.parametrize(
    ("space", "fault"),
    [
        (f'{SWITCH}model.m = {{ choices = [1, 2], when = {{ "model.norm" = 1 }} }}',
         "space.model.m.when.model.norm: must be one of the choices of model.norm (true, false), but got 1"),
        (f'{SWITCH}model.m = {{ choices = [1, 2], when = {{ "model.norm" = [true, 0] }} }}',
         "space.model.m.when.model.norm: must be one of the choices of model.norm (true, false), but got 0"),
        (f'{NUMBERS}model.m = {{ choices = [1, 2], when = {{ "model.depth" = true }} }}',
         "space.model.m.when.model.depth: must be one of the choices of model.depth (1, 2), but got true"),
        (f"{NUMBERS}{REFERENCE}model.depth = true",
         "references.base.model.depth: must be one of the choices of model.depth (1, 2), but got true"),
        (f"{SWITCH}[[enqueue]]\nlearning_rate = 0.01\nmodel.norm = 1.0",
         "enqueue.0.model.norm: must be one of the choices of model.norm (true, false), but got 1.0"),
        (f"{NUMBERS}[arms.one]\nmodel.depth = true\n[arms.two]\nmodel.depth = 2",
         "arms.one.model.depth: must be one of the choices of model.depth (1, 2), but got true"),
    ],
)  # fmt: skip
def test_a_number_is_no_switch(space, fault):
    assert faults(ADAM, space) == [fault]
    assert list(earlier_faults(parsed(ADAM, space, was_run=lambda name: True))) == [fault.partition(": ")[0]]


def test_another_notation_of_a_number_is_the_same_choice():
    space = f'{NUMBERS}model.m = {{ choices = [1, 2], when = {{ "model.depth" = 2.0 }} }}\n{REFERENCE}'
    assert earlier_faults(parsed(ADAM, f"{space}model.depth = 1.0")) == {}


@pytest.mark.parametrize(
    ("training", "space"),
    [
        (f"{TRAINED}\nmomentum = 0.9\nnesterov = true", BOTH),  # for trials with sgd
        (f'{TRAINED}\noptimizer = "muon"\nnesterov = true', f"{RATE} }}"),  # has a momentum of its own
        (f"{SGD}\nnesterov = true", f"{RATE} }}\nmomentum = [0.0, 0.9]"),
        (SGD, f"{RATE} }}\nmomentum = [0.0, 0.9]\nnesterov = [true, false]\n"
         f"{REFERENCE}momentum = 0.0\nnesterov = true"),  # must have a value
        (TRAINED, f"{BOTH}\n{MOMENTUM}"),
        (ADAM, f"{RATE} }}\n{OF_SGD}"),
        (f"{TRAINED}\nmomentum = 0.9", f"{BOTH}\n[arms.one]\noptimizer = 'adam'\n[arms.two]\noptimizer = 'sgd'"),
    ],
)  # fmt: skip
def test_what_some_training_uses_is_sound(training, space):
    assert earlier_faults(parsed(training, space)) == {}


def test_what_is_not_used_is_not_printed_and_leaving_it_out_changes_no_study():
    there = parsed(f"{ADAM}\nmomentum = 0.9", f"{RATE} }}\n{REFERENCE}momentum = 0.5", was_run=lambda name: True)
    assert there.fixed == {"optimizer": "adam", "batch_size": 32}
    assert there.complete({"learning_rate": 0.1}) == {"optimizer": "adam", "batch_size": 32, "learning_rate": 0.1}
    assert "momentum" not in there.reference("base").as_dict()
    mended = parsed(ADAM, f"{RATE} }}\n{REFERENCE}")
    assert differences(there, mended) == differences(mended, there) == []
    other = parsed(f"{SGD}\nmomentum = 0.9", f"{RATE} }}\n{REFERENCE}")
    assert differences(there, other) == ["training.optimizer: adam -> sgd"]
    searched = parsed(f"{TRAINED}\nmomentum = 0.9", BOTH)
    assert searched.fixed == searched.training and "momentum" not in searched.complete({"optimizer": "adam"})
