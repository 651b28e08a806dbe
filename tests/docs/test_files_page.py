"""docs/files.md against the records that it describes."""

import csv
import json
from dataclasses import fields

from hw2tune.records.dataset import DatasetRecord
from hw2tune.records.environment import add_run
from hw2tune.records.evaluation import Evaluation
from hw2tune.records.layout import StudyFolder
from hw2tune.records.replicates import Candidate, Current, Race, Replicate, Training
from hw2tune.records.trials.rows import write_trials_table
from tests.docs.pages import ROOT

PAGE = (ROOT / "docs" / "files.md").read_text()


def missing(names) -> list[str]:
    """The names that do not stand on the page as code."""
    return [name for name in names if f"`{name}`" not in PAGE]


def test_every_key_of_a_replicates_records_is_explained():
    for record in (DatasetRecord, Replicate, Evaluation, Current, Race, Candidate, Training):
        names = [field.name for field in fields(record)]
        assert not missing(name for name in names if (record, name) != (Training, "arrays")), record  # weights.npz


def test_every_key_of_an_epoch_is_explained():
    from tests.train.test_loop import CONFIGURATIONS, make_data, run

    (epoch,) = run(CONFIGURATIONS["mnist"][2], make_data("mnist"), epochs=1)[1]
    assert not missing(epoch)


def test_every_column_of_the_trials_and_key_of_a_run_is_explained(tmp_path):
    folder = StudyFolder(tmp_path)
    add_run(folder, print, seeds={}, data={}, resources={})
    (entry,) = json.loads(folder.environment.read_text())["runs"]
    assert not missing(entry)
    write_trials_table(folder, [], [])
    with folder.trials_table.open() as table:
        columns = next(csv.reader(table))
    assert not missing(columns)


def test_every_path_of_a_studys_folder_is_there():
    folder = StudyFolder(ROOT)
    paths = [path.name for name in vars(StudyFolder) if isinstance(path := getattr(folder, name), type(ROOT))]
    trial = folder.trial(0)
    paths += [getattr(trial, name).name for name in ("params", "epochs", "best", "last", "errors")]
    assert len(paths) >= 12 and not [name for name in paths if name not in PAGE]
