"""False alarms of the study doctor: `uv run python -m benchmarks.doctor`, minutes on one core, nothing is trained.

Twenty searches with the shipped driver, sampler and pruner, in the random forests over the tables of
`benchmarks.search_tables` (see `benchmarks.replay`), with a race and five replicates of each variant from the same
forests, all written as a study's folder. Nothing was done to them; whatever the doctor finds there is counted, and held
against the forest or its table by the criteria of `benchmarks.doctor_truth`. The thresholds were committed before
(`hw2tune/report/doctor/thresholds.py`).
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import optuna

import hw2tune
from benchmarks.doctor_truth import judge
from benchmarks.replay.contestants import CONTESTANTS
from benchmarks.replay.searches import search_in, world
from benchmarks.replay.table import Curve
from benchmarks.results import print_table, write_results
from benchmarks.search_tasks import Task
from hw2tune.records.arrays import npz
from hw2tune.records.dataset import DatasetRecord
from hw2tune.records.environment import add_run
from hw2tune.records.evaluation import Evaluation
from hw2tune.records.layout import StudyFolder
from hw2tune.records.overview import read_overview
from hw2tune.records.replicates import Replicate, ReplicatesFolder, write_current, write_json, write_replicate
from hw2tune.replication.course import Course
from hw2tune.replication.race import candidates, run_race
from hw2tune.report.study_data import read_study_data
from hw2tune.study.file import dump_study
from hw2tune.study.hyperparameters import Value
from hw2tune.study.names import RACE_EACH
from hw2tune.study.schema import TUNED, Study

STUDIES, TRIALS, SEEDS, FINALISTS = 20, 50, 5, 6
TASKS = ("mnist-5k", "mnist-5k-cross-entropy", "cifar10-5k")


def searched(results: Path, place: Any, number: int, trials: int) -> tuple[StudyFolder, np.random.Generator]:
    """Write a study's folder: a search in a forest. Return the generator of its luck, too."""
    name = f"{place.task.name}-{number}"
    study = place.task.study.model_copy(update={"name": name, "seed": number, "trials": trials})
    folder = StudyFolder(results / study.name)
    folder.root.mkdir(parents=True)
    folder.study_file.write_text(dump_study(study))
    rng = np.random.default_rng(number)
    search_in(folder, study, place, CONTESTANTS["ours"], rng, seed=number, epochs=100_000, workers=2)
    write_json(folder.datasets[0], asdict(_record(study, place.task)))
    return folder, rng


def healthy(results: Path, place: Any, number: int) -> StudyFolder:
    """Write a study's folder: a search in a forest, a race and replicates."""
    folder, rng = searched(results, place, number, TRIALS)
    study = read_overview(folder).study
    add_run(folder, print, seeds={"replicates": list(range(SEEDS))}, replicates={"asked": SEEDS, "most": None})
    overview, direction = read_overview(folder), study.direction
    rows = candidates(overview, FINALISTS)

    def train(course: Course) -> None:
        while (one := course.begin()) is not None:
            course.learn(one, float(place.curve(rows[one[0]].params, rng).validation.max()))

    race = run_race(
        rows, overview.rows, objective=study.objective, direction=direction, images=place.task.validation_images,
        seeds=range(1001, 1001 + RACE_EACH * len(rows)), train=train,
    )  # fmt: skip
    winner = next(one.params for one in race.candidates if one.trial == race.winner)
    replicates = ReplicatesFolder.of(folder)
    write_current(replicates, ["scripted"], race)
    for variant, side in study.variants.items():
        params = {**(winner if side.of == TUNED else study.references[side.of]), **side.changes}
        for seed in range(SEEDS):
            curve = place.curve(params, rng)
            one = _replicate(study, variant, params, seed, curve, place.task.test_images)
            write_replicate(replicates, one, npz({}))
    return folder


def _record(study: Study, task: Task) -> DatasetRecord:
    return DatasetRecord(
        name=study.dataset, label="a table", classes=[str(n) for n in range(10)], image_shape=[28, 28, 1], mean=[0.5],
        std=[0.5], checksum="sha256:00", split_checksum="sha256:11", source="benchmarks/tables",
        sizes={"train": 4000, "validation": task.validation_images, "test": task.test_images},
    )  # fmt: skip


def _replicate(
    study: Study, variant: str, params: Mapping[str, Value], seed: int, curve: Any, images: int
) -> Replicate:
    assert isinstance(curve, Curve)
    epoch = int(curve.validation.argmax())

    def evaluation(at: int) -> Evaluation:
        correct = round(float(curve.test[at]) * images)
        return Evaluation(
            split="test", epoch=at + 1, loss=None, accuracy=correct / images, correct=correct, total=images
        )

    epochs = [
        {"epoch": number, "validation_accuracy": float(value), "train_seconds": 1.0, "epoch_seconds": 1.0}
        for number, value in enumerate(curve.validation, 1)
    ]
    return Replicate(
        study=study.name, variant=variant, seed=seed, params=dict(params), model=study.model, loss=study.loss,
        state="complete", reason="", epochs=epochs, chosen=evaluation(epoch), last=evaluation(len(epochs) - 1),
        seconds=1.0, key="scripted",
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=STUDIES)
    studies = parser.parse_args().studies
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    lines = list[dict[str, Any]]()
    for number in range(studies):
        lines += _examined(world(TASKS[number % len(TASKS)], "forest"), number)
    if lines:
        print_table(lines)
    found = Counter(check for check, _ in {(one["check"], one["study"]) for one in lines})
    judged = Counter((one["check"], one["true"]) for one in lines)
    counts = {check: {"true": judged[check, True], "false": judged[check, False]} for check in found}
    false = len({one["study"] for one in lines if not one["true"]})
    numbers = {"with a finding": len({one["study"] for one in lines}), "with a false finding": false}
    by_check = {"with a finding, by check": dict(found), "findings by check": counts}
    write_results("doctor", {"studies": studies, **numbers, **by_check, "findings": lines})


def _examined(place: Any, number: int) -> list[dict[str, Any]]:
    """Return a line per finding on one study."""
    with TemporaryDirectory() as results:
        folder = healthy(Path(results), place, number)
        findings, data = hw2tune.doctor(folder.name, results_dir=results), read_study_data(folder)
        rising = any(one.check == "budget" for one in findings)
        longer = read_study_data(searched(Path(results, "longer"), place, number, 2 * TRIALS)[0]) if rising else data
        lines = []
        for one in findings:
            true, numbers = judge(one, data, place, longer)
            named = {"study": folder.name, "check": one.check, "true": true}
            lines.append(named | {"finding": one.finding, "evidence": one.evidence, "truth": numbers})
    print(f"{folder.name}: {len(lines)} findings", flush=True)
    return lines


if __name__ == "__main__":
    main()
