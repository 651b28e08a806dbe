"""Epochs that studies take, beside what `check` announces: `python -m benchmarks.lengths`.

Studies of a number of trials, two at once, replayed on tables; and the recorded searches in `benchmarks/results`.
Nothing is trained.
"""

from __future__ import annotations

import csv
import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna

from benchmarks.replay.contestants import CONTESTANTS, HEADLINE
from benchmarks.replay.searches import MEMORY, search_in, world
from benchmarks.results import print_table, write_results
from hw2tune.records.layout import StudyFolder
from hw2tune.records.trials.rows import TrialRow, trial_rows
from hw2tune.records.trials.storage import read_trials
from hw2tune.search.lengths import epochs_to_come, going_on
from hw2tune.study.file import find_study, parse_study
from hw2tune.study.schema import Study

STUDIES = (("mnist-5k", 12, 20), ("mnist-5k", 50, 20), ("mnist-5k-cross-entropy", 50, 20), ("cifar10-5k", 50, 20))
SAMPLERS = ("ours", HEADLINE)
SLOTS, WHOLE = 2, 100  # trainings that no study exceeds
RECORDED = Path("benchmarks") / "results"
ENDED = ("mnist-l2", "cifar10-l2")  # studies of many searches


def announced(study: Study, trials: int) -> float:
    """Return the epochs that `check` announces before the first trial."""
    references = len(study.references)
    return references * study.max_epochs + (trials - references) * epochs_to_come(going_on(study))[0]


def replayed(task: str, name: str, trials: int, seed: int) -> tuple[Study, list[TrialRow]]:
    """Return a study that was replayed to its end."""
    place = world(task, "pool")
    place.begin(seed)
    study = place.task.study.model_copy(update={"trials": trials, "seed": seed})
    with tempfile.TemporaryDirectory(dir=MEMORY if Path(MEMORY).is_dir() else None) as root:
        folder = StudyFolder(Path(root) / "study")
        folder.root.mkdir()
        epochs, rng = WHOLE * study.max_epochs, np.random.default_rng(seed)
        search_in(folder, study, place, CONTESTANTS[name], rng, seed=seed, epochs=epochs, workers=SLOTS)
        return study, trial_rows(study, read_trials(folder), alive=False)


def line(what: str, study: Study, trials: float, epochs: Sequence[float], shares: str) -> dict[str, Any]:
    """Return a line of the table: epochs of all trials as a mean over studies, and what is announced of them."""
    mean, said = float(np.mean(epochs)), announced(study, round(trials))
    off = f"{100 * (said / mean - 1):+.0f} %"
    spread = f"{min(epochs):.0f} to {max(epochs):.0f}"
    return {"study": what, "trials": round(trials, 1), "studies": len(epochs), "pass shares": shares,
            "epochs": round(mean, 1), "from, to": spread, "announced": round(said, 1), "off by": off}  # fmt: skip


def replays() -> Iterator[dict[str, Any]]:
    for task, trials, seeds in STUDIES:
        for name in SAMPLERS:
            both = [replayed(task, name, trials, seed) for seed in range(seeds)]
            study, drawn = both[0][0], [row.epochs_spent for _, rows in both for row in rows if not row.label]
            shares = [sum(one > rung for one in drawn) / sum(one >= rung for one in drawn) for rung in study.rungs]
            epochs = [sum(row.epochs_spent for row in rows) for _, rows in both]
            yield line(f"{task}, {name}", study, trials, epochs, " ".join(f"{share:.2f}" for share in shares))


def recorded() -> Iterator[dict[str, Any]]:
    """Real searches: those on a budget by the epochs that 50 of their trials would take."""
    for name in ENDED:
        study = parse_study(*find_study(name))
        references = len(study.references)
        first, epochs = references * study.max_epochs, []
        for one in csv.DictReader((RECORDED / name / "searches.csv").read_text().splitlines()):
            each = (int(one["epochs"]) - first) / (int(one["trials"]) - references)
            epochs.append(first + (50 - references) * each)
        yield line(f"{name}, recorded, for 50 trials", study, 50, epochs, "")
    whole = json.loads((RECORDED / "whole-study-cifar10-10k.json").read_text())["new"]
    study = parse_study(*find_study("cifar10"), overrides={"max_epochs": 12, "pruner.min_epochs": 1})
    yield line("whole-study-cifar10-10k, recorded", study, 50, [whole["epochs"]], "0.56 0.70 0.53")
    whole = json.loads((RECORDED / "whole-study-cifar10.json").read_text())["row"]
    study = parse_study(*find_study("cifar10"))
    yield line("whole-study-cifar10, recorded", study, 50, [whole["epochs"]], "0.40 0.58 0.18")


def main() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    table = [*recorded(), *replays()]
    print_table(table)
    write_results("lengths", {"studies": table})


if __name__ == "__main__":
    main()
