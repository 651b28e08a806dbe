"""Each class has images in each split where it has enough; a split that succeeded before is the same, to the image."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hw2tune.data.splits import bounded_counts, group_indices, held_out_indices, validation_indices
from hw2tune.errors import DataError

CLASSES = [f"class {k}" for k in range(6)]


def split_of_version_one(labels, size, classes, seed, equals):
    """The indices that 83dc8fd drew: largest remainders, then by key, equal pictures whole; None where it refused."""
    keys, per_class = np.random.PCG64(seed).random_raw(len(labels)), np.bincount(labels, minlength=classes)
    counts, remainders = np.divmod(per_class * size, len(labels))
    counts[np.argsort(-remainders, kind="stable")[: size - counts.sum()]] += 1
    group_of = {place: tuple(group) for group in equals for place in group}
    chosen: list[int] = []
    for k in range(classes):
        order = [int(place) for place in np.argsort(keys) if labels[place] == k]
        if not equals:
            chosen += order[: counts[k]]
            continue
        taken: list[int] = []
        for group in dict.fromkeys(group_of.get(place, (place,)) for place in order):
            if len({labels[place] for place in group}) == 1 and len(taken) + len(group) <= counts[k]:
                taken += group
        chosen += taken
    return np.sort(np.array(chosen, np.int64)), counts, per_class


@st.composite
def pictures(draw):
    """Labels of 2 to 6 classes, some rare, with groups of equal pictures that may stand under several labels."""
    counts = draw(st.lists(st.integers(1, 30), min_size=2, max_size=6))
    labels = np.repeat(np.arange(len(counts)), counts)
    labels = labels[np.random.default_rng(draw(st.integers(0, 9))).permutation(len(labels))]
    if draw(st.booleans()):
        return labels, len(counts), []
    picture_of = draw(st.lists(st.integers(0, 60), min_size=len(labels), max_size=len(labels)))
    places = [np.flatnonzero(np.array(picture_of) == one).tolist() for one in range(3)]
    return labels, len(counts), [group for group in places if len(group) > 1]


@settings(max_examples=120, deadline=None)
@given(pictures(), st.floats(0.01, 0.99), st.integers(0, 3))
def test_a_validation_split_that_was_is_the_same_and_one_that_was_refused_holds_each_class(drawn, share, seed):
    labels, classes, equals = drawn
    size = max(1, round(share * len(labels)))
    before, counts, per_class = split_of_version_one(labels, size, classes, seed, equals)
    sound = classes <= size < len(labels) and ((counts > 0) & (counts < per_class)).all()
    sound = sound and (np.bincount(labels[before], minlength=classes) > 0).all()
    try:
        chosen = validation_indices(labels, size, classes=CLASSES[:classes], seed=seed, equals=equals)
    except DataError:
        assert not sound
        possible = per_class.min() >= 2 and classes <= size <= len(labels) - classes
        assert not possible or equals  # pictures that stand several times may leave none
        return
    if sound:
        assert chosen.tolist() == before.tolist()
    others = np.setdiff1d(np.arange(len(labels)), chosen)
    assert (np.bincount(labels[chosen], minlength=classes) > 0).all()
    assert (np.bincount(labels[others], minlength=classes) > 0).all()
    assert all(len(set(group) & set(chosen.tolist())) in (0, len(group)) for group in equals)
    assert len(chosen) == size or equals


@settings(max_examples=120, deadline=None)
@given(pictures(), st.floats(0.01, 0.99))
def test_a_test_split_that_tears_no_copies_is_the_one_that_was(drawn, share):
    labels, classes, equals = drawn
    before, counts, per_class = split_of_version_one(labels, round(share * len(labels)), classes, 2_024, [])
    torn = [group for group in equals if 0 < len(set(group) & set(before.tolist())) < len(group)]
    left_to_split = (per_class - counts >= 2).all()  # what 83dc8fd needed to train and validate
    try:
        chosen = held_out_indices(labels, share, classes=CLASSES[:classes], equals=equals)
    except DataError:
        assert not left_to_split or not len(before) or torn  # 83dc8fd took a test without images
        return
    if left_to_split and not torn:
        assert chosen.tolist() == before.tolist()
    assert all(len(set(group) & set(chosen.tolist())) in (0, len(group)) for group in equals)


@pytest.mark.parametrize("share", [0.05, 0.1, 0.15, 0.16, 0.17, 0.18, 0.2, 0.25, 0.5])
def test_a_class_of_three_validates_with_one_at_every_size(share):
    labels = np.array([0] * 3 + [k for k in range(1, 10) for _ in range(48)])
    chosen = validation_indices(labels, round(share * len(labels)), classes="0123456789", seed=0)
    assert len(chosen) == round(share * len(labels))
    assert 1 <= np.bincount(labels[chosen])[0] <= 2


def test_counts_with_a_least_number_by_hand():
    # 10 of 103 give 0.3, 4.9 and 4.9: 0, 5, 5. The first must give 1, so one of the others (the earlier) gives 4.
    assert bounded_counts(np.array([3, 50, 50]), 10, least=1, kept=1).tolist() == [1, 4, 5]


def test_a_class_of_copies_alone_gives_the_picture_with_the_fewest():
    labels = np.repeat(np.arange(2), 10)
    groups = [[10, 11, 12, 13, 14, 15], [16, 17, 18, 19]]
    chosen = validation_indices(labels, 4, classes=("cat", "dog"), seed=0, equals=groups)
    assert set(chosen[labels[chosen] == 1].tolist()) == {16, 17, 18, 19}


@settings(max_examples=200, deadline=None)
@given(pictures(), st.floats(0.001, 0.999), st.floats(0.001, 0.999) | st.integers(1, 200))
def test_whatever_is_asked_for_each_split_has_images_or_the_key_is_named(drawn, share, size):
    labels, classes, equals = drawn
    try:
        test = held_out_indices(labels, share, classes=CLASSES[:classes], equals=equals)
        left = np.setdiff1d(np.arange(len(labels)), test)
        together = [np.flatnonzero(np.isin(left, group)).tolist() for group in equals]
        validation = validation_indices(
            labels[left], size, classes=CLASSES[:classes], seed=0, equals=[group for group in together if group]
        )
    except DataError as refused:
        assert str(refused).startswith(("test_share: ", "validation_size: "))
        return
    assert len(test) and 0 < len(validation) < len(left)
    assert set(labels[left]) == set(labels[left[validation]]) == set(range(classes))


def test_a_share_for_the_test_that_is_no_image_says_the_least_one():
    with pytest.raises(DataError) as refused:
        held_out_indices(np.arange(40) % 2, 0.01, classes=("cat", "dog"), equals=[])
    assert str(refused.value) == (
        "test_share: must hold out an image or more, so at least 0.025 of 40 images, but got 0.01."
    )
    assert len(held_out_indices(np.arange(40) % 2, 0.025, classes=("cat", "dog"), equals=[])) == 1


@pytest.mark.parametrize("images", [6, 7, 11, 13, 29, 66, 199, 1_000, 123_456])
def test_the_least_and_the_largest_share_for_the_test_that_are_named_do(images):
    labels, named = np.arange(images) % 2, list[float]()
    for share in (1e-9, 0.999999):
        with pytest.raises(DataError) as refused:
            held_out_indices(labels, share, classes=("cat", "dog"), equals=[])
        [text] = re.findall(r"so at (?:least|most) ([0-9.e-]+)[ ,]", str(refused.value))
        named.append(float(text))
    least, most = (len(held_out_indices(labels, one, classes=("cat", "dog"), equals=[])) for one in named)
    assert least == 1 and 0.9 * (images - 4) <= most <= images - 4


def test_a_folder_that_is_too_small_for_a_test_is_named_as_that():
    with pytest.raises(DataError) as refused:
        held_out_indices(np.repeat(np.arange(2), 2), 0.2, classes=("cat", "dog"), equals=[])
    assert str(refused.value) == (
        "test_share: no class has more than the two images that train and validate; add images, or a test folder."
    )


def test_a_test_of_copies_alone_is_refused():
    labels = np.repeat(np.arange(2), 20)
    with pytest.raises(DataError) as refused:
        held_out_indices(labels, 0.025, classes=("cat", "dog"), equals=[list(range(20))])
    assert str(refused.value) == (
        "test_share: 0.025 of 40 images holds out none, as copies of an image stay together; raise it, or remove the "
        "copies."
    )


def test_a_share_that_validates_too_few_images_says_how_many_they_are():
    for share, images in ((0.01, 0), (0.03, 1)):
        with pytest.raises(DataError) as refused:
            validation_indices(np.arange(32) % 2, share, classes=("cat", "dog"), seed=0)
        assert str(refused.value) == (
            "validation_size: must be 2 to 30 images, so that train and validation have images of each class, but got "
            f"{share}, which is {images} of 32; set a number of images, or another share."
        )


def test_a_share_that_validates_too_few_images_of_groups_says_so():
    with pytest.raises(DataError) as refused:
        group_indices(np.arange(32) % 2, np.arange(32) // 4, 0.01, classes=("cat", "dog"), seed=0)
    assert str(refused.value) == (
        "validation_size: must be 2 to 31 images, so that train and validation have images, but got 0.01, which is 0 "
        "of 32; set a number of images, or another share."
    )


def test_a_share_for_the_test_that_leaves_too_little_says_what_would_do():
    labels = np.repeat(np.arange(2), [10, 4])
    with pytest.raises(DataError) as refused:
        held_out_indices(labels, 0.9, classes=("cat", "dog"), equals=[])
    assert str(refused.value) == (
        "test_share: must leave two images of each class to train and validate, so at most 0.71, but got 0.9."
    )
