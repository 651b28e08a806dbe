"""W&B: a group per study, in it a run per trial and replicate, offline without a login.

A run is written as a whole when it has ended: next to its place, and then moved there. A run that a kill leaves half
written is deleted and written again. A run in its place is not written twice.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import urllib.error
import urllib.request
from netrc import NetrcParseError, netrc
from pathlib import Path
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

import psutil

from hw2tune.errors import LoggerError
from hw2tune.integrations.logger import RecordsLogger
from hw2tune.integrations.runs import LoggedRun, study_id
from hw2tune.records.layout import StudyFolder
from hw2tune.records.overview import Overview

Mode = Literal["online", "offline"]
MODES: dict[str, Mode] = {"online": "online", "offline": "offline", "dryrun": "offline"}
PROJECT, SERVICE = "hw2tune", "wandb-core"
REACHED = 5.0  # seconds within which W&B's server must answer
SETTINGS: dict[str, Any] = {
    "silent": True, "console": "off", "disable_git": True, "save_code": False, "x_disable_stats": True,
    "x_disable_meta": True, "x_disable_machine_info": True, "x_save_requirements": False, "init_timeout": 30.0,
}  # fmt: skip


class WandbLogger(RecordsLogger):
    """Writes `logs/wandb/` in the study's folder, which `wandb sync` takes, and with a login to W&B's server.

    WANDB_MODE is `online` or `offline`; without it a login decides. Raises LoggerError if wandb is not installed, if
    `online` has no login, or if the server does not answer.
    """

    service_is_ours: ClassVar[bool] = False  # of this process: W&B has one for all runs
    name, library, imports, loggers = "wandb", "wandb", ("requests",), ("wandb",)

    def __init__(self) -> None:
        super().__init__()
        self.mode = _mode()
        if self.mode == "online":
            _refuse_unreachable(_server())

    def place(self, folder: StudyFolder) -> Path:
        return folder.logs / "wandb"

    def begin(self, overview: Overview) -> dict[str, str]:
        self.study_id = study_id(overview.folder)
        self.ids: dict[str, str] = {}  # of the runs that ended, by name
        shutil.rmtree(self._beside(overview.folder), ignore_errors=True)
        return {}

    def write(self, run: LoggedRun) -> None:
        if not run.ended:
            return
        place = self.place(self.overview.folder)
        number = hashlib.sha256(f"{self.study_id} {run.name} {run.key}".encode()).hexdigest()[:12]
        self.ids[run.name] = number
        if not any(place.glob(f"*run-*-{number}")):
            written = self._write_beside(run, number)
            place.mkdir(parents=True, exist_ok=True)
            written.rename(place / written.name)

    def end(self, overview: Overview) -> None:
        for there in self.place(overview.folder).glob("*run-*"):
            if there.name.rpartition("-")[2] not in self.ids.values():  # of a winner that was another one before
                shutil.rmtree(there)
        shutil.rmtree(self._beside(overview.folder), ignore_errors=True)
        if WandbLogger.service_is_ours:
            import wandb

            wandb.teardown()
            WandbLogger.service_is_ours = False

    def _beside(self, folder: StudyFolder) -> Path:
        return folder.logs / "wandb.part"

    def _write_beside(self, run: LoggedRun, number: str) -> Path:
        """Write a whole run and return its folder."""
        import wandb

        folder = self.overview.folder
        self._beside(folder).mkdir(parents=True, exist_ok=True)
        if not any(_is_service(child) for child in psutil.Process().children()):
            WandbLogger.service_is_ours = True
        begun = wandb.init(
            project=os.environ.get("WANDB_PROJECT") or PROJECT, group=folder.name, job_type=run.kind, name=run.name,
            id=number, dir=self._beside(folder), mode=self.mode, reinit="create_new",
            resume="allow" if self.mode == "online" else None,
            config={**run.params, "label": run.label, "study": folder.name}, settings=wandb.Settings(**SETTINGS),
        )  # fmt: skip
        for epoch in run.epochs:
            begun.log({"epoch": epoch.number, "_timestamp": epoch.time, **epoch.metrics}, step=epoch.number)
        begun.summary.update({**run.results, "best_epoch": run.best_epoch, "state": run.state, "reason": run.reason})
        place = Path(begun.settings.sync_dir)
        begun.finish(exit_code=0 if run.succeeded else 1)
        return place


def _mode() -> Mode:
    """Return the mode of W&B. Raises LoggerError for an unknown mode and `online` without a login."""
    asked, login = os.environ.get("WANDB_MODE") or _mode_of_settings(), _has_login()
    if asked and asked not in MODES:
        raise LoggerError(
            f"--log wandb: WANDB_MODE is {asked!r}; set it to online or offline, or leave out --log wandb"
        )
    mode = MODES.get(asked, "online" if login else "offline")
    if mode == "online" and not login:
        raise LoggerError(
            "--log wandb: WANDB_MODE is online, but there is no login; `wandb login` makes one, WANDB_API_KEY holds "
            "one, and WANDB_MODE=offline needs none"
        )
    return mode


def _mode_of_settings() -> str:
    """Return the mode in W&B's own settings files, as `wandb offline` writes it; empty for its default."""
    import wandb

    place = Path(os.environ.get("WANDB_CONFIG_DIR", "~/.config/wandb")).expanduser()
    settings = wandb.Settings(silent=True, settings_system=str(place / "settings"))
    settings.update_from_system_settings()
    return "" if settings.mode == "online" else settings.mode


def _is_service(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):  # a child that has just ended
        return process.name() == SERVICE
    return False


def _server() -> str:
    return os.environ.get("WANDB_BASE_URL") or "https://api.wandb.ai"


def _has_login() -> bool:
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        return urlsplit(_server()).hostname in netrc(os.environ.get("NETRC")).hosts  # `default` is of no host
    except (OSError, NetrcParseError):
        return False


def _refuse_unreachable(server: str) -> None:
    try:
        urllib.request.urlopen(server, timeout=REACHED).close()
    except urllib.error.HTTPError:
        return  # an answer
    except (OSError, ValueError) as error:
        raise LoggerError(
            f"--log wandb: no answer from {server} ({error}); WANDB_MODE=offline logs into the study's folder, and "
            "`wandb sync` sends that later"
        ) from None
