"""A trial's epochs on disk."""

from hw2tune.records.layout import TrialFolder
from hw2tune.records.trials.epochs import (
    DIGEST,
    Checkpoint,
    append_epoch,
    digest,
    find_checkpoint,
    read_epochs,
    saved_epoch,
    write_epochs,
)


def test_epochs_come_back_in_order_and_of_two_alike_the_later_counts(tmp_path):
    folder = TrialFolder(tmp_path / "3")
    for epoch, loss in ((1, 0.5), (2, 0.4), (2, 0.3)):
        append_epoch(folder, {"epoch": epoch, "train_loss": loss})
    assert read_epochs(folder) == [{"epoch": 1, "train_loss": 0.5}, {"epoch": 2, "train_loss": 0.3}]


def test_a_line_torn_by_a_kill_is_left_out_and_the_next_epoch_is_not(tmp_path):
    folder = TrialFolder(tmp_path)
    append_epoch(folder, {"epoch": 1})
    with folder.epochs.open("a") as file:
        file.write('{"epoch": 2, "train_l')
    assert read_epochs(folder) == [{"epoch": 1}]
    append_epoch(folder, {"epoch": 2})
    assert read_epochs(folder) == [{"epoch": 1}, {"epoch": 2}]


def test_epochs_are_replaced_as_a_whole(tmp_path):
    folder = TrialFolder(tmp_path)
    for epoch in (1, 2, 3):
        append_epoch(folder, {"epoch": epoch})
    write_epochs(folder, [{"epoch": 1}, {"epoch": 2}])
    assert [record["epoch"] for record in read_epochs(folder)] == [1, 2]
    assert read_epochs(TrialFolder(tmp_path / "none")) == []


def test_a_checkpoint_counts_only_if_each_epoch_before_it_has_its_line(tmp_path):
    trial = TrialFolder(tmp_path)
    records = [{"epoch": epoch, DIGEST: digest(b"%d" % epoch)} for epoch in (1, 2, 3)]
    write_epochs(trial, records)
    trial.previous.write_bytes(b"1")
    trial.last.write_bytes(b"3")
    assert find_checkpoint(trial).epoch == saved_epoch(trial) == 3
    write_epochs(trial, [records[0], records[2]])
    assert find_checkpoint(trial) == Checkpoint(content=b"1", epoch=1, damaged=(trial.last,))
    write_epochs(trial, records[1:])
    assert find_checkpoint(trial) == Checkpoint(content=None, epoch=0, damaged=(trial.last, trial.previous))


def test_a_trial_goes_on_from_the_epoch_of_its_last_checkpoint_not_from_its_last_one(tmp_path):
    trial = TrialFolder(tmp_path)
    assert saved_epoch(trial) == 0
    write_epochs(trial, [{"epoch": 1}, {"epoch": 2, DIGEST: digest(b"2")}, {"epoch": 3}])
    trial.last.write_bytes(b"2")
    assert (saved_epoch(trial), find_checkpoint(trial).epoch) == (2, 2)
