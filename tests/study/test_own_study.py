"""Studies of the user's own: references, claims, conditions, fixed values, modules and folders by path."""

import pytest

from hw2tune.errors import StudyFileError
from hw2tune.study.file import differences, dump_study, parse_study
from hw2tune.study.hyperparameters import Hyperparameters, identity

OWN = """
name = "mine"
dataset = "digits"
model = "net.py:Net"
max_epochs = 3
validation_size = 0.2
trials = 5
sampler = "random"
[training]
schedule = "cosine"
[space]
learning_rate = { low = 1e-4, high = 1e-1, log = true }
batch_size = { low = 16, high = 64, step = 16, integer = true }
optimizer = ["sgd", "adamw", "rmsprop"]
momentum = { low = 0.0, high = 0.99, when = { optimizer = ["sgd", "rmsprop"] } }
nesterov = { choices = [true, false], when = { optimizer = "sgd", momentum = { low = 0.1 } } }
weight_decay = 0.0
model.width = [8, 16]
"model.dropout" = { low = 0.0, high = 0.5, when = { "model.width" = { low = 10 } } }
[references.small]
learning_rate = 0.01
batch_size = 32
optimizer = "adamw"
weight_decay = 0.0
model.width = 8
[references.large]
learning_rate = 0.01
batch_size = 32
optimizer = "sgd"
momentum = 0.5
nesterov = true
weight_decay = 0.0
model.width = 16
model.dropout = 0.1
schedule = "constant"
[[claims]]
sentence = "twice the width"
a = "large"
b = "small"
[[claims]]
a = "tuned"
b = { with = { "model.dropout" = 0.0 } }
"""


@pytest.fixture
def place(tmp_path):
    (tmp_path / "net.py").write_text("class Net: pass\n")
    return str(tmp_path / "mine.toml")


def faults(text: str, place: str) -> list[str]:
    with pytest.raises(StudyFileError) as refused:
        parse_study(text, place)
    return [line.removeprefix(f"{place}: ") for line in str(refused.value).splitlines()]


def test_everything_is_read_and_written_back(place):
    study = parse_study(OWN, place)
    assert list(study.variants) == ["small", "large", "tuned", "tuned-dropout-0"]
    assert study.code == {"net.py": "class Net: pass\n"}
    assert (study.sampler.name, study.trials, study.loss) == ("random", 5, "cross_entropy")
    assert study.reference("small").schedule == "cosine" and study.reference("large").schedule == "constant"
    assert dict(study.reference("large").model) == {"width": 16, "dropout": 0.1}
    again = parse_study(dump_study(study), place)
    assert again == study and differences(study, again) == []


def test_a_change_of_the_code_makes_another_study(place, tmp_path):
    before = parse_study(OWN, place)
    (tmp_path / "net.py").write_text("class Net: x = 1\n")
    [changed] = differences(before, parse_study(OWN, place))
    assert changed.startswith("code: ")


def test_conditions_hold_on_values_lists_ranges_and_on_conditional_ones(place):
    import optuna

    space = parse_study(OWN, place).search_space
    optuna_study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    seen = set()
    for _ in range(200):
        drawn = space.suggest(trial := optuna_study.ask())
        assert ("momentum" in drawn) == (drawn["optimizer"] != "adamw")
        assert ("nesterov" in drawn) == (drawn["optimizer"] == "sgd" and drawn["momentum"] >= 0.1)
        assert ("model.dropout" in drawn) == (drawn["model.width"] == 16)
        assert drawn["batch_size"] in (16, 32, 48, 64) and isinstance(drawn["batch_size"], int)
        assert space.decode(trial.params) == drawn and space.encode(drawn) == trial.params
        seen.add(("nesterov" in drawn, "model.dropout" in drawn))
    assert len(seen) == 4


def test_without_claims_the_winner_is_held_against_the_first_reference_and_without_references_against_nothing(place):
    none = OWN[: OWN.index("[[claims]]")]
    assert [(claim.a.variant, claim.b.variant) for claim in parse_study(none, place).claims] == [("tuned", "small")]
    bare = parse_study(none[: none.index("[references.small]")], place)
    assert (bare.claims, list(bare.variants)) == ([], ["tuned"])


def test_version_01s_published_configurations_are_references_with_its_claims():
    text = """
name = "old"
dataset = "mnist"
model = "mnist_cnn"
loss = "double_softmax"
max_epochs = 5
validation_size = 500
sampler = "tpe"
space = { learning_rate = [0.001], batch_size = [100], optimizer = ["adam"], weight_decay = [0.0, 1e-4] }
[published.baseline]
learning_rate = 0.001
batch_size = 100
optimizer = "adam"
weight_decay = 0.0
[published.l2]
learning_rate = 0.001
batch_size = 100
optimizer = "adam"
weight_decay = 1e-4
"""
    study = parse_study(text, "old.toml")
    assert list(study.variants) == ["baseline", "l2", "tuned", "tuned-no-l2"]
    assert [(c.a.variant, c.b.variant) for c in study.claims] == [
        ("l2", "baseline"), ("tuned", "baseline"), ("tuned", "tuned-no-l2"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('schedule = "cosine"', 'schedule = "cosin"',
         "training.schedule: must be one of constant, cosine, one_cycle, but got 'cosin'"),
        ('schedule = "cosine"', "learning_rate = 0.1",
         "training.learning_rate: stands in [space] as well; let it be searched there or fixed here"),
        ('schedule = "cosine"', "lr = 0.1", "training.lr: unknown hyperparameter; it is called `learning_rate` here"),
        ('schedule = "cosine"', 'augment = ["flip"]',
         "training.augment: must be one value; what is to be searched stands in [space]"),
        ('schedule = "cosine"', 'augment = "flop"',
         "training.augment: must be one of none, flip, crop, cutout, flip+crop, flip+cutout, crop+cutout, "
         "flip+crop+cutout, but got 'flop'"),
        ('optimizer = ["sgd", "rmsprop"]', 'optimizer = ["sgd", "adamw"]',
         "space.momentum: only sgd and rmsprop have momentum, so it needs "
         'when = { optimizer = ["sgd", "rmsprop"] }'),
        ("momentum = { low = 0.1 } }", "momentum = { low = 1.5 } }",
         "space.nesterov.when.momentum: no value of momentum (0..0.99 when optimizer = sgd or rmsprop) lies in 1.5.."),
        ('[8, 16]\n"model.dropout" = { low = 0.0, high = 0.5, when = { "model.width" = { low = 10 } } }',
         '{ low = -2, high = -1 }\n"model.dropout" = { low = 0.0, high = 0.5, when = { "model.width" = { low = 0 } } }',
         "space.model.dropout.when.model.width: no value of model.width (-2..-1) lies in 0.."),
        ("momentum = { low = 0.1 } }", "momentum = {} }",
         "space.nesterov.when.momentum: a range needs low, high or both"),
        ("model.width = [8, 16]", 'model.width = { choices = [8, 16], when = { "model.dropout" = { low = 0.1 } } }',
         "space: the conditions of model.dropout and model.width wait for each other; take one `when` out"),
        ("step = 16, integer = true", "step = 16",
         "space.batch_size: a range draws real numbers and a batch size is whole; write choices, for example "
         "batch_size = [16, 32, 64], or add integer = true"),
        ("model.width = [8, 16]", "model.width = [[8, 16], [16, 32]]",
         "space.model.width.choices: each choice must be one number, text, true or false, but got [8, 16]; name lists "
         "by a word (small, large) and look them up in the network"),
        ("model.width = [8, 16]", "model.width = { choices = [8, { a = 1 }, 2026-11-28] }",
         "space.model.width.choices: each choice must be one number, text, true or false, but got {'a': 1}; name lists "
         "by a word (small, large) and look them up in the network"),
        ('when = { optimizer = "sgd", ', 'when = { optimizer = [["sgd"]], ',
         "space.nesterov.when.optimizer.0: must be one value, but got ['sgd']"),
        ("model.width = [8, 16]", "model.width = { low = 8, high = 16, step = 4 }",
         "space.model.width: `step` goes with integer = true alone, but got step=4"),
        ("low = 16, high = 64, step", "low = 16.5, high = 64, step",
         "space.batch_size: whole bounds must stand with integer = true, but got low=16.5, high=64.0"),
        ("validation_size = 0.2", "validation_size = 1.5",
         "validation_size: must be a number of images >= 1 or a share between 0 and 1, but got 1.5"),
        ("trials = 5", "trials = 1",
         "trials: must be 2 or more, as the references are the first trials, but got 1"),
        ('a = "large"', 'a = "lage"', "claims.0.a: no configuration 'lage'; did you mean `large`?"),
        ('a = "large"\nb = "small"', 'a = "small"\nb = "small"',
         "claims.0: a and b are the same; a claim compares two configurations"),
        ('a = "large"\nb = "small"', 'a = "small"\nb = { of = "small", name = "again" }',
         "claims.0: a and b are the same; a claim compares two configurations"),
        ('with = { "model.dropout" = 0.0 }', 'with = { wd = 0.0 }',
         "claims.1.b.with.wd: unknown hyperparameter; it is called `weight_decay` here"),
        ('b = { with', 'b = { name = "small", with',
         "claims.1.b.name: must be a new name of letters, digits, `.`, `_` and `-`, but got 'small'"),
        ('b = { with', 'b = { off = "tuned", with', "claims.1.b.off: unknown key; did you mean `of`?"),
        ('model = "net.py:Net"', 'model = "net.py:"',
         "model: behind the colon there must be a name, as in net.py:Wide, but got 'net.py:'"),
        ('model = "net.py:Net"', 'model = "net.py:Nets"', None),
        ("model.dropout = 0.1\n", "",
         "references.large.model.dropout: is in [space] but has no value here"),
        ('optimizer = "adamw"\nweight', 'optimizer = "adamw"\nbeta1 = 2\nweight',
         "references.small.beta1: must be a number with 0 <= beta1 < 1, but got 2"),
        ('optimizer = "sgd"\nmomentum = 0.5', 'optimizer = "sgd"\nbeta1 = 0.5\nmomentum = 0.5',
         "references.large.beta1: sgd has none; leave it out"),
        ('dataset = "digits"', 'dataset = "digit"', "dataset: no data set 'digit'; did you mean `digits`?"),
        ('dataset = "digits"', 'dataset = "shapes"',
         "dataset: no data set 'shapes'; known here: mnist, cifar10, fashion-mnist, kmnist, emnist-digits, digits, "
         "mnist-5k, synthetic-mnist, synthetic-cifar10; a folder of images goes by its path (./shapes), a function by "
         "file.py:name"),
        ("max_epochs = 3", "max_epochs = 3\ntest_share = 0.2",
         "test_share: digits has test images of its own; leave test_share out"),
        ("max_epochs = 3", "max_epochs = 3\nresize = [8, 8]",
         "resize: goes with a folder of images, and digits is none; leave resize out"),
        ("max_epochs = 3", 'max_epochs = 3\nobjective = "accuracy"',
         "objective: must be one of validation_accuracy, validation_loss, balanced_accuracy, macro_f1, or file.py:name "
         "of a function, but got 'accuracy'"),
    ],
)  # fmt: skip
def test_a_fault_of_the_new_kinds_is_named(place, old, new, fault):
    assert old in OWN
    found = faults(OWN.replace(old, new, 1), place)
    if fault is None:
        assert found[0].startswith("model: ") and found[0].endswith("net.py defines no 'Nets'; did you mean `Net`?")
    else:
        assert fault in found, found


def test_equal_trainings_are_told_whatever_way_they_are_written():
    base = {"learning_rate": 0.1, "batch_size": 8, "optimizer": "sgd"}
    assert identity(base) == identity(base | {"momentum": 0, "nesterov": False, "schedule": "constant"})
    assert identity(base) == identity(base | {"warmup": 0.0, "beta1": 0.5, "augment": "none"})
    assert identity(base) != identity(base | {"warmup": 0.1})
    muon = base | {"optimizer": "muon"}
    assert identity(muon) == identity(muon | {"momentum": 0.95, "nesterov": True}) != identity(muon | {"momentum": 0.0})
    assert identity(base | {"model.width": 8}) != identity(base | {"model.width": 16})
    nesterov = base | {"nesterov": True}
    assert (
        identity(base)
        == identity(nesterov)
        == identity(nesterov | {"momentum": 0.0})
        != identity(nesterov | {"momentum": 0.5})
    )


def test_a_configuration_is_recorded_without_what_its_optimizer_lacks():
    base = {"learning_rate": 0.1, "batch_size": 8, "optimizer": "adam", "weight_decay": 0.0}
    assert Hyperparameters.of(base | {"momentum": 0.9, "nesterov": True, "beta1": 0.8}).as_dict() == base | {
        "beta1": 0.8
    }
    sgd = base | {"optimizer": "sgd"}
    assert Hyperparameters.of(sgd | {"nesterov": True, "beta2": 0.9}).as_dict() == sgd
    assert Hyperparameters.of(sgd | {"nesterov": False}).as_dict() == sgd | {"nesterov": False}
