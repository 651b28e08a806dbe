"""`hw2tune submit`: a study as jobs of SLURM, a small one that drives it and an array of tasks that join.

submitit writes the jobs and puts them back into the queue: shortly before a job's limit it gets a signal, ends its
command in order and is requeued. The driver begins anew on whatever node it gets, and its tasks wait for its address.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from hw2tune.errors import JobError, ResourceError
from hw2tune.paths import safe_name
from hw2tune.records.atomic import write_atomically
from hw2tune.text.plain import first_line, last_line

if TYPE_CHECKING:
    from submitit import SlurmExecutor
    from submitit.helpers import DelayedSubmission

POLL_SECONDS = 10.0  # between two looks for the driver
NOTICE_SECONDS = 120  # from the signal to the limit; a quarter of shorter ones
REQUEUES = 1_000_000  # at most; the end of the study ends them
ADDRESS, TOKEN, JOBS = "address", "token", "jobs"  # files of a study's jobs
# States of SLURM's from which a job does not come back.
ENDED = {"BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "TIMEOUT"}
UNKNOWN = "Invalid job id"  # what SLURM says of a job that it has forgotten
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
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    (folder / ADDRESS).unlink(missing_ok=True)

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


def _submitted(executor: SlurmExecutor, functions: Sequence[Driver | Worker]) -> str:
    """Submit functions, several as an array; return the job's id. Raises JobError with sbatch's reason."""
    from submitit.core.utils import FailedJobError

    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):  # submitit repeats sbatch's words there
            return str(executor.submit_array(functions)[0].job_id).partition("_")[0]
    except FailedJobError as error:
        raise JobError(f"sbatch refuses {executor.parameters['job_name']}: {last_line(error)}") from error


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


def alive(jobs: Sequence[str]) -> list[str]:
    """Return those of these jobs that wait, run or may be requeued. Raises JobError if SLURM does not answer."""
    found = []
    for job in jobs:
        command = ["squeue", "--noheader", "--states=all", "--format=%T", f"--jobs={job}"]
        try:
            asked = subprocess.run(command, capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            said = str(getattr(error, "stderr", error))
            if UNKNOWN in said:
                continue
            raise JobError(f"squeue does not answer for job {job}: {first_line(said)}; try again later") from error
        found += [job] if set(asked.stdout.split()) - ENDED else []
    return found


class _JobOfAStudy:
    """The command of a job, ended in order at submitit's signal. submitit pickles it and calls it on a node."""

    grace: float  # seconds to end in order
    child: subprocess.Popen[bytes] | None = None
    terminated = False

    def run(self, *words: str) -> int:
        """Run a command of hw2tune's; return its exit code."""
        signal.signal(signal.SIGTERM, self._terminate)
        # SLURM signals every process of a job. The command hears of it from here; what it does not ignore ends Ray.
        self.child = subprocess.Popen([sys.executable, "-m", "hw2tune", *words], preexec_fn=_ignore_notice)
        while self.child.poll() is None:
            time.sleep(0.2)  # not `wait`, whose lock a signal's handler could not take
        return self.child.returncode

    def _terminate(self, *_: object) -> None:
        self.terminated = True  # and the command has got the signal as well

    def await_the_end(self) -> None:
        """After SIGTERM, stay until SLURM ends this process: it requeues a preempted job that has not ended itself."""
        while self.terminated:
            time.sleep(1)

    def end(self) -> None:
        """End the command in order; at once where that takes so long that the limit would come before the requeue."""
        if self.child is None or self.child.returncode is not None:
            return
        self.child.terminate()
        until = time.monotonic() + self.grace
        with contextlib.suppress(ChildProcessError):  # whose end the interrupted `poll` has just seen
            while not os.waitid(os.P_PID, self.child.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG):
                if time.monotonic() > until:
                    self.child.kill()
                time.sleep(0.2)


@dataclass
class Driver(_JobOfAStudy):
    """The job that drives a study, with the arguments of `hw2tune study`."""

    folder: Path
    grace: float
    words: tuple[str, ...]

    def __call__(self) -> None:
        """Run the study, open to the tasks; then no task need wait any longer."""
        at = own_address()
        write_atomically(self.folder / ADDRESS, at)
        code = self.run("study", *self.words, "--open", "--port", at, "--token-file", str(self.folder / TOKEN))
        self.await_the_end()
        with contextlib.suppress(OSError, ValueError):
            _, array = (self.folder / JOBS).read_text().split()
            subprocess.run(["scancel", "--state=PENDING", array], check=False)
        sys.exit(code)

    def checkpoint(self) -> DelayedSubmission:
        """End the study in order; what is to be called when the job runs again."""
        return _again(self, Driver(self.folder, self.grace, self.words))


@dataclass
class Worker(_JobOfAStudy):
    """A task that adds its node to the Ray of the driver, as long as there is a driver."""

    folder: Path
    grace: float
    driver: str
    cpus: int

    def __call__(self) -> None:
        """Join, and join again: a driver that is requeued comes back on another node."""
        said = ""
        while not self.terminated and self._is_driven():
            at = self._address()
            if at and _answers(at):
                said = ""
                self.run("join", at, "--token-file", str(self.folder / TOKEN), "--cpus", str(self.cpus))
            elif said != (text := f"does not answer at {at}" if at else "has no address yet"):
                print(f"waiting for the driver, job {self.driver}, which {text}", flush=True)
                said = text
            if not self.terminated:
                time.sleep(POLL_SECONDS)
        self.await_the_end()

    def _is_driven(self) -> bool:
        try:
            return bool(alive([self.driver]))
        except JobError:
            return True  # SLURM's controller may be down for an hour

    def _address(self) -> str:
        try:
            return (self.folder / ADDRESS).read_text()
        except FileNotFoundError:
            return ""

    def checkpoint(self) -> DelayedSubmission:
        """Take the node away in order; what is to be called when the task runs again."""
        return _again(self, Worker(self.folder, self.grace, self.driver, self.cpus))


def _again(job: _JobOfAStudy, next_time: Driver | Worker) -> DelayedSubmission:
    from submitit.helpers import DelayedSubmission

    job.end()
    return DelayedSubmission(next_time)


def _ignore_notice() -> None:
    for number in (signal.SIGUSR1, signal.SIGUSR2):  # submitit's, by default USR2
        signal.signal(number, signal.SIG_IGN)


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with contextlib.suppress(OSError):
        socket.create_connection((host, int(port)), timeout=5).close()
        return True
    return False


def own_address() -> str:
    """Return a free port of this node, as host:port, at the address by which SLURM's other nodes know it."""
    from ray.util import get_node_ip_address

    from hw2tune.execution.workarounds import free_port

    node = os.environ.get("SLURMD_NODENAME", "")
    command = ["scontrol", "show", "node", "--oneliner", node]
    shown = subprocess.run(command, capture_output=True, text=True, check=False)
    named = [word.partition("=")[2] for word in shown.stdout.split() if word.startswith("NodeAddr=")]
    address = socket.gethostbyname(named[0] if named else socket.gethostname())
    if address.startswith("127."):  # as Debian's /etc/hosts has it of a machine's own name
        address = get_node_ip_address()
    return f"{address}:{free_port()}"
