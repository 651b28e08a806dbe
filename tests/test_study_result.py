"""The frames of a study in Python."""

import json

import pytest

import hw2tune
from tests.report.fake_study import write_fake_study


@pytest.mark.parametrize("objective", ["validation_accuracy", "macro_f1", "balanced_accuracy", "metrics.py:brier"])
def test_epochs_have_the_objective_whatever_it_is(objective, tmp_path):
    folder = write_fake_study(tmp_path, trials=3, seeds=0)
    folder.study_file.write_text(folder.study_file.read_text().replace('"validation_accuracy"', f'"{objective}"'))
    path = folder.trial(0).epochs
    records = [json.loads(line) | {objective: 0.1 * place} for place, line in enumerate(path.read_text().splitlines())]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    epochs = hw2tune.read_study(folder.name, results_dir=tmp_path).epochs
    assert list(epochs.columns).count(objective) == 1
    assert list(epochs[epochs.trial == 0][objective]) == [record[objective] for record in records]
