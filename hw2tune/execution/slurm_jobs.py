"""The jobs of a study on SLURM's nodes: the command that each runs, ended in order as submitit is told that time is up.

Shortly before a job's limit submitit gets a signal, calls `checkpoint` and has the job requeued. The driver begins anew
on whatever node it gets, and its tasks wait for its address.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hw2tune.errors import JobError
from hw2tune.execution.attaching import answers
from hw2tune.records.atomic import write_atomically
from hw2tune.text.plain import first_line

if TYPE_CHECKING:
    from submitit.helpers import DelayedSubmission

POLL_SECONDS = 10.0  # between two looks for the driver
SELDOM = 120.0  # seconds at most from one question of a waiting task to SLURM to the next
REFUSALS = 3  # in a row, after which a task gives its node back
REFUSED_WITHIN = 120.0  # seconds; a `join` that fails later had joined
ADDRESS, TOKEN, JOBS = "address", "token", "jobs"  # files of a study's jobs
# States of SLURM's from which a job does not come back.
ENDED = {"BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "TIMEOUT"}
UNKNOWN = "Invalid job id"  # what SLURM says of a job that it has forgotten


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
        """Run the study, open to the tasks; then no task need wait any longer, unless another driver runs it."""
        at, former = own_address(), _read(self.folder / ADDRESS)
        write_atomically(self.folder / ADDRESS, at)
        code = self.run("study", *self.words, "--open", "--port", at, "--token-file", str(self.folder / TOKEN))
        self.await_the_end()
        if code and former and answers(former):  # that driver has the study's lock, which refused it to this one
            write_atomically(self.folder / ADDRESS, former)
            sys.exit(code)
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
        """Join, and join again: a driver that is requeued comes back on another node.

        Exits with the code of `join` where that is refused again and again: the node is of use to others.
        """
        said, refusals = "", 0
        asking = _Seldom()
        while not self.terminated and (not asking.is_due() or self._is_driven()):
            at = _read(self.folder / ADDRESS)
            if at and answers(at):
                said, asking = "", _Seldom()
                code = self._join(at)
                refusals = refusals + 1 if code else 0
                if refusals == REFUSALS:
                    print(_giving_up(self.driver, code), flush=True)
                    sys.exit(code)
            elif said != (text := f"does not answer at {at}" if at else "has no address yet"):
                print(f"waiting for the driver, job {self.driver}, which {text}", flush=True)
                said = text
            if not self.terminated:
                time.sleep(POLL_SECONDS)
        self.await_the_end()

    def _join(self, at: str) -> int:
        """Be a node of the driver's Ray until that ends; return the exit code of a refusal, or 0."""
        from hw2tune.execution.machine import gpus

        begun = time.monotonic()
        # Both numbers, which are those of this task: SLURM may place several tasks on a node.
        given = ["--cpus", str(self.cpus), "--gpus", str(gpus())]
        code = self.run("join", at, "--token-file", str(self.folder / TOKEN), *given)
        if self.terminated or time.monotonic() - begun > REFUSED_WITHIN or not answers(at):
            return 0
        return code if code >= 0 else 128 - code  # a signal, as shells report it

    def _is_driven(self) -> bool:
        try:
            return bool(alive([self.driver]))
        except JobError:
            return True  # SLURM's controller may be down for an hour

    def checkpoint(self) -> DelayedSubmission:
        """Take the node away in order; what is to be called when the task runs again."""
        return _again(self, Worker(self.folder, self.grace, self.driver, self.cpus))


def _giving_up(driver: str, code: int) -> str:
    return (
        f"gives its node back: {REFUSALS} times in a row it could not join (exit code {code}) while the driver, job "
        f"{driver}, answers; mend what is said above, and `scontrol requeue {os.environ.get('SLURM_JOB_ID', 'JOB')}` "
        "starts this task again"
    )


class _Seldom:
    """When a waiting task asks SLURM: at once, and then ever less, as hundreds of tasks may wait for hours."""

    def __init__(self) -> None:
        self.pause, self.due = POLL_SECONDS, time.monotonic()

    def is_due(self) -> bool:
        """Return whether to ask now, and if so put the next question off."""
        if time.monotonic() < self.due:
            return False
        # By chance up to a quarter less, so that tasks that began together do not ask together.
        self.due += self.pause * random.uniform(0.75, 1)
        self.pause = min(2 * self.pause, SELDOM)
        return True


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except FileNotFoundError:
        return ""


def _again(job: _JobOfAStudy, next_time: Driver | Worker) -> DelayedSubmission:
    from submitit.helpers import DelayedSubmission

    job.end()
    return DelayedSubmission(next_time)


def _ignore_notice() -> None:
    for number in (signal.SIGUSR1, signal.SIGUSR2):  # submitit's, by default USR2
        signal.signal(number, signal.SIG_IGN)


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
