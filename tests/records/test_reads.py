"""The ledger of test reads: distinct configurations by test images, counted from the records of a results folder."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from hw2tune.records import reads
from hw2tune.records.arrays import npz
from hw2tune.records.replicates import (
    ReplicatesFolder,
    Training,
    every_replicate,
    write_current,
    write_replicate,
    write_training,
)
from tests.report.fake_study import write_fake_study

ADAM = {"learning_rate": 0.001, "batch_size": 100, "optimizer": "adam", "weight_decay": 0.0}


def ledger(results: Path):
    return [(one.configurations, one.studies) for one in reads.test_reads(results)]


def trained(place: ReplicatesFolder, key: str, label: str, rate: float, *, diverged: str = "") -> None:
    epochs = [{"epoch": epoch} for epoch in range(1, 6)]
    params = ADAM | {"learning_rate": rate}
    training = Training(key=key, epochs=epochs, chosen_epoch=5, diverged=diverged, label=label, params=params)
    write_training(place.trainings, training)


def test_a_configuration_is_counted_once_whatever_the_number_of_seeds_and_studies(tmp_path):
    folder = write_fake_study(tmp_path, trials=2, seeds=3)  # four variants
    assert ledger(tmp_path) == [(4, ("quickstart",))]
    shutil.copytree(folder.root, tmp_path / "again")
    assert ledger(tmp_path) == [(4, ("again", "quickstart"))]


def test_replicates_that_do_not_count_any_more_were_read_all_the_same(tmp_path):
    place = ReplicatesFolder.of(write_fake_study(tmp_path, trials=2, seeds=1))
    write_current(place, [])
    assert ledger(tmp_path) == [(4, ("quickstart",))]


def test_an_earlier_winner_whose_replicates_were_replaced_is_told_by_its_training(tmp_path):
    place = ReplicatesFolder.of(write_fake_study(tmp_path, trials=2, seeds=1))
    trained(place, "a", "tuned seed 1", 0.5)
    trained(place, "b", "tuned seed 2", 0.5)
    assert ledger(tmp_path) == [(5, ("quickstart",))]
    trained(place, "c", "baseline seed 3", 0.001)  # a variant that is there
    trained(place, "d", "race: trial 3 seed 1001", 0.25)  # on validation images only
    trained(place, "e", "finalist: trial 3 seed 2001", 0.125)
    trained(place, "f", "tuned seed 4", 0.0625, diverged="loss nan")  # never tested
    assert ledger(tmp_path) == [(5, ("quickstart",))]


def test_a_replicate_that_diverged_was_never_read(tmp_path):
    place = ReplicatesFolder.of(write_fake_study(tmp_path, trials=2, seeds=1))
    for one in every_replicate(place):
        if one.variant == "l2":
            write_replicate(place, replace(one, chosen=None, last=None, state="diverged"), npz({}))
    assert ledger(tmp_path) == [(3, ("quickstart",))]


def test_a_study_that_fresh_moved_aside_counts_and_other_images_are_another_row(tmp_path):
    folder = write_fake_study(tmp_path, trials=2, seeds=1)
    shutil.copytree(folder.root, tmp_path / "set-aside" / "quickstart.2026-11-23-100000")
    other = tmp_path / "other" / "dataset.json"
    shutil.copytree(folder.root, other.parent)
    other.write_text(other.read_text().replace("sha256:00", "sha256:22"))
    aside = ("quickstart", "quickstart.2026-11-23-100000")
    assert sorted(ledger(tmp_path)) == [(4, ("other",)), (4, aside)]


def test_other_code_is_another_configuration(tmp_path):
    folder = write_fake_study(tmp_path, trials=2, seeds=1)
    copy = tmp_path / "again"
    shutil.copytree(folder.root, copy)
    for root, text in ((folder.root, "a = 1"), (copy, "a = 2")):
        (root / "code").mkdir()
        (root / "code" / "net.py").write_text(text)
    assert ledger(tmp_path) == [(8, ("again", "quickstart"))]


@pytest.mark.parametrize("damage", ["", "[]", '{"params": 3}'])
def test_damaged_records_and_an_empty_folder_count_nothing(tmp_path, damage):
    assert reads.test_reads(tmp_path / "nowhere") == []
    folder = write_fake_study(tmp_path, trials=2, seeds=1)
    for path in ReplicatesFolder.of(folder).records():
        path.write_text(damage)
    assert reads.test_reads(tmp_path) == []


def test_earlier_versions_are_counted_by_their_replicates(tmp_path):
    for version in ("first_version", "version_83dc8fd"):
        shutil.copytree(Path(__file__).parents[1] / version / "tiny", tmp_path / version)
    found = reads.test_reads(tmp_path)
    assert sum(one.configurations for one in found) >= 3
    assert {name for one in found for name in one.studies} == {"first_version", "version_83dc8fd"}


def test_of_a_store_only_the_studies_copied_here_are_counted_and_the_sentence_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("HW2TUNE_CACHE", str(tmp_path))
    copies = tmp_path / "mirrors" / "0123456789abcdef" / "reading"
    shutil.copytree(Path(__file__).parents[1] / "first_version" / "tiny", copies / "tiny")
    [found] = reads.test_reads(copies)
    assert found.sentence.endswith(" in the studies copied here from the store.")


def test_from_twenty_configurations_on_the_sentence_warns():
    few = reads.TestReads(label="MNIST", checksum="", images=500, configurations=19, studies=("a",))
    assert few.sentence == "19 configurations were read on these 500 test images of MNIST in this folder."
    many = replace(few, configurations=23, studies=("a", "b"))
    assert not few.many and many.many
    assert many.sentence == (
        "23 configurations were read on these 500 test images of MNIST in this folder by the studies a and b; a "
        "difference found after so many reads may be the luck of these images, and no interval covers that: confirm it "
        "on images that were never read."
    )
