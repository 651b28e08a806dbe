"""What a dashboard says of studies and trials besides Optuna's own: attributes and notes, in Markdown."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from hw2tune.records.layout import StudyFolder
from hw2tune.records.overview import Overview
from hw2tune.records.trials.rows import TrialRow
from hw2tune.report.outputs import PAGE, SUMMARY, default_target
from hw2tune.study.schema import Study
from hw2tune.text.cells import DASH, configuration, duration, objective_value

TRACEBACK = 1500  # characters of a failure's traceback, its end


def study_attributes(overview: Overview) -> dict[str, Any]:
    """A study's user attributes: how far it is, on what, and its best value."""
    study, best = overview.study, overview.best
    whole, unit = study.extent
    return {
        "state": overview.state,
        "finished": f"{overview.done} of {whole} {unit}",
        "dataset": study.dataset,
        "objective": study.objective_spec.label,
        "best": DASH if best is None else f"{objective_value(best.value, study.objective)} (trial {best.number})",
    }


def trial_attributes(row: TrialRow) -> dict[str, Any]:
    """A trial's user attributes, without those that say nothing."""
    named = {
        "label": row.label,
        "state": row.state_text,
        "reason": row.reason,
        "best epoch": row.best_epoch,
        "epochs": row.epochs,
        "seconds": round(row.seconds, 1),
        "configuration": configuration(row.params).replace("\N{NO-BREAK SPACE}", " "),
    }
    return {name: value for name, value in named.items() if value not in ("", None, 0)}


def trial_note(folder: StudyFolder, study: Study, row: TrialRow) -> str:
    """What became of a trial, its configuration, and the traceback of one that failed."""
    name = f"Reference **{row.label}**" if row.label else f"Trial {row.number}"
    parts = [f"{name}: {row.reason or row.state_text}"]  # a reason begins with the state
    if row.best_epoch:
        value = objective_value(row.value, study.objective)
        parts.append(f"best {study.objective_spec.label} {value} at epoch {row.best_epoch} of {row.epochs}")
    if row.seconds:
        parts.append(f"{duration(row.seconds)} of training")
    return "\n\n".join([", ".join(parts), configuration(row.params), *_traceback(folder, row)])


def _traceback(folder: StudyFolder, row: TrialRow) -> list[str]:
    errors = folder.trial(row.number).errors
    try:
        return [f"```\n{errors.read_text(encoding='utf-8')[-TRACEBACK:]}\n```"] if row.reason else []
    except OSError:
        return []


def claims_of(folder: StudyFolder) -> list[str]:
    """Return the sentences of the claims in a study's report; none if there is no report that can be read."""
    try:
        summary = json.loads((default_target([folder]) / SUMMARY).read_text(encoding="utf-8"))
        return [str(claim["sentence"]) for claim in summary["studies"][0]["claims"]]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return []


def study_note(overview: Overview, sentences: Sequence[str]) -> str:
    """Describe a study's progress, its best trial, and the claims of its report in Markdown."""
    study, best, name = overview.study, overview.best, overview.folder.name
    whole, unit = study.extent
    parts = [f"**{name}** ({study.dataset}): {overview.state}, {overview.done} of {whole} {unit} finished."]
    if best is not None:
        value = objective_value(best.value, study.objective)
        title = f"trial {best.number}" + (f" ({best.label})" if best.label else "")
        parts.append(f"Best {study.objective_spec.label} {value}, {title}: {configuration(best.params)}.")
    if sentences:
        parts += ["### What the replicates show", "\n".join(f"- {sentence}" for sentence in sentences)]
        parts.append(f"The report is `{default_target([overview.folder]) / PAGE}`.")
    else:
        parts.append(f"No claim is tested yet: `hw2tune summarize {name}` does, and writes the report.")
    return "\n\n".join(parts)
