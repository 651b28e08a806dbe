"""Finished trials of an earlier study as observations: the sampler knows them, the study does not count them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from hw2tune.errors import StudyFolderError
from hw2tune.records.atomic import write_atomically
from hw2tune.records.dataset import images_of, read_dataset
from hw2tune.records.environment import runs
from hw2tune.records.layout import StudyFolder
from hw2tune.records.overview import read_overview
from hw2tune.records.trials.rows import LABEL, best_first
from hw2tune.search.view import as_stored
from hw2tune.study.hyperparameters import Value, identity
from hw2tune.study.schema import Study

FILE = "warm-start.json"


def take_over(study: Study, folder: StudyFolder, other: StudyFolder) -> str:
    """Copies what fits of another study's finished trials into `warm-start.json` and says how many.

    Raises StudyFolderError if it has another objective, this study has a second one, or nothing fits.
    """
    overview = read_overview(other)
    if overview.study.objective != study.objective:
        raise StudyFolderError(
            f"--warm-start {other.name}: its objective is {overview.study.objective}, and not {study.objective}"
        )
    if study.second_objective:
        raise StudyFolderError(
            f"--warm-start {other.name}: its {study.second_objective} are not known to this study; "
            "leave out --warm-start or second_objective"
        )
    rows = best_first(overview.rows, study.direction)
    fitting = [
        {"params": fit, "value": row.value}
        for row in rows
        if (fit := _fitting(study, overview.study, row.params)) is not None
    ]
    if not fitting:
        raise StudyFolderError(
            f"--warm-start {other.name}: none of its {len(rows)} trials with a value lies in this study's space"
        )
    content = {"from": other.name, "observations": fitting}
    write_atomically(folder.root / FILE, json.dumps(content, indent=1) + "\n", durable=True)
    told = f"{len(fitting)} of {len(rows)} finished trials of {other.name} are known to the sampler"
    return told + (", though their images were others" if _other_images(folder, other) else "")


def _other_images(folder: StudyFolder, other: StudyFolder) -> bool:
    here, there = (images_of(read_dataset(one), runs(one)).get("checksum") for one in (folder, other))
    return bool(here and there and here != there)


def read_observations(study: Study, folder: StudyFolder) -> list[FrozenTrial]:
    """What `take_over` has written, as Optuna stores it; empty where nothing was taken over."""
    try:
        content = json.loads((folder.root / FILE).read_text(encoding="utf-8"))
        entries = [(dict(entry["params"]), float(entry["value"])) for entry in content["observations"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    of_other = {"state": TrialState.COMPLETE, "user_attrs": {LABEL: "of another study"}}  # no draw of this one
    warm = [
        as_stored(study.search_space, params, value=value, intermediate_values={1: value}, **of_other)
        for params, value in entries
        if math.isfinite(value)
    ]
    for number, trial in enumerate(warm, -len(warm)):
        trial.number = trial._trial_id = number  # before the first of this study
    return warm


def _fitting(study: Study, other: Study, params: Mapping[str, Value]) -> dict[str, Any] | None:
    """The configuration as this study would draw it; None where it cannot, or would train something else."""
    space = study.search_space
    complete = other.complete(params)
    searched = {name: value for name, value in complete.items() if name in space.distributions}
    if space.validation_errors(searched) or identity(study.complete(searched)) != identity(complete):
        return None
    return searched
