"""What it takes to repeat a study: data, settings, machines, commands, seeds and checksums."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hw2tune.report.page.blocks import Block, Commands, Facts
from hw2tune.report.results import StudyResults
from hw2tune.text.numbers import listed


def environment_blocks(results: StudyResults) -> list[Block]:
    """Data, settings, machines, commands, seeds and checksums: what it takes to repeat the study."""
    return [
        Facts(name="data", title="Data", facts=_data(results)),
        Facts(name="study", title="Study", facts=_study(results)),
        *machine_blocks(results.data.environment),
    ]


def machine_blocks(runs: Sequence[dict[str, Any]]) -> list[Block]:
    """Machines and commands of the entries in an `environment.json`."""
    commands = list(dict.fromkeys(str(run["command"]) for run in runs if "command" in run))
    return [
        *(
            Facts(name="machine", title=f"Machine of {listed(dates)}", facts=facts)
            for facts, dates in _machines(runs).items()
        ),
        *([Commands(name="commands", title="Commands", lines=commands)] if commands else []),
    ]


def _data(results: StudyResults) -> list[tuple[str, str]]:
    record = results.data.dataset
    if record is None:
        return [("data set", results.data.label)]
    shape = " x ".join(map(str, record.image_shape))
    return [
        (
            "data set",
            f"{record.label} ({record.name}, {len(record.classes)} classes, {shape})",
        ),
        ("images", ", ".join(f"{size:,} {split}" for split, size in record.sizes.items())),
        ("pixel mean", ", ".join(f"{value:.4f}" for value in record.mean)),
        ("pixel deviation", ", ".join(f"{value:.4f}" for value in record.std)),
        ("source", record.source),
        *(("images", note) for note in record.notes),
        ("checksum", f"`{record.checksum}`"),
        ("checksum of the split", f"`{record.split_checksum}`"),
    ]


def _study(results: StudyResults) -> list[tuple[str, str]]:
    study = results.data.overview.study
    seeds = sorted({replicate.seed for replicate in results.data.replicates})
    pruner = study.pruner
    rule = "" if pruner.name == "none" else f", from epoch {pruner.min_epochs}"
    rule += f", reduction factor {pruner.reduction_factor}" if pruner.name in ("halving", "asha", "hyperband") else ""
    return [
        ("model", study.model),
        ("loss", study.loss.replace("_", " ")),
        ("epochs", f"{study.max_epochs} at most"),
        ("objective", study.objective_spec.label),
        ("sampler", study.sampler.name),
        ("pruner", pruner.name + rule),
        ("seed of the search", str(study.seed)),
        ("seed of the split", str(study.split_seed)),
        ("seeds of the replicates", ", ".join(map(str, seeds)) or "none yet"),
    ]


def _machines(runs: Sequence[dict[str, Any]]) -> dict[tuple[tuple[str, str], ...], list[str]]:
    """Where the study ran: each environment once, with the days that it ran on."""
    machines: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for run in runs:
        versions = ", ".join(f"{name} {version}" for name, version in run.get("versions", {}).items())
        facts = {
            "processor": run.get("processor"),
            "cores": run.get("cores"),
            "memory": f"{run['memory_gib']} GiB" if "memory_gib" in run else None,
            "resources": run.get("resources", {}).get("at"),
            "platform": run.get("platform"),
            "Python": run.get("python"),
            "packages": versions,
            "commit": f"`{run['commit']}`" if run.get("commit") else None,
        }
        shown = tuple((term, str(fact)) for term, fact in facts.items() if fact)
        dates = machines.setdefault(shown, [])
        if (date := str(run.get("started", ""))[:10]) not in dates:
            dates.append(date)
    return machines
