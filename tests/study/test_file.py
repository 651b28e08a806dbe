"""Study files: what is read, and what is refused in which words."""

import codecs
import re

import pytest

from hw2tune.errors import StudyFileError
from hw2tune.study.file import differences, dump_study, find_study, parse_study
from hw2tune.study.hyperparameters import Hyperparameters
from hw2tune.study.names import shipped_studies

GOOD = """
name = "mine"
dataset = "mnist"
model = "mnist_cnn"
loss = "cross_entropy"
max_epochs = 5
validation_size = 5000
[space]
learning_rate = { low = 1e-4, high = 1e-1, log = true }
batch_size = { choices = [32, 64] }
optimizer = { choices = ["sgd", "adam"] }
momentum = { low = 0.0, high = 0.99, when = { optimizer = "sgd" } }
weight_decay = { low = 1e-6, high = 1e-1, log = true, or_zero = true }
[references.baseline]
learning_rate = 0.001
batch_size = 32
optimizer = "adam"
weight_decay = 0.0
[references.l2]
learning_rate = 0.001
batch_size = 32
optimizer = "sgd"
momentum = 0.9
weight_decay = 1e-4
"""


def faults(text: str) -> list[str]:
    with pytest.raises(StudyFileError) as refusal:
        parse_study(text, "mine.toml")
    lines = str(refusal.value).splitlines()
    assert all(line.startswith("mine.toml: ") for line in lines)
    return [line.removeprefix("mine.toml: ") for line in lines]


@pytest.mark.parametrize("name", ["quickstart", "mnist", "cifar10"])
def test_a_shipped_study_file_is_sound_and_survives_being_written(name, tmp_path):
    study = parse_study(*find_study(name))
    (tmp_path / "study.toml").write_text(dump_study(study))
    assert study.name == name
    assert parse_study(*find_study(str(tmp_path / "study.toml"))) == study


def test_the_published_configurations_are_the_published_ones():
    mnist, cifar10 = (parse_study(*find_study(name)) for name in ("mnist", "cifar10"))
    assert mnist.reference("baseline") == Hyperparameters(
        learning_rate=0.001, batch_size=100, optimizer="adam", weight_decay=0.0
    )
    assert cifar10.reference("l2") == Hyperparameters(
        learning_rate=0.001, batch_size=32, optimizer="sgd", momentum=0.9, weight_decay=1e-4
    )
    assert (mnist.loss, mnist.max_epochs, cifar10.loss, cifar10.max_epochs) == (
        "double_softmax", 5, "cross_entropy", 35
    )  # fmt: skip


def test_every_shipped_study_file_opens_with_command_cost_and_expected_result():
    for name, path in shipped_studies().items():
        comment = path.read_text().split("name =")[0]
        assert f"hw2tune study {name}" in comment
        assert "Cost:" in comment and "Expected:" in comment and "PLACEHOLDER" not in comment


def test_a_plain_value_in_the_space_is_a_choice_of_one():
    study = parse_study(GOOD.replace('{ choices = ["sgd", "adam"] }', '["x"]').replace('["x"]', '"adam"')
                        .replace('momentum = { low = 0.0, high = 0.99, when = { optimizer = "sgd" } }\n', "")
                        .replace('optimizer = "sgd"\nmomentum = 0.9', 'optimizer = "adam"'), "x")  # fmt: skip
    assert str(study.search_space.distributions["optimizer"]) == "{adam}"


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("max_epochs = 5", "max_epoch = 5", "max_epoch: unknown key; did you mean `max_epochs`?"),
        ("max_epochs = 5", 'max_epochs = "5"', "max_epochs: must be a valid integer, but got '5'"),
        ("max_epochs = 5", "max_epochs = 0", "max_epochs: must be greater than or equal to 1, but got 0"),
        ('name = "mine"', "", "name: is missing"),
        ('name = "mine"', 'name = "../mine"',
         "name: must be 1 to 64 letters, digits, `.`, `_` or `-`, the first a letter or digit, but got '../mine'"),
        ('dataset = "mnist"', 'dataset = "mnits"', "dataset: no data set 'mnits'; did you mean `mnist`?"),
        ('"mnist_cnn"', '"cifar10_cnn"', "model: cifar10_cnn takes images of 32x32x3, but data set mnist has 28x28x1"),
        ('"mnist_cnn"', '"resnet"', "model: no model 'resnet'; known here: mnist_cnn, cifar10_cnn; "
         "one of your own goes by file.py:Name or package.module:factory"),
        ('"cross_entropy"', '"mse"', "loss: must be 'cross_entropy' or 'double_softmax', but got 'mse'"),
        ("validation_size = 5000", "validation_size = 60000",
         "validation_size: must leave images to train on, but got 60000 of 60000"),
        ("low = 1e-4, high = 1e-1", "low = 1.0, high = 0.1",
         "space.learning_rate: `low <= high` must hold, but got low=1.0, high=0.1"),
        ("low = 1e-4, high = 1e-1", "low = 0, high = 0.1",
         "space.learning_rate: `low > 0` must hold with log = true, but got low=0.0"),
        ("low = 1e-4, high = 1e-1", "low = 1e-4, hihg = 0.1",
         "space.learning_rate.hihg: unknown key; did you mean `high`?"),
        ("choices = [32, 64]", "choices = [0, 64]", "space.batch_size: must be an integer >= 1, but got 0"),
        ("choices = [32, 64]", "choices = [32, 32]",
         "space.batch_size: each choice must stand once, but 32 stands twice"),
        ('["sgd", "adam"]', '["sgd", "adma"]',
         "space.optimizer: must be one of sgd, adam, adamw, rmsprop, radam, nadam, adagrad, muon, "
         "but got 'adma'"),
        ('when = { optimizer = "sgd" }', 'when = { optimiser = "sgd" }',
         "space.momentum.when.optimiser: condition on an unknown parameter; did you mean `optimizer`?"),
        ('when = { optimizer = "sgd" }', 'when = { optimizer = "adamw" }',
         "space.momentum.when.optimizer: must be one of the choices of optimizer (sgd, adam), but got 'adamw'"),
        ('when = { optimizer = "sgd" }', "when = { learning_rate = { low = 0.1, integer = true } }",
         "space.momentum.when.learning_rate.integer: unknown key; known here: low, high"),
        ('when = { optimizer = "sgd" }', "when = { learning_rate = 0.1 }",
         "space.momentum.when.learning_rate: learning_rate is a real number that hits one value almost never; "
         "write a range { low = .., high = .. }"),
        (', when = { optimizer = "sgd" }', "",
         'space.momentum: only sgd has momentum, so it needs when = { optimizer = "sgd" }'),
        ("momentum = 0.9", "momentum = 0.995",
         "references.l2.momentum: must lie in [space] (0..0.99 when optimizer = sgd), but got 0.995"),
        ("momentum = 0.9\n", "", "references.l2.momentum: is in [space] but has no value here"),
        ("[references.l2]", "[references.tuned]",
         "references.tuned: is what the winner of the search is called; take another name"),
        ("weight_decay = {", "dropout = 0.5\nweight_decay = {",
         "space.dropout: unknown hyperparameter; known here: "
         "learning_rate, batch_size, optimizer, momentum, nesterov, beta1, beta2, weight_decay, schedule, warmup, "
         "label_smoothing, augment, gradient_clip; one of your network's own is written model.dropout"),
    ],
)  # fmt: skip
def test_a_fault_is_named_with_key_condition_and_value(old, new, fault):
    assert old in GOOD
    assert fault in faults(GOOD.replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('{ choices = [32, 64] }', "{ low = 16, high = 128 }",
         "space.batch_size: a range draws real numbers and a batch size is whole; write choices, for example "
         "batch_size = [16, 32, 64, 128], or add integer = true"),
        ('{ choices = [32, 64] }', "{ min = 20, max = 30 }",
         "space.batch_size: a range draws real numbers and a batch size is whole; write choices, for example "
         "batch_size = [20, 30], or add integer = true"),
        ('{ choices = [32, 64] }', "{ values = [32, 64] }",
         "space.batch_size: `values` is called `choices` here; write batch_size = [32, 64]"),
        ('{ choices = ["sgd", "adam"] }', '{ value = "sgd" }',
         'space.optimizer: `value` is called `choices` here; write optimizer = ["sgd"]'),
        ("low = 1e-4, high = 1e-1, log = true }\nbatch", 'min = 1e-4, max = 0.1, distribution = "log_uniform" }\nbatch',
         "space.learning_rate: `min` is not known here; write learning_rate = "
         "{ low = 0.0001, high = 0.1, log = true }"),
        ("low = 1e-4, high = 1e-1, log = true }\nbatch", 'type = "loguniform", low = 1e-4, high = 0.1 }\nbatch',
         "space.learning_rate: `type` is not known here; write learning_rate = "
         "{ low = 0.0001, high = 0.1, log = true }"),
        ("low = 1e-4, high = 1e-1, log = true }\nbatch", "low = 1e-4, high = 1e-1, log = true, or_zero = true }\nbatch",
         "space.learning_rate.or_zero: zero is no learning rate; leave or_zero out"),
        ("max_epochs = 5", "epochs = 5", "epochs: unknown key; it is called `max_epochs` here"),
    ],
)  # fmt: skip
def test_the_notation_of_another_tool_is_named_once_with_what_to_write(old, new, fault):
    assert old in GOOD
    assert [line for line in faults(GOOD.replace(old, new, 1)) if "is missing" not in line] == [fault]


@pytest.mark.parametrize("name", ["lr", "LR", "learning-rate", "bs", "batchSize", "wd", "l2", "opt"])
def test_a_hyperparameter_under_another_tools_name_is_told_ours(name):
    told = faults(GOOD.replace("[space]\n", f'[space]\n"{name}" = 0.5\n'))
    assert len(told) == 1
    assert re.fullmatch(rf"space\.{name}: unknown hyperparameter; it is called `\w+` here", told[0])


@pytest.mark.parametrize("bounds", ["low = 16, high = nan", "low = 16, high = inf", "low = nan, high = 64"])
def test_a_batch_size_without_a_bound_is_a_fault_and_no_traceback(bounds):
    told = faults(GOOD.replace("{ choices = [32, 64] }", f"{{ {bounds} }}"))
    assert [line for line in told if line.startswith("space.batch_size.")] == [
        f"space.batch_size.{bounds.split(' = ')[0] if 'low = nan' in bounds else 'high'}: must be a finite number, "
        f"but got {'inf' if 'inf' in bounds else 'nan'}"
    ]


def test_a_list_is_choices():
    study = parse_study(GOOD.replace("{ choices = [32, 64] }", "[32, 64]"), "x")
    assert study == parse_study(GOOD, "x")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff\xfen\x00a\x00", "is saved as UTF-16, as Notepad and PowerShell may do; save it as UTF-8"),
        (b"\xfe\xff\x00n\x00a", "is saved as UTF-16, as Notepad and PowerShell may do; save it as UTF-8"),
        (b"\xff\xfe\x00\x00n\x00\x00\x00", "is saved as UTF-32, as Notepad and PowerShell may do; save it as UTF-8"),
        (b'name = "a"\n# f\xfcr\n', "line 2: byte 0xfc is not UTF-8; save the file as UTF-8"),
        (b"name\x00", "holds a zero byte, so it is no text; save it as UTF-8"),
    ],
)
def test_a_file_in_another_encoding_is_named_as_what_it_is(tmp_path, content, said):
    (tmp_path / "mine.toml").write_bytes(content)
    with pytest.raises(StudyFileError) as refused:
        find_study(str(tmp_path / "mine.toml"))
    assert str(refused.value) == f"{tmp_path}/mine.toml: {said}"


def test_a_mark_at_the_start_and_windows_line_ends_are_skipped(tmp_path):
    (tmp_path / "mine.toml").write_bytes(codecs.BOM_UTF8 + GOOD.replace("\n", "\r\n").encode())
    assert parse_study(*find_study(str(tmp_path / "mine.toml"))) == parse_study(GOOD, "x")


def test_a_path_that_is_no_file_is_told_as_what_it_is(tmp_path):
    (tmp_path / "folder.toml").mkdir()
    (tmp_path / "mine.toml").write_text(GOOD)
    for name, said in (
        ("folder.toml", "is a folder; name a study file in it"),
        ("mien.toml", f"no such file; did you mean {tmp_path}/mine.toml?"),
    ):
        with pytest.raises(StudyFileError) as refused:
            find_study(str(tmp_path / name))
        assert str(refused.value) == f"{tmp_path}/{name}: {said}"


def test_all_faults_are_named_at_once():
    text = GOOD.replace("max_epochs = 5", "max_epochs = 0").replace("low = 1e-4", "low = 1.0").replace("0.9\n", "2\n")
    assert faults(text) == [
        "max_epochs: must be greater than or equal to 1, but got 0",
        "space.learning_rate: `low <= high` must hold, but got low=1.0, high=0.1",
        "references.l2.momentum: must be a number with 0 <= momentum < 1, but got 2",
    ]


def test_a_file_that_is_no_toml_is_refused_with_the_line():
    assert faults("name = ")[0].startswith("not valid TOML: Invalid value (at ")


def test_an_unknown_study_is_refused_with_the_ones_there_are(tmp_path):
    with pytest.raises(
        StudyFileError,
        match=r"no study `nope`: hw2tune ships cifar10, cifar10-l2, cifar10-plus, mnist, mnist-l2, quickstart; a file",
    ):
        find_study("nope", results=tmp_path)
    with pytest.raises(StudyFileError, match=r"nope\.toml: no such file"):
        find_study("nope.toml")


def test_overrides_lie_over_the_file_and_are_checked_like_it():
    assert parse_study(GOOD, "x", {"pruner.name": "median", "max_epochs": 2}).pruner.name == "median"
    with pytest.raises(StudyFileError, match="max_epochs: must be greater than or equal to 1, but got 0"):
        parse_study(GOOD, "x", {"max_epochs": 0})


def test_differences_name_each_key_but_the_number_of_trials():
    there = parse_study(GOOD, "x")
    here = parse_study(GOOD.replace("high = 1e-1, log = true }\nbatch", "high = 0.5, log = true }\nbatch"), "x",
                       {"trials": 7, "seed": 3})  # fmt: skip
    assert differences(there, here) == ["seed: 0 -> 3", "space.learning_rate.high: 0.1 -> 0.5"]
    assert dump_study(there) != dump_study(here)


def test_the_worth_of_a_claim_is_a_positive_number():
    claim = GOOD + '[[claims]]\na = "tuned"\nb = "baseline"\nworth = WORTH\n'
    assert parse_study(claim.replace("WORTH", "1"), "x").claims[0].worth == 1
    assert parse_study(GOOD, "x").claims[0].worth is None
    assert faults(claim.replace("WORTH", "0.0")) == ["claims.0.worth: must be greater than 0, but got 0.0"]
    assert faults(claim.replace("WORTH", "inf")) == ["claims.0.worth: must be a finite number, but got inf"]
    assert faults(claim.replace("WORTH", "'1 point'")) == ["claims.0.worth: must be a valid number, but got '1 point'"]


def test_what_no_finished_trial_depends_on_may_change(tmp_path):
    there = parse_study(GOOD, "x")
    asked = (
        GOOD
        + """
[[claims]]
sentence = "weight decay"
a = "baseline"
b = { of = "baseline", with = { weight_decay = 0.1 } }
"""
    )
    here = parse_study(asked, "x", {"trials": 7, "budget": 3, "enqueue": [there.references["baseline"]]})
    assert here.claims != there.claims and len(here.enqueue) == 1
    assert differences(there, here) == []


def test_a_folder_of_images_may_lie_elsewhere_and_is_still_no_other_data_set(tmp_path):
    text = GOOD.replace('dataset = "mnist"', 'dataset = "./imgs"').replace('model = "mnist_cnn"', 'model = "a.b:Net"')
    one, two = (parse_study(text, str(tmp_path / place / "own.toml")) for place in ("here", "there"))
    assert one.dataset != two.dataset and differences(one, two) == []
    assert differences(one, one.model_copy(update={"dataset": "digits"})) == [
        f"dataset: {tmp_path}/here/imgs -> digits"
    ]
