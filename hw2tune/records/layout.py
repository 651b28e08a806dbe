"""The layout of a study's folder. Writing and reading side know each other through these paths only.

ray_results/<name>/
    study.toml          the study as it ran, every default and option filled in
    code/               the modules of the user's own that it names, as they were
    dataset.json        facts about its images: classes, shape, scale, checksums
    optuna.journal      the one truth about trials: parameters, states, each epoch's value
    environment.json    one entry a run: versions, commit, hardware, command, seeds, checksums
    trials/<number>/    params.json, result.json (one JSON line an epoch), best.pt, last.pt
    trials.csv          one row a trial, written when a run ends
    lock                held while a process runs the study
    logs/               what --log writes: tensorboard/, mlruns/, wandb/
    mirror.json         in a working copy of a URL: what both last agreed on
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from hw2tune.errors import StudyFolderError
from hw2tune.user_code.files import FOLDER as CODE

KEPT_FILES = ("lock", "running.json", "mirror.json")  # of the place: neither set aside nor mirrored


@dataclass(frozen=True)
class StudyFolder:
    """Where a study lies."""

    root: Path

    @property
    def name(self) -> str:
        """The study's name."""
        return self.root.name

    @property
    def study_file(self) -> Path:
        """The resolved study."""
        return self.root / "study.toml"

    @property
    def code(self) -> Path:
        """The modules of the user's own that the study names."""
        return self.root / CODE

    @property
    def journal(self) -> Path:
        """Optuna's journal."""
        return self.root / "optuna.journal"

    @property
    def environment(self) -> Path:
        """What the study ran on."""
        return self.root / "environment.json"

    @property
    def datasets(self) -> tuple[Path, Path]:
        """Facts about the images; then the place where earlier versions kept them."""
        return self.root / "dataset.json", self.root / "replicates" / "dataset.json"

    @property
    def trials_table(self) -> Path:
        """One row a trial."""
        return self.root / "trials.csv"

    @property
    def lock(self) -> Path:
        """Held by the process that runs the study."""
        return self.root / "lock"

    @property
    def mirror(self) -> Path:
        """What a working copy and its store last agreed on."""
        return self.root / "mirror.json"

    @property
    def logs(self) -> Path:
        """What loggers write."""
        return self.root / "logs"

    def trial(self, number: int) -> TrialFolder:
        """Where one trial lies."""
        return TrialFolder(self.root / "trials" / str(number))


@dataclass(frozen=True)
class TrialFolder:
    """Where one trial lies."""

    root: Path

    @property
    def params(self) -> Path:
        """The configuration."""
        return self.root / "params.json"

    @property
    def epochs(self) -> Path:
        """One JSON line an epoch."""
        return self.root / "result.json"

    @property
    def best(self) -> Path:
        """The whole training state after the best epoch."""
        return self.root / "best.pt"

    @property
    def last(self) -> Path:
        """The whole training state after the last epoch."""
        return self.root / "last.pt"

    @property
    def errors(self) -> Path:
        """What went wrong, attempt by attempt."""
        return self.root / "error.txt"

    def clear(self) -> None:
        """Removes what an earlier attempt left, but for the configuration and what went wrong."""
        for path in (self.epochs, self.best, self.last):
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
    """A study's folder, or every study in a results folder. Raises StudyFolderError where there is none."""
    folders = [StudyFolder(path)] if (path / "study.toml").is_file() else study_folders(path)
    if not folders:
        raise StudyFolderError(f"{path}: neither a study's folder (it holds no study.toml) nor a folder of studies")
    return folders
