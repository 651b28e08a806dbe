"""What it costs to lose nothing: `uv run python -m benchmarks.durability`.

One trial of the quickstart study (real images, one core) is trained epoch by epoch through the same code as in a
study; behind each epoch its checkpoint is taken and given a checksum (in a study: the worker's part), then its line,
checkpoint files and journal entry are written (the driver's part). The two are timed apart, epoch by epoch, so that
they alternate; medians over EPOCHS.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from pathlib import Path

from hw2tune.data.load import load_dataset
from hw2tune.events import Listeners
from hw2tune.records.layout import StudyFolder
from hw2tune.records.trials.epochs import DIGEST, digest
from hw2tune.records.trials.storage import create_optuna_study
from hw2tune.search.recorder import Recorder
from hw2tune.study.file import find_study, parse_study
from hw2tune.train.device import TrainingData, on_device, prepare_process
from hw2tune.train.loop import train_epochs
from hw2tune.train.state import checkpoint, new_state
from hw2tune.train.task import Blueprint

EPOCHS = 30


def main() -> None:
    study = parse_study(*find_study("quickstart"), overrides={"max_epochs": EPOCHS})
    dataset = load_dataset(study.dataset, validation_size=study.validation_size)
    device = prepare_process(1, gpu=False)
    data = TrainingData(
        train=on_device(dataset.train, dataset.info, device),
        validation=on_device(dataset.validation, dataset.info, device),
        info=dataset.info,
    )
    hyperparameters = study.reference("baseline")
    state = new_state(Blueprint(model=study.model), hyperparameters, seed=study.seed, device=device)
    seconds: dict[str, list[float]] = {"epoch": [], "checkpoint (worker)": [], "files and journal (driver)": []}
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as place:  # a real disk, as results have: /tmp may be memory
        folder = StudyFolder(Path(place))
        recorder = Recorder(study, create_optuna_study(folder, study), folder, Listeners())
        recorder.enqueue_references()
        trial = recorder.open_trial()
        for epoch in train_epochs(state, hyperparameters, data, loss=study.loss, max_epochs=EPOCHS):
            trained = time.perf_counter()
            content = checkpoint(state)
            record = epoch | {DIGEST: digest(content)}
            taken = time.perf_counter()
            recorder.record_epoch(trial, record, content)
            written = time.perf_counter()
            for name, value in zip(seconds, (epoch["epoch_seconds"], taken - trained, written - taken), strict=True):
                seconds[name].append(value)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    share = (medians["checkpoint (worker)"] + medians["files and journal (driver)"]) / medians["epoch"]
    print(json.dumps({
        "epochs": EPOCHS,
        "checkpoint_bytes": len(content),
        "median_milliseconds": {name: round(1000 * value, 3) for name, value in medians.items()},
        "share_of_an_epoch": round(share, 5),
    }, indent=1))  # fmt: skip


if __name__ == "__main__":
    main()
