"""The layout of a study's folder. Writing and reading side know each other through these paths only.

ray_results/<name>/
    study.toml          the study as it ran, every default and option filled in
    code/               the modules of the user's own that it names, as they were
    dataset.json        facts about its images: classes, shape, scale, checksums
    optuna.journal      the one truth about trials: parameters, states, each epoch's value
    environment.json    one entry a run: versions, commit, hardware, command, seeds, checksums
    trials/<number>/    params.json, result.json (one JSON line an epoch), error.txt; while it is trained last.pt and
                        previous.pt, once it has ended best.npz
    trials.csv          one row a trial, written when a run ends
    lock                held while a process runs the study
    logs/               what --log writes: tensorboard/, mlruns/, wandb/
    mirror.json         in a working copy of a URL: what both last agreed on
    arms/<arm>/         of a study with arms, instead of journal and trials: each search in a study's folder of its own,
                        a further one of an arm in <arm>.2, <arm>.3, ...
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hw2tune.errors import StudyFolderError
from hw2tune.user_code.files import FOLDER as CODE

KEPT_FILES = ("lock", "running.json", "mirror.json")  # of the place: neither set aside nor mirrored
MIRRORS = "mirrors"  # below the cache: copies of studies behind a URL


class Below:
    """A path below the root of its folder."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __get__(self, folder: Any, kind: type) -> Path:
        return Path(folder.root, self.path)


@dataclass(frozen=True)
class StudyFolder:
    """The folder of a study."""

    root: Path

    study_file = Below("study.toml")  # resolved
    code = Below(CODE)
    journal = Below("optuna.journal")
    environment = Below("environment.json")
    trials_table = Below("trials.csv")
    lock = Below("lock")
    owner = Below("running.json")  # the process that holds the lock
    mirror = Below("mirror.json")
    logs = Below("logs")
    arms = Below("arms")  # a results folder: the searches of a study with arms

    @classmethod
    def named(cls, results: Path, name: str) -> StudyFolder:
        """Return the folder of this name in commands, which may not exist."""
        study, _, arm = name.partition("/")
        return cls(results / study / "arms" / arm) if arm else cls(results / study)

    @property
    def is_arm(self) -> bool:
        """Return whether it is of the search of an arm."""
        return self.root.parent.name == "arms" and os.path.lexists(self.root.parents[1] / "study.toml")

    @property
    def study_name(self) -> str:
        """Name of the study, also of an arm's."""
        return self.root.parents[1].name if self.is_arm else self.root.name

    @property
    def name(self) -> str:
        """Name in commands; of an arm's search with its study's, as `mnist-l2/no-l2`."""
        return f"{self.study_name}/{self.root.name}" if self.is_arm else self.root.name

    @property
    def has_run(self) -> bool:
        """Return whether a search was begun here, or in arms."""
        return os.path.lexists(self.journal) or os.path.lexists(self.arms)

    @property
    def datasets(self) -> tuple[Path, Path]:
        """Facts about the images; then the place where earlier versions kept them."""
        return self.root / "dataset.json", self.root / "replicates" / "dataset.json"

    def trial(self, number: int) -> TrialFolder:
        return TrialFolder(self.root / "trials" / str(number))


@dataclass(frozen=True)
class TrialFolder:
    """The folder of one trial."""

    root: Path

    params = Below("params.json")
    epochs = Below("result.json")  # one JSON line per epoch
    weights = Below("best.npz")  # after the best epoch, once the trial has ended
    last = Below("last.pt")  # the last checkpoint: the whole training state, while the trial is trained
    previous = Below("previous.pt")  # the one before
    best = Below("best.pt")  # of earlier versions: the whole training state after the best epoch
    errors = Below("error.txt")  # attempt by attempt

    @property
    def checkpoints(self) -> tuple[Path, ...]:
        """Files that a training may go on from, the newest first."""
        return self.last, self.previous, self.best

    def clear(self) -> None:
        """Remove what an earlier attempt left, but for the configuration and what went wrong."""
        self.remove(self.epochs, self.weights, *self.checkpoints)

    def remove(self, *files: Path) -> None:
        """Remove files of the trial, if they are there."""
        for path in files:
            path.unlink(missing_ok=True)


def study_folders(results: Path) -> list[StudyFolder]:
    """The studies in a results folder, by name."""
    try:
        names = sorted(path.name for path in results.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StudyFolderError(f"{results}: cannot be read as a folder of studies ({error.strerror})") from None
    return [StudyFolder(results / name) for name in names if os.path.lexists(results / name / "study.toml")]


def folders_in(path: Path) -> list[StudyFolder]:
    """A study's folder, or every study in a results folder. Raises StudyFolderError if there is none."""
    folders = [StudyFolder(path)] if (path / "study.toml").is_file() else study_folders(path)
    if not folders:
        raise StudyFolderError(f"{path}: neither a study's folder (it holds no study.toml) nor a folder of studies")
    return folders
