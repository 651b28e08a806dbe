"""Faults planted in real studies, and whether `hw2tune doctor` finds them: `python -m benchmarks.doctor_plants`.

The study files in `benchmarks/plants/` each have a fault on purpose. Each is run by `hw2tune study` on Ray, and with
`--summarize` if the fault is one of replicates. Whether the fault is truly there is reckoned apart from the doctor, by
trainings of its own without Ray: stopped trials trained to the end, winners on fresh seeds, values beyond an edge.
Minutes on two cores; named plants replace their entries in `results/doctor-plants.json`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

import hw2tune
from benchmarks.results import write_results
from hw2tune.records.layout import StudyFolder
from hw2tune.records.trials.rows import TrialRow, best_first
from hw2tune.report.doctor.space import chance_level
from hw2tune.report.doctor.zones import drawn
from hw2tune.report.study_data import StudyData, read_study_data
from hw2tune.study.hyperparameters import Hyperparameters, Value

PLANTS = Path(__file__).parent / "plants"
RESULTS = Path(__file__).parent / "results" / "doctor-plants.json"
FRESH = range(1001, 1021)  # seeds that neither the search nor the replicates have
Numbers = dict[str, Any]


class Trainings:
    """Trainings of a study's configurations in this process, to the end."""

    def __init__(self, data: StudyData) -> None:
        from hw2tune.events import Listeners
        from hw2tune.execution.request import load_for
        from hw2tune.train.task import TrialData
        from hw2tune.train.trainer import Trainer

        self.study = data.overview.study
        images = load_for(self.study, None, Listeners())
        known = TrialData(info=images.info, train=images.train, validation=images.validation)
        self.trainer = Trainer(known, threads=1, gpu=False)

    def curve(self, params: Mapping[str, Value], seed: int) -> list[float]:
        """Return the validation accuracy of each epoch."""
        from hw2tune.train.task import task_of

        task = task_of(self.study, Hyperparameters.of(self.study.complete(params)), seed)
        return [float(epoch["validation_accuracy"]) for epoch in self.trainer.train(task)]

    def best(self, params: Mapping[str, Value], seeds: Sequence[int]) -> list[float]:
        """Return the best value of each seed, in percent; 0 for one that diverged at once."""
        return [100 * max(self.curve(params, seed), default=0.0) for seed in seeds]


def beyond_the_edge(data: StudyData, trainings: Trainings) -> Numbers:
    """Train the best trial at ten times the upper end of the learning rate."""
    best = best_first(drawn(data.overview), "maximize")[0]
    further = best.params | {"learning_rate": 10 * float(trainings.study.space["learning_rate"].extremes()[1])}
    values = [float(np.mean(trainings.best(params, FRESH[:5]))) for params in (best.params, further)]
    return {"best trial, 5 seeds": values[0], "at ten times the edge": values[1], "there": values[1] > values[0] + 2.2}


def dead_ends(data: StudyData, trainings: Trainings) -> Numbers:
    """Train to the end what the search stopped, and count what got beyond chance; and the baseline on fresh seeds."""
    level, rows = 100 * (chance_level(data) or 0.0), drawn(data.overview)
    dead = sorted(float(row.params["learning_rate"]) for row in rows if 100 * (row.value or 0.0) <= level)
    sound = [float(row.params["learning_rate"]) for row in rows if 100 * (row.value or 0.0) > level]
    outside = [row for row in rows if not min(sound) <= float(row.params["learning_rate"]) <= max(sound)]
    learned = sum(trainings.best(row.params, [trainings.study.seed])[0] > level for row in outside)
    baseline = trainings.best(trainings.study.references["baseline"], FRESH)
    collapsed = sum(value <= level for value in baseline)
    return {
        "drawn": len(rows),
        "dead below": sum(rate < min(sound) for rate in dead),
        "dead above": sum(rate > max(sound) for rate in dead),
        "dead between": sum(min(sound) < rate < max(sound) for rate in dead),
        "learned when trained to the end, of those outside": learned,
        "baseline at chance, of 20 fresh seeds": collapsed,
        "there": learned <= 0.1 * len(outside) and collapsed > 0,
    }


def counted_reads(data: StudyData, trainings: Trainings) -> Numbers:
    """Count drawn trials, dimensions, and configurations that have replicates."""
    configurations = {json.dumps(one.params, sort_keys=True) for one in data.replicates}
    numbers = {
        "drawn": len(drawn(data.overview)),
        "dimensions": len(trainings.study.space),
        "tested": len(configurations),
    }
    return numbers | {"there": numbers["drawn"] < 2 * numbers["dimensions"] and numbers["tested"] >= 20}


def vanished_gain(data: StudyData, trainings: Trainings) -> Numbers:
    """Train the winner and the baseline on 20 fresh seeds."""
    number = data.winner.trial if data.winner else None
    rows = data.overview.rows
    row = next(row for row in rows if row.number == number)
    seen, baseline = 100 * (row.value or 0.0), 100 * max(one.value or 0.0 for one in rows if one.label)
    fresh = np.array(trainings.best(row.params, FRESH))
    true_gain = fresh - trainings.best(trainings.study.references["baseline"], FRESH)
    gone = float((seen - fresh.mean()) / (seen - baseline)) if seen > baseline else 0.0
    limit = float(fresh.mean() + stats.t.ppf(0.975, len(fresh) - 1) * fresh.std(ddof=1) / np.sqrt(len(fresh)))
    return {
        "in the search": seen,
        "baseline in the search": baseline,
        "winner on 20 fresh seeds": float(fresh.mean()),
        "95 % limit": limit,
        "winner minus baseline on them": float(true_gain.mean()),
        "share of the promised gain that is gone": gone,
        "there": gone >= 0.5 and seen > limit,
    }


def stopped_to_the_end(data: StudyData, trainings: Trainings) -> Numbers:
    """Train every drawn trial to the end on the study's seed, stopped ones too."""
    study, rows = trainings.study, [row for row in drawn(data.overview) if row.value is not None]
    curves = {row.number: trainings.curve(row.params, study.seed) for row in rows}
    whole = [row for row in rows if len(curves[row.number]) == study.max_epochs]
    rung = study.pruner.min_epochs
    early, late = ([100 * max(curves[row.number][:last]) for row in whole] for last in (rung, study.max_epochs))
    left = 100 * max(row.value or 0.0 for row in rows)  # of the drawn trials, as the search left them
    ends = [value for row, value in zip(whole, late, strict=True) if row.epochs == rung]
    numbers: Numbers = {
        "drawn": len(whole),
        f"stopped at epoch {rung}": len(ends),
        f"rank correlation of epoch {rung} and the end, all drawn trials": float(
            stats.spearmanr(early, late).statistic
        ),
        "best drawn trial of the search": left,
        "best of the stopped when trained to the end": max(ends, default=0.0),
        "stopped ones better than the best of the search": sum(value > left for value in ends),
        "best at the end by schedule": _by_schedule(whole, late),
    }
    return numbers | {"there": max(ends, default=0.0) > left}


def _by_schedule(rows: Sequence[TrialRow], late: Sequence[float]) -> dict[str, float]:
    """Return the best value at the end by schedule."""
    names = sorted({str(row.params["schedule"]) for row in rows if "schedule" in row.params})
    pairs = list(zip(rows, late, strict=True))
    return {name: round(max(value for row, value in pairs if row.params.get("schedule") == name), 3) for name in names}


@dataclass(frozen=True, kw_only=True)
class Plant:
    """A study file, how the findings on its faults begin, and the reckoning whether the faults are there."""

    findings: tuple[str, ...]  # with their check
    truth: Callable[[StudyData, Trainings], Numbers]
    summarized: bool = False


ALL = {
    "edge": Plant(findings=("edge: learning_rate",), truth=beyond_the_edge),
    "ends": Plant(findings=("dead zone: ", "collapse: baseline"), truth=dead_ends, summarized=True),
    "reads": Plant(findings=("budget: The search had fewer", "test reads: "), truth=counted_reads, summarized=True),
    "overtuned": Plant(findings=("overtuning: ",), truth=vanished_gain, summarized=True),
    "late": Plant(
        findings=(
            "stopping: The order of trials at epoch 1 says little",
            "stopping: No trial with the schedule one_cycle",
        ),
        truth=stopped_to_the_end,
    ),
}


def examined(name: str, plant: Plant, results: Path) -> Numbers:
    """Run a planted study, and return the doctor's findings and the truth."""
    begun, more = time.monotonic(), ["--summarize"] if plant.summarized else []
    command = [sys.executable, "-m", "hw2tune", "study", str(PLANTS / f"{name}.toml"), "--results-dir", str(results)]
    subprocess.run([*command, "--quiet", *more], check=True, stdout=subprocess.DEVNULL)
    seconds = time.monotonic() - begun
    study = f"plant-{name}"
    findings, data = hw2tune.doctor(study, results_dir=results), read_study_data(StudyFolder(results / study))
    truth = plant.truth(data, Trainings(data))
    said = [f"{one.check}: {one.finding}" for one in findings]
    found = {text: any(one.startswith(text) for one in said) for text in plant.findings}
    lines = [{"check": one.check, "finding": one.finding, "evidence": one.evidence} for one in findings]
    rounded = {key: round(value, 3) if isinstance(value, float) else value for key, value in truth.items()}
    return {"seconds": round(seconds), "found": found, "findings": lines, "truth": rounded}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(ALL))
    parser.add_argument("--results-dir", type=Path, help="keep the studies here; by default they go")
    options = parser.parse_args()
    known = json.loads(RESULTS.read_text())["plants"] if RESULTS.exists() else {}
    for name in options.names:
        with tempfile.TemporaryDirectory() as place:
            known[name] = examined(name, ALL[name], (options.results_dir or Path(place)) / name)
        print(name, json.dumps(known[name], indent=1), flush=True)
        write_results("doctor-plants", {"plants": {one: known[one] for one in ALL if one in known}})


if __name__ == "__main__":
    main()
