"""Files of a study's folder, and of those set aside, that nothing reads any more.

A trial goes on from its checkpoints until it has ended; behind that only `best.npz` counts, from which an export or a
prediction of that very trial takes its weights (`best.pt` of earlier versions). Reports, races and claims read neither:
they train replicates, whose weights lie in `replicates/trainings`. These are what a report costs and are never offered
here; nor are journals, epochs, tables.
"""

from __future__ import annotations

import contextlib
import filecmp
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from hw2tune.records.atomic import files_below
from hw2tune.records.layout import StudyFolder, TrialFolder
from hw2tune.records.overview import read_overview
from hw2tune.records.trials.rows import TrialRow, best_first
from hw2tune.study.names import LEFTOVERS, RACE

LAST, WEIGHTS, SET_ASIDE, DECODED, SCRATCH = LEFTOVERS
KINDS = {
    LAST: "last.pt and previous.pt of trials that have ended; only a trial under way goes on from them",
    WEIGHTS: f"best.npz of trials that have ended, but for the references and the best {RACE}; shown only when it "
    "is asked for: their weights are lost, and `--trial` of `export` and `predict` finds them no more",
    SET_ASIDE: "a study that --fresh set aside, all of it, results too; shown only when it is asked for",
    DECODED: "image folders, decoded; decoded again where one is needed",
    SCRATCH: "Ray's sockets and logs of commands that were killed",
}
ON_DEMAND = (WEIGHTS, SET_ASIDE)  # not among what is found where no kind is named
DATED = re.compile(r"(?P<name>.+)\.\d{4}-\d\d-\d\d-\d{6}(-\d+)?")


@dataclass(frozen=True, kw_only=True)
class Leftover:
    """Something that can go. `study` is a name in the results, empty for what is the machine's."""

    kind: str  # a key of KINDS
    study: str
    paths: tuple[Path, ...]
    size: int  # bytes

    @property
    def count(self) -> int:
        """The number of files, or whole folders."""
        return len(self.paths)


def leftover(kind: str, study: str, paths: Iterable[Path]) -> Iterator[Leftover]:
    """One, where there are any paths."""
    if there := tuple(paths):
        yield Leftover(kind=kind, study=study, paths=there, size=sum(map(size_of, there)))


def in_study(folder: StudyFolder) -> list[Leftover]:
    """Checkpoints of trials that have ended. Raises StudyFileError, StudyFolderError if it cannot be read."""
    overview = read_overview(folder)
    there = [found for search in overview.searches for found in in_study(search.folder) if search.rows]
    best = best_first(overview.rows, overview.study.direction)[:RACE]
    kept = {row.number for row in best} | {row.number for row in overview.rows if row.label}
    others = [folder.trial(row.number) for row in overview.finished if row.number not in kept]
    last = [path for row in overview.finished for path in _spare(folder.trial(row.number), row)]
    weights = [path for trial in others for path in (trial.weights, trial.best) if path.exists() and path not in last]
    of_arms = {kind: [path for one in there if one.kind == kind for path in one.paths] for kind in (LAST, WEIGHTS)}
    return [
        *leftover(LAST, folder.name, [*last, *of_arms[LAST]]),
        *leftover(WEIGHTS, folder.name, [*weights, *of_arms[WEIGHTS]]),
    ]


def set_aside(results: Path, name: str | None = None) -> list[Leftover]:
    """Folders that --fresh set aside, of one study or of all, each for itself."""
    found = list[Leftover]()
    for path in sorted(results.glob("set-aside/*")):
        dated = DATED.fullmatch(path.name)
        if dated and path.is_dir() and name in (None, dated["name"]):
            found += leftover(SET_ASIDE, dated["name"], [path])
    return found


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files below a folder; links are not followed."""
    size = 0
    for file in files_below(path) if path.is_dir() and not path.is_symlink() else [path]:
        with contextlib.suppress(OSError):  # removed meanwhile
            size += file.lstat().st_size
    return size


def _spare(trial: TrialFolder, row: TrialRow) -> list[Path]:
    """Return the checkpoints that an ended trial can do without: all, if it has its weights or never had any.

    Of a trial of an earlier version that is `last.pt`, unless it alone is of the best epoch.
    """
    there = [path for path in trial.checkpoints if path.exists()]
    if trial.weights.exists() or row.best_epoch is None:
        return there
    if trial.last in there and trial.best in there:
        ended_better = row.best_epoch == row.epochs and not filecmp.cmp(trial.best, trial.last, shallow=False)
        return [] if ended_better else [trial.last]
    return []
