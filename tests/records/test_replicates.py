"""Replicates on disk."""

from dataclasses import asdict, replace

import numpy as np

from hw2tune.records.arrays import npz
from hw2tune.records.replicates import (
    ReplicatesFolder,
    every_replicate,
    read_arrays,
    read_gallery,
    read_race,
    read_replicates,
    write_current,
    write_json,
    write_replicate,
)
from tests.report.fake_study import write_fake_study


def test_replicates_come_back_by_variant_and_seed(tmp_path):
    folder = ReplicatesFolder.of(write_fake_study(tmp_path, seeds=11))
    replicates = read_replicates(folder)
    assert [(r.variant, r.seed) for r in replicates[:11]] == [("baseline", seed) for seed in range(11)]
    assert len(replicates) == 44
    assert replicates[0].chosen is not None and replicates[0].chosen.total == 500
    assert read_race(folder).winner == 3


def test_replicates_of_an_earlier_winner_or_more_seeds_do_not_count(tmp_path):
    folder = ReplicatesFolder.of(write_fake_study(tmp_path, seeds=3))
    for replicate in every_replicate(folder):
        write_replicate(folder, replace(replicate, key=f"{replicate.variant} {replicate.seed}"), npz({}))
    write_current(folder, ["baseline 0", "tuned 0", "tuned 1"])
    assert [(r.variant, r.seed) for r in read_replicates(folder)] == [("baseline", 0), ("tuned", 0), ("tuned", 1)]


def test_a_missing_or_damaged_array_file_is_none_and_no_traceback(tmp_path):
    folder = ReplicatesFolder.of(write_fake_study(tmp_path, seeds=1))
    whole = folder.replicate("l2", 0) / "arrays.npz"
    whole.write_bytes(whole.read_bytes()[: len(whole.read_bytes()) // 2])
    folder.gallery.write_bytes(b"")
    assert read_arrays(folder, "l2", 0) is None
    assert read_arrays(folder, "l2", 99) is None
    assert read_gallery(folder) is None
    arrays = read_arrays(folder, "baseline", 0)
    assert arrays is not None and arrays["predicted"].dtype == np.uint8


def test_which_replicates_count_and_their_race_are_one_write_that_takes_the_place_of_an_earlier_file(tmp_path):
    folder = ReplicatesFolder.of(write_fake_study(tmp_path, seeds=1))
    race = read_race(folder)
    write_json(folder.race, asdict(replace(race, winner=2)))  # as an earlier version kept it
    assert read_race(folder).winner == 3
    write_current(folder, ["fake"], replace(race, winner=2))
    assert read_race(folder).winner == 2 and not folder.race.exists()
    write_current(folder, ["fake"])  # a reproduction has no race
    assert read_race(folder) is None and len(read_replicates(folder)) == 4
