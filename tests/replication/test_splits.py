"""Claims about splits: seeds within splits of the same images, one test set, and a killed run that ends the same."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from hw2tune.data.dataset import fingerprint
from hw2tune.data.load import load_dataset, load_undivided
from hw2tune.data.own import OwnOptions
from hw2tune.errors import DataError, StudyFileError
from hw2tune.records.replicates import read_replicates
from hw2tune.replication.rounds import SeedCount
from hw2tune.replication.splits import draw_splits
from hw2tune.study.file import find_study, parse_study
from hw2tune.study.splits import seeds_of_splits, split_of_seed
from tests.replication.scripted import Scripted
from tests.report.fake_study import write_fake_study

THREE = SeedCount(3, each=2, splits=True)
SEEDS = [3001, 3002, 3021, 3022, 3041, 3042]
VARIANTS = ("baseline", "l2", "tuned", "tuned-no-l2")


def accuracy(variant, seed):
    return {"baseline": 0.85, "l2": 0.86, "tuned": 0.90, "tuned-no-l2": 0.80}[variant] + 0.01 * (seed % 3)


@pytest.fixture
def folder(tmp_path):
    return write_fake_study(tmp_path, seeds=0)


def counting(scripted):
    return {(one.variant, one.seed): one.key for one in read_replicates(scripted.place)}


def test_each_side_is_trained_on_common_seeds_within_further_splits_of_the_same_images(folder, monkeypatch):
    scripted = Scripted(folder, accuracy, monkeypatch)
    scripted.run(THREE)
    assert set(counting(scripted)) == {(variant, seed) for variant in VARIANTS for seed in SEEDS}
    every = fingerprint(scripted.data.train) | fingerprint(scripted.data.validation)
    validating = {}
    for label, images in scripted.images.items():
        if label.startswith("race"):
            assert images.validation is scripted.data.validation, "the race is on the study's own split"
            continue
        split = split_of_seed(parse_study(*find_study("quickstart")), int(label.split()[-1]))
        there = validating.setdefault(split, images.validation)
        assert np.array_equal(there.images, images.validation.images), "one split, one set of validation images"
        assert fingerprint(images.train) | fingerprint(images.validation) == every
        assert np.bincount(there.labels).tolist() == np.bincount(scripted.data.validation.labels).tolist()
    assert len({fingerprint(one) for one in (scripted.data.validation, *validating.values())}) == 4


def test_split_k_is_the_one_that_the_studys_split_seed_plus_k_draws(folder, monkeypatch):
    scripted = Scripted(folder, accuracy, monkeypatch)
    scripted.run(THREE)
    drawn = load_dataset("synthetic-mnist", validation_size=100, split_seed=2)
    assert np.array_equal(scripted.images["tuned seed 3021"].validation.images, drawn.validation.images)


def test_replicates_on_the_own_split_keep_their_keys_and_folders_and_are_not_trained_again(folder, monkeypatch):
    scripted = Scripted(folder, accuracy, monkeypatch)
    scripted.run(SeedCount(2))
    before, files = counting(scripted), sorted(scripted.place.root.rglob("replicate.json"))
    scripted.run(THREE)
    assert not set(counting(scripted)) & set(before)
    scripted.trained.clear()
    scripted.run(SeedCount(2))
    assert (counting(scripted), scripted.trained) == (before, [])
    assert set(files) < set(scripted.place.root.rglob("replicate.json"))


def test_more_splits_and_more_seeds_train_only_what_is_missing(folder, monkeypatch):
    scripted = Scripted(folder, accuracy, monkeypatch)
    scripted.run(replace(THREE, each=1))
    scripted.trained.clear()
    scripted.run(THREE)
    assert scripted.seeds("l2") == [3002, 3022, 3042]
    scripted.trained.clear()
    scripted.run(replace(THREE, asked=4))
    assert scripted.seeds("l2") == [3061, 3062]


def test_a_run_that_is_killed_at_any_training_goes_on_where_it_was_and_ends_the_same(folder, monkeypatch):
    whole = Scripted(folder, accuracy, monkeypatch)
    whole.run(THREE)
    expected = counting(whole)
    for after in range(0, len(whole.trained), 5):
        shutil.rmtree(whole.place.root)
        killed = Scripted(folder, accuracy, monkeypatch)
        killed.kill_after = after
        with pytest.raises(KeyboardInterrupt):
            killed.run(THREE)
        killed.kill_after = None
        killed.run(THREE)
        assert counting(killed) == expected
        assert len(killed.trained) == len(set(killed.trained)) == len(whole.trained)  # nothing twice


def test_seeds_of_splits_are_their_own_and_say_the_split():
    study = parse_study(*find_study("quickstart"), {"seed": 7})
    every = seeds_of_splits(study, 50, 20)
    assert len(set(every)) == 1000 and min(every) == 7 + 3001
    assert [split_of_seed(study, seed) for seed in every] == [split for split in range(1, 51) for _ in range(20)]
    assert {split_of_seed(study, seed) for seed in (7, 8, 27, 7 + 1001, 7 + 2001, 3007, 4008)} == {0}


GROUPED = """
import numpy as np
def load():
    images = np.arange(12 * 64, dtype=np.float32).reshape(12, 8, 8) / 768
    labels = np.tile([0, 1], 6)
    test = (images[:4] + 0.0005, labels[:4])
    return {"train": (images[4:], labels[4:]), "test": test, "classes": "ab", **MORE}
"""


@pytest.mark.parametrize(
    ("more", "size"),
    [('{"groups": [0, 0, 0, 0, 1, 1, 1, 1]}', 0.5), ('{"validation": (images[:2] + 0.0003, labels[:2])}', None)],
)
def test_splits_with_the_same_validation_images_are_refused(more, size):
    code = {"data.py": GROUPED.replace("MORE", more)}
    divide = load_undivided("data.py:load", own=OwnOptions(code=code), validation_size=size)
    own = divide(0)
    with pytest.raises(DataError) as refusal:
        draw_splits(parse_study(*find_study("quickstart")), own, divide, 3)
    assert str(refusal.value).partition(" have ")[2] == (
        "the same validation images, as the data set has some of its own, or groups that allow few others; leave "
        "--splits out, or give a smaller number"
    )
    assert str(refusal.value).startswith(f"{own.source}: splits ")


def test_images_normalised_by_their_own_are_normalised_in_each_split_by_its_training_images():
    code = {"data.py": GROUPED.replace("MORE", "{}")}
    divide = load_undivided("data.py:load", own=OwnOptions(code=code), validation_size=0.5)
    drawn = draw_splits(parse_study(*find_study("quickstart")), divide(0), divide, 2)
    for split in (1, 2):
        expected = round(float(divide(split).train.images.mean()), 4)
        assert drawn.facts[split].info.mean == (expected,)
        assert drawn.records[split - 1]["mean"] == [expected] and len(drawn.facts[split].train) == 0
    assert drawn.records[0]["split_checksum"] != drawn.records[1]["split_checksum"]


def test_the_number_of_seeds_on_each_split_must_be_said():
    study = parse_study(*find_study("mnist"))
    assert SeedCount.of(study, 2, None, splits=3) == SeedCount(3, each=2, splits=True)
    assert SeedCount.of(study, 2, None, splits=1) == SeedCount(2)
    in_file = parse_study(*find_study("mnist"), {"splits": 3, "replicates": 2})
    assert SeedCount.of(in_file, None, None) == SeedCount(3, each=2, splits=True)
    assert SeedCount.of(in_file, 5, None, splits=1) == SeedCount(5)
    for given in (None, "auto", 21):
        with pytest.raises(StudyFileError) as refusal:
            SeedCount.of(study, given, None, splits=3)
        assert str(refusal.value) == (
            f"--splits: 3 splits need a number of seeds for each, 1 to 20, but got {given or 'auto'!r}; set "
            "replicates = 2, or give --splits 3 --replicates 2"
        )
    with pytest.raises(StudyFileError, match="splits: 3 splits need a number of seeds for each"):
        parse_study(*find_study("mnist"), {"splits": 3})


@pytest.mark.parametrize("splits", [0, 51, "many"])
def test_what_is_no_number_of_splits_is_refused(splits):
    with pytest.raises(StudyFileError) as refusal:
        SeedCount.of(parse_study(*find_study("mnist")), 2, None, splits=splits)
    assert str(refusal.value) == f"--splits: must be a number from 1 to 50, but got {splits!r}"


def test_most_is_not_for_splits():
    with pytest.raises(StudyFileError) as refusal:
        SeedCount.of(parse_study(*find_study("mnist")), 2, 9, splits=3)
    assert str(refusal.value).startswith("--most 9: is for --replicates auto, and mnist has a number of replicates, 2;")


def test_splits_and_several_searches_of_an_arm_exclude_each_other():
    study = parse_study(*find_study("mnist-l2"))
    with pytest.raises(StudyFileError) as refusal:
        SeedCount.of(study, 2, None, splits=3)
    assert str(refusal.value) == (
        "--splits: a claim of mnist-l2 is about 7 searches of each arm, and not about 3 splits as well; leave splits "
        "out, or set searches = 1"
    )
    one = parse_study(*find_study("mnist-l2"), {"searches": 1})
    assert SeedCount.of(one, 2, None, splits=3) == SeedCount(3, each=2, splits=True)
