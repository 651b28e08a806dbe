"""`hw2tune submit`: a study as jobs of SLURM, a small one that drives it and an array of tasks that join."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from hw2tune.errors import JobError, ResourceError
from hw2tune.execution.slurm_jobs import ADDRESS, JOBS, Driver, Worker, alive
from hw2tune.paths import safe_name
from hw2tune.records.atomic import write_atomically
from hw2tune.text.plain import last_line

if TYPE_CHECKING:
    from submitit import SlurmExecutor

NOTICE_SECONDS = 120  # from the signal to the limit; a quarter of shorter ones
REQUEUES = 1_000_000  # at most; the end of the study ends them
OF_A_JOB = ("SLURM_", "SLURMD_", "SUBMITIT_")  # variables that another job must not inherit


@dataclass(frozen=True, kw_only=True)
class Allocation:
    """What the jobs ask SLURM for: limits in seconds, and options of sbatch's as they are written."""

    tasks: int
    seconds: float
    driver_seconds: float
    cpus_per_task: int = 1
    shared: Mapping[str, str] = field(default_factory=dict)  # account, partition, mem, of all jobs
    gres: str | None = None  # of a task


@dataclass(frozen=True, kw_only=True)
class Submission:
    """The ids of a study's jobs and the folder of their logs."""

    driver: str
    array: str
    folder: Path


def submit(study: str, results: str, words: Sequence[str], allocation: Allocation) -> Submission:
    """Submit the jobs of a study; `words` are the arguments of `hw2tune study`. Raises ResourceError, JobError."""
    if not shutil.which("sbatch"):
        raise ResourceError(
            "sbatch is not on PATH, so there is no SLURM here; run this on a login node of its cluster, or "
            "`hw2tune study` to run the study on this machine"
        )
    try:
        import submitit
    except ImportError as error:
        raise ResourceError(
            "submitting to SLURM needs a package that is not here: pip install '.[slurm]' in hw2tune's checkout"
        ) from error
    folder = jobs_folder(results, study)
    if (folder / JOBS).exists() and (running := alive((folder / JOBS).read_text().split())):
        ids = " ".join(running)
        raise JobError(
            f"{study}: its jobs {ids} are in SLURM's queue already; `squeue --jobs {','.join(running)}` shows them, "
            f"`scancel {ids}` ends them in order, and then the same command continues the study"
        )

    def executor(name: str, seconds: float, cpus: int, **more: str) -> SlurmExecutor:
        made = submitit.SlurmExecutor(folder, max_num_timeout=REQUEUES)
        made.update_parameters(
            job_name=name, time=max(1, -int(-seconds // 60)), signal_delay_s=_notice(seconds),
            cpus_per_task=cpus, srun_args=[f"--cpus-per-task={cpus}"],  # which srun does not inherit since SLURM 22.05
            stderr_to_stdout=True, additional_parameters={"requeue": True, **allocation.shared, **more},
        )  # fmt: skip
        return made

    gres = {"gres": allocation.gres} if allocation.gres else {}
    with _outside_of_jobs():
        drivers = executor(f"hw2tune-{study}-driver", allocation.driver_seconds, 1)
        with _made(folder):
            driver = _submitted(drivers, [Driver(folder, _grace(allocation.driver_seconds), tuple(words))])
        write_atomically(folder / JOBS, driver)
        tasks = executor(f"hw2tune-{study}", allocation.seconds, allocation.cpus_per_task, **gres)
        worker = Worker(folder, _grace(allocation.seconds), driver, allocation.cpus_per_task)
        try:
            array = _submitted(tasks, [worker] * allocation.tasks)
        except JobError:
            subprocess.run(["scancel", driver], check=False)
            raise
    write_atomically(folder / JOBS, f"{driver} {array}")
    return Submission(driver=driver, array=array, folder=folder)


def _notice(limit: float) -> int:
    """Return the seconds from the signal to the limit."""
    return int(min(NOTICE_SECONDS, limit / 4))


def _grace(limit: float) -> float:
    """Return the seconds that a command has to end; the rest is for the requeue."""
    return 0.75 * _notice(limit)


def jobs_folder(results: str, study: str) -> Path:
    """Return the folder of a study's jobs: next to the results, which each node sees as well, and not in them."""
    return Path(f"{'ray_results' if '://' in results else results}.slurm").absolute() / safe_name(study)


@contextlib.contextmanager
def _made(folder: Path) -> Iterator[None]:
    """For the length of a `with`, the folder of jobs that have no address yet; as it was before if sbatch refuses."""
    new = [one for one in (folder, *folder.parents) if not one.exists()]
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    address = folder / ADDRESS
    former = address.read_bytes() if address.exists() else None
    address.unlink(missing_ok=True)
    try:
        yield
    except JobError:
        if former is not None:
            write_atomically(address, former)
        with contextlib.suppress(OSError):  # not empty: somebody else has put something there
            for one in new:
                one.rmdir()
        raise


def _submitted(executor: SlurmExecutor, functions: Sequence[Driver | Worker]) -> str:
    """Submit functions, several as an array; return the job's id. Raises JobError with sbatch's reason."""
    from submitit.core.utils import FailedJobError

    said, before = io.StringIO(), _left_by_submitit(executor.folder)
    try:
        with contextlib.redirect_stderr(said):  # submitit repeats sbatch's words there
            return str(executor.submit_array(functions)[0].job_id).partition("_")[0]
    except FailedJobError as error:
        for file in _left_by_submitit(executor.folder) - before:
            file.unlink(missing_ok=True)
        raise JobError(f"sbatch refuses {executor.parameters['job_name']}: {last_line(error)}") from error


def _left_by_submitit(folder: Path) -> set[Path]:
    """Return the files of jobs that have no id: submitit 1.5 leaves them where sbatch refuses."""
    return {*folder.glob(".submission_file_*.sh"), *folder.glob(f"{'[0-9a-f]' * 32}.pkl")}


@contextlib.contextmanager
def _outside_of_jobs() -> Iterator[None]:
    """For the length of a `with`, the environment is that of no job, also within one, as in an interactive session."""
    if "SLURM_JOB_ID" not in os.environ:
        yield
        return
    before = {name: value for name, value in os.environ.items() if name.startswith(OF_A_JOB) and name != "SLURM_CONF"}
    for name in before:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(before)
