"""`hw2tune study --address http://head:8265`: the same command, handed over through Ray's Jobs API and followed here.

Nothing is kept here about a job: it is named after its study, so the same command with `--attach` finds it. The
client needs the cluster's address and token only, and may sleep, be cut off or be closed while the job goes on.
"""

from __future__ import annotations

import logging
import os
import re
import shlex
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from hw2tune.errors import InterruptedByUserError, JobError, ResourceError
from hw2tune.execution.attaching import connection_error, users_token, without_ray_address
from hw2tune.execution.request import Request, resolve
from hw2tune.study.file import dump_study, in_folder
from hw2tune.study.schema import Study
from hw2tune.text.plain import first_line, without_secrets
from hw2tune.user_code.importer import trust_variable

POLL_SECONDS = 1.0
PATIENCE = 120.0  # seconds without an answer before the client gives up; the job does not mind
COMMAND_LINE = "Running entrypoint for job "  # Ray repeats the command in the log; what is above is Ray's too
ENVIRONMENT = {"COLUMNS": "120", "RAY_JOB_STOP_WAIT_TIME_S": "60"}  # a study takes more to stop than Ray's 3 s

# The job runs in a shell whose PATH need not hold the Python that Ray runs in. The shell's parent is Ray's supervisor
# of the job and that one's parent the raylet, whose command line names it.
RAYLET = r"$(sed -n 's/^PPid:[^0-9]*//p' /proc/$PPID/status)"
PYTHON = rf"$(tr '\0' '\n' < /proc/{RAYLET}/cmdline | sed -n 's/^--python_worker_command=\([^ ]*\) .*/\1/p')"

LOGGING = (
    "MLFLOW_TRACKING_URI",
    "MLFLOW_EXPERIMENT_NAME",
    "MLFLOW_EXPERIMENT_ID",
    "WANDB_MODE",
    "WANDB_PROJECT",
    "WANDB_ENTITY",
)


@dataclass(frozen=True, kw_only=True)
class JobServer:
    """A cluster's job server and a study, with the command that follows the study's job again."""

    url: str
    study: str
    rejoin: str

    @property
    def prefix(self) -> str:
        """The beginning of the names of the study's jobs, before their numbers from 1."""
        return f"hw2tune-{self.study}-"

    def stop(self, job: str) -> str:
        """The command that ends a job in order."""
        return f"ray job stop --address {self.url} {job}"


def submit_study(request: Request, more: Sequence[str], *, attach: bool, logs: bool, out: TextIO) -> int:
    """Submit the study, or with `attach` find its job, and copy the output to `out`; with `logs` the output so far.

    Returns the job's exit code. Raises Hw2tuneError.
    """
    url, results = request.resources.address or "", str(request.results)
    if not url.startswith(("http://", "https://")):
        raise ResourceError("--attach and --logs need the cluster's dashboard: --address http://head:8265")
    if not (attach or logs) and (address := without_secrets(results)) != results:
        raise ResourceError(
            f"--results-dir {address}: the address holds credentials, and the cluster's dashboard would show them; "
            "leave them out, and set them in the environment of the cluster's head"
        )
    study = resolve(request)
    rejoin = shlex.join(["hw2tune", "study", request.study, "--address", url, "--attach"])
    cluster = JobServer(url=url, study=study.name, rejoin=rejoin)
    job = newest(cluster) if attach or logs else _submitted(cluster, study, request, more)
    if logs:
        with _words(cluster):
            text = _without_rays(_client(cluster).get_job_logs(job))
        out.write(text)
        return 0
    return follow(cluster, job, out)


def _submitted(cluster: JobServer, study: Study, request: Request, more: Sequence[str]) -> str:
    if in_folder(study):
        _note(f"dataset {study.dataset}: only its path is sent; the cluster needs the same images there")
    environment = trust_variable() | (environment_of(os.environ) if "--log" in more else {})
    job = submit(cluster, study, str(request.results), [*options_of(request), *more], environment)
    _note(f"job {job} at {cluster.url}; Ctrl-C leaves it alone, `{cluster.rejoin}` follows it again")
    _note(f"its results lie there, in {on_the_head(str(request.results))}/{study.name}")
    return job


def options_of(request: Request) -> list[str]:
    """Return the parts of a request that are not in the study file, as options."""
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
    given = {name: environment[name] for name in LOGGING if environment.get(name)}
    kept = {name: value for name, value in given.items() if without_secrets(value) == value}
    for name in given.keys() - kept.keys():
        _note(f"{name} holds a login and is not sent: set it on the cluster, or the study logs into its folder there")
    return kept


def _note(text: str) -> None:
    print(without_secrets(text), file=sys.stderr, flush=True)


def on_the_head(results: str) -> str:
    """The place of results: a relative folder in the home folder there, since a job's own folder is Ray's to clean."""
    return results if Path(results).is_absolute() or "://" in results else f"~/{results}"


def entrypoint(study_file: str, results: str, options: Sequence[str]) -> str:
    """The command that the cluster's head runs: the same study, attached to the cluster it runs on."""
    there = on_the_head(results)
    folder = '"$HOME"/' + shlex.quote(results) if there.startswith("~/") else shlex.quote(there)
    command = shlex.join(["-m", "hw2tune", "study", study_file, *options, "--address", "auto"])
    return f'python="{PYTHON}"; exec "${{python:-python3}}" {command} --results-dir {folder}'


def submit(
    cluster: JobServer, study: Study, results: str, options: Sequence[str], environment: Mapping[str, str]
) -> str:
    """Hand the study over and return its job's name. Raises ResourceError, and JobError where one runs already."""
    from hw2tune.execution.cluster import package_folder

    client = _client(cluster)
    with _words(cluster), tempfile.TemporaryDirectory(prefix="hw2tune-") as folder:
        known = _jobs(client, cluster)
        running = next((name for name, state in known.items() if state in ("PENDING", "RUNNING")), None)
        if running is not None:
            raise JobError(
                f"{cluster.url}: job {running} runs this study already; `{cluster.rejoin}` follows it, "
                f"`{cluster.stop(running)}` ends it in order"
            )
        write_study(Path(folder), study)
        name, variables = f"{cluster.prefix}{next_number(known)}", {**environment, **ENVIRONMENT}
        client.submit_job(
            entrypoint=entrypoint(f"./{study.name}.toml", results, options),
            submission_id=name,
            runtime_env={"working_dir": folder, "py_modules": [package_folder()], "env_vars": variables},
        )
    return name


def write_study(folder: Path, study: Study) -> None:
    """Write what travels to the head: the study's file, and the modules of the user's own that it names."""
    for name, text in {f"{study.name}.toml": dump_study(study), **study.code}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def next_number(known: Collection[str]) -> int:
    """The number of a study's next job: jobs in between may have been deleted."""
    return max(map(_number_of, known), default=0) + 1


def _number_of(job: str) -> int:
    return int(job.rpartition("-")[2])


def newest(cluster: JobServer) -> str:
    """The name of the study's last job. Raises JobError where it has none."""
    with _words(cluster):
        known = _jobs(_client(cluster), cluster)
    if not known:
        raise JobError(f"{cluster.url}: no job of study `{cluster.study}`; without --attach and --logs one is begun")
    return max(known, key=_number_of)


def _jobs(client: Any, cluster: JobServer) -> dict[str, str]:
    """The states of the study's jobs, by name."""
    states = {job.submission_id or "": job.status.value for job in client.list_jobs()}
    return {name: state for name, state in states.items() if re.fullmatch(rf"{re.escape(cluster.prefix)}\d+", name)}


def follow(cluster: JobServer, job: str, out: TextIO) -> int:
    """Write what the job prints until it ends and return its exit code. Raises InterruptedByUserError on Ctrl-C.

    An answer that does not come is asked for again for PATIENCE seconds, then ResourceError is raised.
    """
    try:
        return _follow(cluster, job, out)
    except KeyboardInterrupt:
        raise InterruptedByUserError(
            f"disconnected; job {job} goes on. `{cluster.rejoin}` follows it again, "
            f"`{cluster.stop(job)}` ends it in order"
        ) from None


def _follow(cluster: JobServer, job: str, out: TextIO) -> int:
    from ray.exceptions import RayError

    client = _client(cluster)
    written, answered, lost = 0, time.monotonic(), False
    while True:
        try:
            ended = client.get_job_status(job).is_terminal()  # asked first: what is printed before the end is then read
            text = _without_rays(client.get_job_logs(job))
            details = client.get_job_info(job) if ended else None
        except OSError as error:
            if time.monotonic() - answered > PATIENCE:
                raise _unreachable(cluster, f"no answer for {PATIENCE:g} s; the job itself goes on: {error}") from error
            if not lost:
                _note(f"{cluster.url}: no answer; the job goes on, the client tries again")
            lost = True
        except (RuntimeError, RayError) as error:  # the server answers, but not what was asked for
            raise JobError(
                f"{cluster.url}: job {job} cannot be followed ({first_line(str(error), 'no reason given')}); "
                f"`{cluster.rejoin}` follows it again"
            ) from error
        else:
            answered, lost = time.monotonic(), False
            out.write(text[written:])
            out.flush()
            written = len(text)
            if details is not None:
                return _exit_code(details)
        time.sleep(POLL_SECONDS)


def _exit_code(details: Any) -> int:
    if details.status.value == "SUCCEEDED":
        return 0
    if details.driver_exit_code is None:  # the command was not run to an end: Ray says why
        _note(f"hw2tune: job {details.submission_id}: {details.status.value.lower()}: {details.message}")
    return int(details.driver_exit_code or 1) % 256


def _without_rays(text: str) -> str:
    """A job's log behind the line in which Ray repeats the command; empty before it is there."""
    _, _, behind = f"\n{text}".partition(f"\n{COMMAND_LINE}")
    return behind.partition("\n")[2]


def _client(cluster: JobServer) -> Any:
    with _words(cluster):
        from ray.job_submission import JobSubmissionClient

        for name in ("ray", "ray.dashboard.modules.dashboard_sdk"):  # the terminal is ours
            logging.getLogger(name).setLevel(logging.CRITICAL)
        with without_ray_address():
            return JobSubmissionClient(cluster.url)


@contextmanager
def _words(cluster: JobServer) -> Iterator[None]:
    """Around calls of Ray's: what it raises as errors that a user can act on."""
    from ray.exceptions import AuthenticationError

    try:
        with users_token():
            yield
    except AuthenticationError as error:
        raise connection_error(cluster.url, "authentication") from error
    except (ImportError, OSError, RuntimeError) as error:
        if isinstance(error, ImportError) or "ray[default]" in str(error):
            raise ResourceError(
                f"--address {cluster.url}: handing a study over needs Ray's job client here: pip install '.[cluster]' "
                "in hw2tune's checkout"
            ) from error
        raise _unreachable(cluster, str(error)) from error


def _unreachable(cluster: JobServer, said: str) -> ResourceError:
    return ResourceError(
        f"--address {cluster.url}: no job server answers there ({first_line(said, 'no reason given')}); is it the "
        "dashboard's address (port 8265), and does the head have ray[default] installed?"
    )
