"""Every variant of a study has a name of its own and a folder of its own."""

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hw2tune.errors import StudyFileError
from hw2tune.paths import safe_name
from hw2tune.records.replicates import ReplicatesFolder
from hw2tune.study.file import parse_study
from hw2tune.study.hyperparameters import identity
from hw2tune.study.schema import Side
from tests.study.test_own_study import OWN

TEXTS = st.text(max_size=80) | st.sampled_from(["../../../x", "a:b", "con", "A", "a", "ä", "a\u0308", "x" * 300])
VALUES = (
    TEXTS
    | st.integers(-9, 10**9)
    | st.booleans()
    | st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False)
)


@example(0.01234561, 0.01234562)
@example("x" * 64 + "a", "x" * 64 + "b")
@given(VALUES, VALUES)
def test_other_values_of_a_hyperparameter_are_another_name(one, two):
    names = [Side(**{"of": "plain", "with": {"model.act": value}}).variant for value in (one, two)]
    if names[0] == names[1]:
        assert one == two or str in map(type, (one, two))  # 1 and "1", true and "true" are refused, see below


@given(TEXTS, TEXTS)
def test_folders_of_different_names_differ_on_every_file_system_and_lie_below_the_studys(one, two):
    folders = [safe_name(text) for text in (one, two)]
    assert (folders[0].casefold() == folders[1].casefold()) == (one == two)
    assert ReplicatesFolder(Path("r")).replicate(one, 1).parts == ("r", folders[0], "1")
    for folder in folders:
        assert folder.isascii() and 0 < len(folder) < 80
        assert Path(folder).name == folder and not set(folder) & set('<>:"/\\|?*') and folder[-1] not in ". "


def test_short_words_are_their_own_names_and_no_file_of_the_replicates_folder_is_one():
    same = ["tuned", "tuned-no-l2", "plain-momentum-0.9-label_smoothing-0.125", "plain-learning_rate-1e-05"]
    assert [safe_name(name) for name in same] == same
    for name in ("current.json", "gallery.npz", "Plain", "", ".", "..", "x" * 65):
        assert safe_name(name) != name


CLASHES = {
    "the text of two changes is that of one": (
        '{ of = "small", with = { "model.depth" = "1-width-2" } }',
        '{ of = "small", with = { "model.depth" = 1, "model.width" = 2 } }',
        "small-depth-1-width-2",
    ),
    "a number and its text": (
        '{ of = "small", with = { "model.depth" = "1" } }',
        '{ of = "small", with = { "model.depth" = 1 } }',
        "small-depth-1",
    ),
    "a reference": (
        '{ name = "new", of = "small" }',
        '{ of = "small", with = { "model.depth" = "x" } }',
        "small-depth-x",
    ),
}


@pytest.mark.parametrize("clash", CLASHES)
def test_two_configurations_of_one_name_are_refused(clash, tmp_path):
    a, b, name = CLASHES[clash]
    text = OWN[: OWN.index("[[claims]]")] + f"[[claims]]\na = {a}\nb = {b}\n"
    if clash == "a reference":
        start = text.index("[references.small]")
        small = text[start : text.index("[", start + 1)]
        text = text.replace(small, small + small.replace("references.small", f"references.{name}"))
    with pytest.raises(StudyFileError) as refusal:
        parse_study(text, str(tmp_path / "own.toml"), missing_code_ok=True)
    assert str(refusal.value) == (
        f"{tmp_path}/own.toml: claims.0.b.name: {name!r} is the name of another configuration; set a name of its own"
    )


def test_a_side_agrees_with_the_configurations_that_have_its_values():
    side = Side(**{"of": "plain", "with": {"learning_rate": 0.12345678, "label_smoothing": 0.0}})
    trained = {"learning_rate": 0.12345678, "batch_size": 32, "optimizer": "sgd"}
    assert side.agrees(trained) and identity(trained | {"momentum": 0.0}) == identity(trained)
    assert not side.agrees(trained | {"learning_rate": 0.123457})
