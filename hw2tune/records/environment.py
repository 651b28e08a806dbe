"""The environments of a study: `environment.json`, one entry per run, so that a continuation elsewhere is seen."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib import metadata, resources
from pathlib import Path
from typing import Any, Literal, TypeAlias

import psutil
from pydantic import ValidationError

from hw2tune.records.atomic import read_record, set_aside, write_atomically
from hw2tune.records.layout import StudyFolder
from hw2tune.study.schema import Claim
from hw2tune.text.plain import SCHEMA, without_secrets

PACKAGES = ("hw2tune", "torch", "ray", "optuna", "numpy", "pandas", "matplotlib", "scipy")


@dataclass(frozen=True)
class Environment:
    """The content of `environment.json`."""

    runs: list[dict[str, Any]]
    schema: int = SCHEMA


def add_run(folder: StudyFolder, say: Callable[[str], None], **facts: Any) -> None:
    """Add this process's entry, with `facts` (seeds, data, resources) as the caller knows them.

    No trial depends on this record: a damaged one is set aside, which is said.
    """
    if os.path.lexists(folder.environment) and read_record(folder.environment, Environment) is None:
        aside = set_aside(folder.environment)
        say(f"{folder.environment}: damaged, and begun anew; what was there is {aside.name} now")
    content = {"schema": SCHEMA, "runs": [*runs(folder), run_facts() | facts]}
    write_atomically(folder.environment, json.dumps(content, indent=2) + "\n", durable=True)


def runs(folder: StudyFolder) -> list[dict[str, Any]]:
    """The entries, the first run first; empty where none can be read."""
    record = read_record(folder.environment, Environment)
    return record.runs if record else []


@dataclass(frozen=True, kw_only=True)
class ReplicatesRun:
    """A run of replicates: its date, the number asked for, the seeds allowed, and the claims at that time."""

    started: str
    asked: int | Literal["auto"]
    most: int | None  # seeds at most with "auto"; None with a number
    seeds: tuple[int, ...]
    claims: tuple[Claim, ...] | None  # None if the run noted none, as in the first version
    unit: str = "seed"  # or "search" or "split": what was asked for a number of
    each: int = 0  # seeds of each search's winners, or of each split
    there: int | None = None  # replicates before it, of whatever winner; earlier versions did not count them
    winners: Mapping[str, int] = field(default_factory=dict)  # trials that won before it, if any replicate was there

    @property
    def family(self) -> Family:
        """The kind of claim: one about splits of two seeds is another than one on the study's own split."""
        return _family(self.unit, self.each)


UNITS = {"seed": "seeds", "search": "searches", "split": "splits"}  # of claims, and their plural
Family: TypeAlias = tuple[str, int]  # unit and seeds of each


def _family(unit: str, each: int) -> Family:
    return (unit, each) if unit == "split" else ("seed", 0)


def sound_runs(entries: Iterable[object]) -> list[dict[str, Any]]:
    """Return the entries of `environment.json` without values of a wrong shape; empty entries are left out."""
    tables, texts = ("study", "versions", "resources", "data", "seeds", "replicates"), ("started", "command")
    shapes = dict.fromkeys(tables, dict) | dict.fromkeys(texts, str)
    sound = (
        {name: value for name, value in entry.items() if isinstance(value, shapes.get(name, object))}
        for entry in entries
        if isinstance(entry, dict)
    )
    return [entry for entry in sound if entry]


def replicates_runs(entries: Iterable[Mapping[str, Any]]) -> list[ReplicatesRun]:
    """Return the runs of replicates among the entries, the first run first.

    Such an entry holds `"replicates": {"asked": 7 or "auto", "most": 20 or null, ...}`. Earlier versions noted only the
    seeds, as many as were asked for. A run is left out if the next one found no replicate: nobody saw its results.
    """
    found: list[ReplicatesRun] = []
    for entry in sound_runs(entries):
        seeds, noted = entry.get("seeds", {}).get("replicates"), entry.get("replicates", {})
        if not isinstance(seeds, list):
            continue
        asked, winners = noted.get("asked", len(seeds)), noted.get("winners")
        winners = winners if isinstance(winners, dict) else {}
        run = ReplicatesRun(
            started=entry.get("started", ""),
            asked=asked if type(asked) is int else "auto",
            most=_number(noted.get("most")),
            seeds=tuple(one for one in seeds if type(one) is int),
            claims=claims_of(entry),
            unit=noted["unit"] if noted.get("unit") in UNITS else "search" if noted.get("each") else "seed",
            each=_number(noted.get("each")) or 0,
            there=_number(noted.get("there")),
            winners={name: one for name, one in winners.items() if type(one) is int},
        )
        seen = [one for one in found if run.there != 0 or one.family[0] != run.family[0]]
        found = [*seen, run]
    return found


def last_family(entries: Iterable[Mapping[str, Any]], unit: str) -> Family:
    """Return the unit, with the seeds of each that the last run of replicates asked for."""
    return unit, next((run.each for run in reversed(replicates_runs(entries)) if run.unit == unit), 0)


def planned(
    entries: Iterable[Mapping[str, Any]], claims: Sequence[Claim], family: Family = ("seed", 0)
) -> tuple[int, int | None]:
    """Return the number of claims ever made, by `claims` or a run of replicates, and the fixed number of seeds.

    The same pair in another family is another claim. The latter number, of searches or splits if claims are about
    these, is None unless every run of the family asked for the same number, on as many seeds each, no claim came after
    its first run, and no replicate was there before it.
    """
    asked, family = replicates_runs(entries), _family(*family)
    made: dict[Family, dict[Hashable, None]] = {family: {}}
    first: int | None = None
    for of, each in (*((run.family, run.claims) for run in asked), (family, tuple(claims))):
        if each is not None:
            made[of] = made.get(of, {}) | dict.fromkeys(map(sides_of, each))
            first = len(made[of]) if first is None and of == family else first
    mine, number = [run for run in asked if run.family == family], sum(map(len, made.values()))
    alike = len({(run.asked, run.each) for run in mine}) == 1 and len(made[family]) == first and not mine[0].there
    return number, mine[0].asked if alike and mine[0].asked != "auto" else None


def sides_of(claim: Claim) -> Hashable:
    """Return a key that claims share if their sides are the same, in whatever order and by whatever names."""
    return frozenset((side.of, tuple(sorted(side.changes.items()))) for side in (claim.a, claim.b))


def claims_of(entry: Mapping[str, Any]) -> tuple[Claim, ...] | None:
    """Return the study's claims at the time of an entry; None if it noted none, as in the first version, or damaged."""
    noted = entry.get("study", {}).get("claims")
    with contextlib.suppress(ValidationError):
        return tuple(map(Claim.model_validate, noted)) if isinstance(noted, list) else None
    return None


def _number(noted: Any) -> int | None:
    return noted if type(noted) is int else None


def run_facts() -> dict[str, Any]:
    """The facts of an entry that do not depend on the study: versions, commit, hardware, the command."""
    return {
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
        "command": shlex.join([Path(sys.argv[0]).name, *map(without_secrets, sys.argv[1:])]),
        "python": platform.python_version(),
        "versions": {name: version for name in PACKAGES if (version := installed_version(name))},
        "commit": commit(),
        "platform": platform.platform(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
    }


def installed_version(name: str) -> str | None:
    """Return the version of an installed package, or None."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def version_text(version: str) -> str:
    """The text of `hw2tune --version`: ours with its commit, and those of its libraries, none of them imported."""
    at = commit()
    ours = f"hw2tune {version} (commit {at or 'not known'})"
    under = [f"{name} {installed_version(name) or 'not installed'}" for name in ("torch", "ray", "optuna")]
    return "\n".join([ours, ", ".join([f"Python {platform.python_version()}", *under])])


def commit() -> str | None:
    """The commit of hw2tune, with a `+` where files differ from it; None if nothing says which one it is.

    A checkout is asked. A wheel holds `commit.txt` where it was built with `hatch_build.py`, and pip notes the commit
    of what it installs from a repository (PEP 610).
    """
    package = Path(str(resources.files("hw2tune")))
    if (package.parent / ".git").exists():
        if shutil.which("git") is None:
            return None
        describe = ["git", "-C", str(package.parent), "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"]
        described = subprocess.run(describe, capture_output=True, encoding="utf-8", errors="replace", check=False)
        return described.stdout.strip() or None
    built = package / "commit.txt"
    if built.is_file():
        return built.read_text(encoding="utf-8").strip() or None
    try:
        noted = json.loads(metadata.distribution("hw2tune").read_text("direct_url.json") or "{}")
        return str(noted["vcs_info"]["commit_id"])[:12]
    except (metadata.PackageNotFoundError, ValueError, KeyError, TypeError):
        return None


def processor() -> str:
    """The processor's name as the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text(encoding="utf-8", errors="replace") if cpuinfo.exists() else ""
    named = re.search(r"^model name[ \t]*:[ \t]*(\S.*)", text, re.MULTILINE)
    return named[1].strip() if named else platform.processor() or platform.machine()
