"""When the trials of a contestant began and ended, from what it left on disk."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from hw2tune.records.layout import TrialFolder
from hw2tune.records.trials.epochs import read_epochs


@dataclass(frozen=True, kw_only=True)
class Trial:
    """Times of time.time: the start of the first epoch, its end, the end of the last. Accuracy is the last epoch's."""

    start: float
    first_epoch_end: float
    end: float
    epochs: int
    accuracy: float


def read_records(folder: Path) -> list[Trial]:
    """The lines that the contestants write, a file a trial."""
    trials = []
    for path in folder.glob("*.jsonl"):
        epochs = [json.loads(line) for line in path.read_text().splitlines()]
        trials.append(
            Trial(
                start=epochs[0]["time_start"],
                first_epoch_end=epochs[0]["time_end"],
                end=epochs[-1]["time_end"],
                epochs=len(epochs),
                accuracy=epochs[-1]["accuracy"],
            )
        )
    return trials


def read_ours(results: Path) -> list[Trial]:
    """hw2tune's own records.

    Tune's `timestamp` is in whole seconds. The last line's time is the file's; earlier times are counted back from it
    by the epochs' seconds, which leaves out what passes between epochs: starts come out late rather than early, gaps
    and the first epoch long rather than short.
    """
    trials = []
    for path in results.glob("*/trials/*/result.json"):
        epochs, end = read_epochs(TrialFolder(path.parent)), path.stat().st_mtime
        seconds = [epoch["epoch_seconds"] for epoch in epochs]
        trials.append(
            Trial(
                start=end - sum(seconds),
                first_epoch_end=end - sum(seconds[1:]),
                end=end,
                epochs=len(epochs),
                accuracy=epochs[-1]["validation_accuracy"],
            )
        )
    return trials
