"""The split guard."""

from dataclasses import replace

import pytest

from hw2tune.data.dataset import Split
from hw2tune.data.guard import overlap, refuse_overlap
from hw2tune.data.load import load_dataset
from hw2tune.errors import DataError

DATA = load_dataset("synthetic-mnist", validation_size=100)


def test_the_splits_of_a_data_set_share_no_image():
    refuse_overlap(DATA)
    assert overlap(DATA.train, DATA.test) == 0


def test_a_test_split_with_training_images_is_refused_with_their_number():
    leaked = DATA.train.take(DATA.train.labels.argsort()[:7])
    with pytest.raises(DataError) as refusal:
        refuse_overlap(replace(DATA, test=leaked, source="somewhere"))
    assert str(refusal.value) == (
        "somewhere: 7 images stand in both train and test; an accuracy on test would be no claim about unseen images. "
        "Remove the copies from one of the two."
    )


def test_an_evaluation_on_the_training_images_overlaps_wholly():
    same = Split(images=DATA.train.images.copy(), labels=DATA.train.labels.copy())
    assert overlap(DATA.train, same) == len(DATA.train)
