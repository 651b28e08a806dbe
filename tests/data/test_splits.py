from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from hw2tune.data.dataset import Split, fingerprint
from hw2tune.data.load import load_dataset
from hw2tune.data.splits import proportional_counts, stratified_indices, validation_indices, with_fewer
from hw2tune.errors import DataError

LABELS = np.repeat(np.arange(10), 60).astype(np.int64)


BOUNDS = "validation_size: must be 0 or 10 to 590, so that train and validation have images of each class"


def choose(size, *, labels=LABELS, seed=0):
    return validation_indices(labels, size, classes="0123456789", seed=seed)


def message(size, *, labels=LABELS, seed=0):
    with pytest.raises(DataError) as error:
        choose(size, labels=labels, seed=seed)
    return str(error.value)


def test_proportional_counts_by_hand():
    # Shares of 7 are 3.5, 2.1, 1.4: floors 3, 2, 1 and the one left over goes to the largest remainder, .5.
    assert proportional_counts(np.array([50, 30, 20]), 7).tolist() == [4, 2, 1]


def test_equal_remainders_favour_the_first_class():
    assert proportional_counts(np.array([10, 10, 10]), 4).tolist() == [2, 1, 1]


@pytest.mark.parametrize("size", [1, 37, 500, 4_999, 5_000])
def test_each_class_is_within_one_image_of_its_exact_share(size):
    per_class = np.array([5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949])  # MNIST's training images
    counts = proportional_counts(per_class, size)
    assert counts.sum() == size
    assert all(abs(int(n) - Fraction(int(c) * size, 60_000)) < 1 for n, c in zip(counts, per_class, strict=True))


def test_the_same_seed_chooses_the_same_images_and_another_seed_others():
    assert choose(100).tolist() == choose(100).tolist()
    assert choose(100, seed=1).tolist() != choose(100).tolist()


def test_the_choice_is_the_one_that_reports_have_recorded():
    # Pinned: were it to move, a study resumed after an upgrade would validate on images it has trained on.
    labels = np.arange(30, dtype=np.int64) % 10
    assert choose(10, labels=labels).tolist() == [2, 3, 6, 11, 15, 17, 18, 19, 20, 24]


def test_indices_are_distinct_ascending_and_stratified():
    chosen = choose(100)
    assert (np.diff(chosen) > 0).all()
    assert np.bincount(LABELS[chosen]).tolist() == [10] * 10


def test_each_image_of_a_class_has_the_same_chance():
    times = sum(np.isin(np.arange(600), stratified_indices(LABELS, 60, classes=10, seed=s)) for s in range(400))
    # Binomial(400, 0.1): mean 40, deviation 6; 600 images stay within five deviations.
    assert times.min() > 10
    assert times.max() < 70


def test_no_validation_images_at_all_is_allowed():
    assert choose(0).tolist() == []


def test_a_negative_size_is_refused():
    assert message(-1) == f"{BOUNDS}, but got -1."


def test_a_size_that_leaves_nothing_to_train_on_is_refused():
    assert message(600) == f"{BOUNDS}, but got 600."


def test_fewer_images_than_classes_are_refused():
    assert message(9) == f"{BOUNDS}, but got 9."


def test_a_class_too_rare_to_be_in_both_splits_is_refused():
    rare = np.concatenate([LABELS[60:], [0]])
    assert message(50, labels=rare) == (
        "validation_size: each class needs an image in train and one in validation, but class 0 has 1 for both; add "
        "images, or remove the class."
    )


def test_a_size_that_takes_a_whole_class_from_training_is_refused():
    assert message(595) == f"{BOUNDS}, but got 595."


def test_a_negative_seed_is_refused():
    assert message(100, seed=-3) == "split_seed: must be 0 or more, but got -3."


def test_copies_of_a_picture_stay_in_one_split_and_the_rest_is_drawn_as_before():
    labels = np.repeat(np.arange(10), 60)
    plain = validation_indices(labels, 100, classes="0123456789", seed=3)
    copied = [[int(plain[0]), 5, 7, 9], [61, int(plain[11])]]  # each would be torn apart
    chosen = set(validation_indices(labels, 100, classes="0123456789", seed=3, equals=copied).tolist())
    for group in copied:
        assert len(chosen & set(group)) in (0, len(group))
    assert len(chosen) == 100
    assert {place for place in plain.tolist() if place >= 120} <= chosen  # classes without copies


def test_a_picture_with_two_labels_never_validates():
    labels = np.repeat(np.arange(10), 6)
    for seed in range(20):
        chosen = validation_indices(labels, 20, classes="0123456789", seed=seed, equals=[[0, 59]])
        assert not {0, 59} & set(chosen.tolist())


def test_a_folder_copied_twice_is_split_by_pictures():
    labels = np.tile(np.repeat(np.arange(10), 10), 2)
    twice = [[place, place + 100] for place in range(100)]
    chosen = validation_indices(labels, 40, classes="0123456789", seed=0, equals=twice)
    assert len(chosen) == 40 and set((chosen % 100).tolist()) == set(chosen[chosen < 100].tolist())


def test_a_class_that_is_too_small_is_named():
    labels = np.array([0] * 99 + [1])
    with pytest.raises(DataError, match="but class dog has 1 for both; add images, or remove the class"):
        validation_indices(labels, 10, classes=("cat", "dog"), seed=0)


def test_a_class_whose_copies_leave_nothing_to_validate_is_named():
    labels = np.repeat(np.arange(2), 10)
    with pytest.raises(DataError, match="no image of class dog can go into validation: all are copies of one image"):
        validation_indices(labels, 4, classes=("cat", "dog"), seed=0, equals=[list(range(10, 20))])


def test_fewer_training_images_are_in_proportion_in_no_other_split_and_another_split_to_the_records():
    data = load_dataset("synthetic-mnist", validation_size=100)
    fewer = with_fewer(data, 250)
    assert (
        np.bincount(fewer.train.labels).tolist() == [25] * 10 and np.bincount(data.train.labels).tolist() == [50] * 10
    )
    assert fingerprint(fewer.train) < fingerprint(data.train) and fewer.validation is data.validation
    assert fewer.checksum == data.checksum and fewer.split_checksum != data.split_checksum
    assert with_fewer(data, 250).split_checksum == fewer.split_checksum != with_fewer(data, 251).split_checksum
    assert fewer.notes[-1] == "250 of 500 training images train (train_size)"
    with pytest.raises(DataError) as refusal:
        with_fewer(data, 501)
    assert str(refusal.value) == "train_size: must be 10 to 500, the images left to train on, but got 501."


def test_classes_that_a_small_training_split_loses_are_named_and_the_images_drawn_are_as_before():
    labels = np.repeat(np.arange(3), [60, 60, 4]).astype(np.int64)
    whole = load_dataset("synthetic-mnist", validation_size=100)
    images = whole.train.images[: len(labels)]
    info = replace(whole.info, classes=("cat", "dog", "eel"))
    data = replace(whole, info=info, train=Split(images=images, labels=labels))
    fewer = with_fewer(data, 12)
    assert np.array_equal(fewer.train.images, images[stratified_indices(labels, 12, classes=3, seed=0)])
    assert np.bincount(fewer.train.labels, minlength=3).tolist() == [6, 6, 0]
    assert fewer.notes[len(data.notes) :] == (
        "12 of 124 training images train (train_size)",
        "no train image of class eel; raise train_size",
    )
    assert len(with_fewer(data, 60).notes) == len(data.notes) + 1  # each class has one
    without = replace(
        data, train=Split(images=images[:120], labels=labels[:120]), notes=("no train image of class eel",)
    )
    assert with_fewer(without, 12).notes == (
        "no train image of class eel", "12 of 120 training images train (train_size)",
    )  # fmt: skip
