"""`hw2tune study --address http://head:8265`: the same command, run by the cluster's head and followed from here."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import TextIO

from hw2tune.errors import ResourceError
from hw2tune.execution.jobs import JobServer, follow, log, newest, on_the_head, submit
from hw2tune.execution.request import Request, resolve
from hw2tune.study.file import in_folder
from hw2tune.text.plain import without_secrets
from hw2tune.user_code.trust import trust_variable

LOGGING = (
    "MLFLOW_TRACKING_URI",
    "MLFLOW_EXPERIMENT_NAME",
    "MLFLOW_EXPERIMENT_ID",
    "WANDB_MODE",
    "WANDB_PROJECT",
    "WANDB_ENTITY",
)


def submit_study(request: Request, more: Sequence[str], *, attach: bool, logs: bool, out: TextIO) -> int:
    """Submit the study, or with `attach` find its job, and copy the output to `out`; with `logs` the output so far.

    Returns the job's exit code. Raises Hw2tuneError.
    """
    url = request.resources.address or ""
    if not url.startswith(("http://", "https://")):
        raise ResourceError("--attach and --logs need the cluster's dashboard: --address http://head:8265")
    if not (attach or logs):
        _refuse_credentials(str(request.results))
    study = resolve(request)
    cluster = JobServer(
        url=url, study=study.name, rejoin=shlex.join(["hw2tune", "study", request.study, "--address", url, "--attach"])
    )
    if logs:
        out.write(log(cluster, newest(cluster)))
        return 0
    if attach:
        job = newest(cluster)
    else:
        if in_folder(study):
            _note(f"dataset {study.dataset}: only its path is sent; the cluster needs the same images there")
        environment = trust_variable() | (environment_of(os.environ) if "--log" in more else {})
        job = submit(cluster, study, str(request.results), [*options_of(request), *more], environment)
        _note(f"job {job} at {url}; Ctrl-C leaves it alone, `{cluster.rejoin}` follows it again")
        _note(f"its results lie there, in {on_the_head(str(request.results))}/{study.name}")

    def write(text: str) -> None:
        out.write(text)
        out.flush()

    return follow(cluster, job, write, _note)


def _refuse_credentials(results: str) -> None:
    """Raise ResourceError if the address of the results holds credentials: the job's command line shows it."""
    if (address := without_secrets(results)) != results:
        raise ResourceError(
            f"--results-dir {address}: the address holds credentials, and the cluster's dashboard would show them; "
            "leave them out, and set them in the environment of the cluster's head"
        )


def options_of(request: Request) -> list[str]:
    """What the study file does not hold of a request, as options."""
    resources = request.resources
    values = {
        "--cpus-per-trial": f"{resources.cpus_per_trial:g}",
        "--gpus-per-trial": None if resources.gpus_per_trial is None else f"{resources.gpus_per_trial:g}",
        "--concurrency": resources.concurrency,
        "--data-dir": request.data_dir,
        "--retries": request.retries,
        "--warm-start": request.warm_start,
        "--time-budget": None if request.time_budget is None else f"{request.time_budget:g}s",
    }
    options = [word for name, value in values.items() if value is not None for word in (name, str(value))]
    return [*options, "--fresh"] if request.fresh else options


def environment_of(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that say where `--log` logs. Logins stay here: whoever sees the cluster's dashboard sees these."""
    there = {name: environment[name] for name in LOGGING if environment.get(name)}
    kept = {name: value for name, value in there.items() if without_secrets(value) == value}
    for name in there.keys() - kept.keys():
        _note(f"{name} holds a login and is not sent: set it on the cluster, or the study logs into its folder there")
    return kept


def _note(text: str) -> None:
    print(without_secrets(text), file=sys.stderr, flush=True)
