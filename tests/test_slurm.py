"""`hw2tune submit` without SLURM: what it asks sbatch for, what it says, and what a job does with its command."""

import contextlib
import os
import pickle
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from hw2tune.errors import JobError, ResourceError
from hw2tune.execution import slurm, slurm_jobs
from hw2tune.execution.slurm import Allocation, jobs_folder, submit
from hw2tune.execution.slurm_jobs import Driver, Worker, alive
from tests.command_line import hw2tune
from tests.end_to_end.test_nodes import wait_for
from tests.end_to_end.test_study import STUDY

# Stand-ins on PATH: `sbatch` keeps what it is given and its environment; `squeue` says what the test has written.
SBATCH = """#!/bin/sh
n=$(($(cat jobs 2>/dev/null || echo 6) + 1)); echo $n > jobs
env > $n.env
if [ -e closed ]; then cat closed >&2; exit 1; fi
if [ -e refused ] && grep -q '^#SBATCH --array' "$1"; then cat refused >&2; exit 1; fi
echo "Submitted batch job $n"
"""
SQUEUE = """#!/bin/sh
for word in "$@"; do case $word in --jobs=*) job=${word#--jobs=};; esac; done
if [ -e "$job.state" ]; then cat "$job.state"; else cat unknown >&2; exit 1; fi
"""
SCANCEL = """#!/bin/sh
echo "$@" >> cancelled
"""
ALLOCATION = Allocation(tasks=20, seconds=3600, driver_seconds=86400)


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """The folder that a user submits from, on a login node."""
    for name, text in {"sbatch": SBATCH, "squeue": SQUEUE, "scancel": SCANCEL, "srun": ""}.items():
        (tmp_path / "bin" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("SLURM")]:
        monkeypatch.delenv(name)
    (tmp_path / "tiny.toml").write_text(STUDY)
    (tmp_path / "unknown").write_text("slurm_load_jobs error: Invalid job id specified\n")
    return tmp_path


def asked(file: Path) -> dict[str, str]:
    """The options in a file for sbatch."""
    return dict(re.findall(r"^#SBATCH --([\w-]+)(?:=(.*))?$", file.read_text(), re.MULTILINE))


def test_the_jobs_ask_for_what_was_typed_and_the_driver_for_a_cpu_and_its_own_limit(place):
    done = hw2tune(
        "submit", "tiny.toml", "--array", 20, "--time", "1h", "--driver-time", "1d", "--cpus-per-task", 4,
        "--gres", "gpu:1", "--mem", "8G", "--account", "vision", "--partition", "brief", "--trials", 200, "--summarize",
        cwd=place,
    )  # fmt: skip
    folder = place / "ray_results.slurm" / "tiny"
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "submitted tiny: driver 7, 20 tasks 8",
        f"logs: {folder}",
        "follow: hw2tune status tiny --watch",
        "cancel: scancel 7 8",
    ]
    driver, tasks = asked(folder / "7_submission.sh"), asked(folder / "8_submission.sh")
    shared = {"account": "vision", "partition": "brief", "mem": "8G", "nodes": "1", "requeue": "", "signal": "USR2@120"}
    assert shared.items() <= driver.items() and shared.items() <= tasks.items()
    assert (driver["time"], driver["cpus-per-task"], driver["job-name"]) == ("1440", "1", "hw2tune-tiny-driver")
    assert (tasks["time"], tasks["cpus-per-task"], tasks["job-name"]) == ("60", "4", "hw2tune-tiny")
    assert (tasks["array"], tasks["gres"]) == ("0-19%20", "gpu:1") and not {"array", "gres"} & driver.keys()
    assert "srun --unbuffered" in (text := (folder / "8_submission.sh").read_text()) and "--cpus-per-task=4 " in text
    job = pickle.loads((folder / "7_submitted.pkl").read_bytes()).function
    assert job == Driver(folder, 90, ("tiny.toml", "--trials", "200", "--summarize"))
    assert pickle.loads((folder / "8_19_submitted.pkl").read_bytes()).function == Worker(folder, 90, "7", 4)


def test_the_folder_of_the_jobs_is_the_users_alone_next_to_the_results(place):
    folder = place / "kept" / "results.slurm" / "tiny"
    for _ in range(2):
        submit("tiny", "kept/results", ["tiny.toml"], ALLOCATION)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        folder.chmod(0o755)
    assert jobs_folder("s3://bucket/studies", "tiny") == place / "ray_results.slurm" / "tiny"


def test_short_limits_have_a_short_notice(place):
    submit("tiny", "ray_results", ["tiny.toml"], Allocation(tasks=2, seconds=100, driver_seconds=480))
    folder = place / "ray_results.slurm" / "tiny"
    assert [asked(folder / f"{job}_submission.sh")["signal"] for job in (7, 8)] == ["USR2@120", "USR2@25"]
    assert asked(folder / "8_submission.sh")["time"] == "2", "SLURM counts minutes"


def test_the_same_line_is_refused_while_the_jobs_are_there_and_continues_after_them(place):
    line = ("submit", "tiny.toml", "--array", 1, "--time", "1h")
    assert hw2tune(*line, cwd=place).returncode == 0
    (place / "7.state").write_text("COMPLETED\n")
    (place / "8.state").write_text("COMPLETED\nPENDING\n")
    refused = hw2tune(*line, cwd=place)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == (
        "hw2tune: tiny: its jobs 8 are in SLURM's queue already; `squeue --jobs 8` shows them, `scancel 8` ends them "
        "in order, and then the same command continues the study\n"
    )
    (place / "8.state").unlink()  # SLURM forgets jobs
    assert "driver 9, 1 task 10" in hw2tune(*line, cwd=place).stdout


def test_what_sbatch_says_is_passed_on_and_no_driver_is_left_without_tasks(place):
    (place / "refused").write_text("sbatch: error: Batch job submission failed: Invalid job array specification\n")
    refused = hw2tune("submit", "tiny.toml", "--array", 5000, "--time", "1h", cwd=place)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == (
        "hw2tune: sbatch refuses hw2tune-tiny: sbatch: error: Batch job submission failed: Invalid job array "
        "specification\n"
    )
    assert (place / "cancelled").read_text() == "7\n"
    left = {file.resolve().name for file in (place / "ray_results.slurm" / "tiny").iterdir()}
    assert left == {"jobs", "7_submission.sh", "7_submitted.pkl"}, "nothing of the tasks"


def test_a_refused_driver_leaves_no_folder_and_one_that_was_there_as_it_was(place):
    (place / "closed").write_text("sbatch: error: Batch job submission failed: Invalid account\n")
    for results in ("kept/results", "ray_results"):
        with pytest.raises(JobError, match=r"^sbatch refuses hw2tune-tiny-driver: sbatch: error: Batch job submission"):
            submit("tiny", results, ["tiny.toml"], ALLOCATION)
        assert not (place / "kept").exists() and not (place / "ray_results.slurm").exists()
    (place / "closed").unlink()
    folder = submit("tiny", "ray_results", ["tiny.toml"], ALLOCATION).folder
    (folder / "address").write_text("192.0.2.7:1")
    (place / "closed").write_text("sbatch: error: Batch job submission failed: Invalid account\n")
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    with pytest.raises(JobError, match="Invalid account"):
        submit("tiny", "ray_results", ["tiny.toml"], ALLOCATION)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["--time", "1:00"],
            "Invalid value for '--time': Value error, '1:00' is no duration; 90s, 30m, 2h and 1h30m are",
        ),
        (["--time", "1h", "--trails", "3"], "No such option: --trails"),
        (["--time", "1h", "--trials", "none"], "Invalid value for '--trials'"),
        (["--time", "1h", "--fresh"], "--fresh does not go with submit: a driver that is requeued would begin anew"),
        (["--time", "1h", "--open"], "--open does not go with submit: the jobs have a Ray of their own, which the"),
        (["--time", "1h", "--address", "auto"], "--address does not go with submit: the jobs have a Ray of their own"),
        (["--time", "1h", "--dashboard"], "--dashboard does not go with submit: the study runs on another machine"),
    ],
)
def test_what_cannot_be_submitted_is_said_before_anything_is(place, words, said):
    refused = hw2tune("submit", "tiny.toml", "--array", 2, *words, cwd=place)
    assert refused.returncode == 2 and said in " ".join(refused.stderr.split())
    assert not (place / "ray_results.slurm").exists()


def test_a_fault_of_the_study_is_said_before_anything_is_submitted(place):
    (place / "tiny.toml").write_text(STUDY.replace("mnist_cnn", "no_such_model"))
    refused = hw2tune("submit", "tiny.toml", "--array", 2, "--time", "1h", cwd=place)
    assert refused.returncode == 1 and refused.stderr.startswith("hw2tune: tiny.toml: model: ")
    assert not (place / "jobs").exists()


def test_without_slurm_and_without_submitit_the_way_out_is_said(place, monkeypatch):
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(ResourceError, match=re.escape("not here: pip install '.[slurm]' in hw2tune's checkout")):
        submit("tiny", "ray_results", ["tiny.toml"], ALLOCATION)
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(ResourceError, match=r"^sbatch is not on PATH, so there is no SLURM here; run this on a login"):
        submit("tiny", "ray_results", ["tiny.toml"], ALLOCATION)


def test_a_job_submitted_from_within_another_does_not_inherit_its_variables(place, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "3")
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "2")  # submitit would take the driver for a task of that array
    monkeypatch.setenv("SLURM_CONF", "/etc/slurm.conf")
    submit("tiny", "ray_results", ["tiny.toml"], ALLOCATION)
    inherited = (place / "7.env").read_text().splitlines()
    assert [line for line in inherited if line.startswith("SLURM")] == ["SLURM_CONF=/etc/slurm.conf"]
    assert os.environ["SLURM_JOB_ID"] == "3"


def test_a_job_is_alive_until_slurm_says_that_it_has_ended_or_knows_it_no_longer(place):
    for job, states in {"1": "RUNNING", "2": "COMPLETING", "3": "CANCELLED", "4": "TIMEOUT\nPENDING"}.items():
        (place / f"{job}.state").write_text(f"{states}\n")
    assert alive(["1", "2", "3", "4", "5"]) == ["1", "2", "4"]
    (place / "unknown").write_text("slurm_load_jobs error: Unable to contact slurm controller\n")
    with pytest.raises(JobError, match=r"squeue does not answer for job 5: slurm_load_jobs error: Unable to contact"):
        alive(["5"])
    assert Worker(place, 1, "5", 1)._is_driven(), "its controller is down, which says nothing of the job"


# In place of `hw2tune` in the jobs: notes its words. The first `study` runs until SIGTERM and notes that; what comes
# later is done at once.
COMMAND = """
import pathlib, signal, sys, time

def end(*_):
    print("ended in order", file=log, flush=True)
    sys.exit(130)

log = open("commands", "a+")
log.seek(0)
first = "study" in sys.argv and "study" not in log.read()
print(*sys.argv[1:], file=log, flush=True)
if first:
    signal.signal(signal.SIGTERM, end)
    pathlib.Path("ready").touch()
    time.sleep(60)
"""
SCONTROL = "#!/bin/sh\necho 'NodeName=n1 Arch=x86_64 NodeAddr=192.0.2.7 NodeHostName=n1'\n"


@pytest.fixture
def node(place) -> Path:
    """The same folder on a node, where the command `hw2tune` is the stand-in and the package is ours."""
    (place / "hw2tune").mkdir()
    (place / "hw2tune" / "__init__.py").write_text(f"__path__.append({str(Path(slurm.__file__).parents[1])!r})\n")
    (place / "hw2tune" / "__main__.py").write_text(COMMAND)
    (place / "bin" / "scontrol").write_text(SCONTROL)
    (place / "bin" / "scontrol").chmod(0o755)
    return place


def test_at_submitits_signal_the_command_alone_is_ended_in_order_and_the_job_is_called_again(node):
    import submitit

    executor = submitit.LocalExecutor(node / "jobs")  # its signals are those of SLURM's jobs
    executor.update_parameters(timeout_min=5)
    (node / "jobs" / "jobs").write_text("7 8\n")
    job = executor.submit(Driver(node / "jobs", 30, ("tiny.toml", "--trials", "200")))
    wait_for((node / "ready").exists, 60)
    for child in psutil.Process(job._process.pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            child.send_signal(signal.SIGUSR2)  # SLURM sends it to every process
    job._process.wait(timeout=60)
    first, ended, second = (node / "commands").read_text().splitlines()
    assert ended == "ended in order"
    pattern = rf"study tiny\.toml --trials 200 --open --port (192\.0\.2\.7:\d+) --token-file {node}/jobs/token"
    assert re.fullmatch(pattern, first) and re.fullmatch(pattern, second)
    assert (node / "jobs" / "address").read_text() == re.fullmatch(pattern, second)[1]
    assert (node / "cancelled").read_text() == "--state=PENDING 8\n", "no task need start any more"


def test_a_task_waits_for_the_drivers_address_joins_whenever_it_answers_and_ends_with_the_driver(node, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    code = "from pathlib import Path; from hw2tune.execution import slurm_jobs\n"
    code += "slurm_jobs.POLL_SECONDS = 0.1; slurm_jobs.Worker(Path('jobs'), 5, '7', 2)()"
    (node / "7.state").write_text("RUNNING\n")
    (node / "jobs").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as driver:
        at = "{}:{}".format(*driver.getsockname())
        with subprocess.Popen([sys.executable, "-c", code], cwd=node, stdout=subprocess.PIPE, text=True) as task:
            assert task.stdout.readline() == "waiting for the driver, job 7, which has no address yet\n"
            (node / "jobs" / "address").write_text(at)
            wait_for(lambda: (node / "commands").exists() and (node / "commands").read_text().count("join") > 1, 60)
            driver.close()
            assert task.stdout.readline() == f"waiting for the driver, job 7, which does not answer at {at}\n"
            (node / "7.state").write_text("COMPLETED\n")
            assert task.wait(timeout=60) == 0
    assert set((node / "commands").read_text().splitlines()) == {f"join {at} --token-file jobs/token --cpus 2 --gpus 0"}


# In place of `hw2tune` in the jobs: notes its words, and ends with the next exit code in `codes` (below 0: by that
# signal; after `+`: once there is a file `go`).
ENDING = """
import os, pathlib, sys, time

with open("commands", "a") as log:
    print(*sys.argv[1:], file=log)
codes = pathlib.Path("codes").read_text().split()
pathlib.Path("codes").write_text(" ".join(codes[1:]))
while codes[0].startswith("+") and not pathlib.Path("go").exists():
    time.sleep(0.05)
if int(codes[0]) < 0:
    os.kill(os.getpid(), -int(codes[0]))
sys.exit(int(codes[0]))
"""


@pytest.fixture
def ending(node, monkeypatch) -> Iterator[Path]:
    """The same folder on a node, where commands end as `codes` says, and where SLURM divides no GPUs."""
    (node / "hw2tune" / "__main__.py").write_text(ENDING)
    (node / "jobs").mkdir()
    (node / "7.state").write_text("RUNNING\n")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("SLURM_JOB_ID", "42")
    monkeypatch.setattr(slurm_jobs, "POLL_SECONDS", 0.1)
    before = signal.getsignal(signal.SIGTERM)
    yield node
    signal.signal(signal.SIGTERM, before)


def work(node: Path, codes: str, during: Callable[[int], object]) -> int:
    """Let a task join until it ends, which then has joined so often; call `during` with that number at each sleep."""

    def joined() -> int:
        return (node / "commands").read_text().count("join") if (node / "commands").exists() else 0

    def sleep(seconds: float) -> None:
        during(joined())
        slept(seconds)

    (node / "codes").write_text(codes)
    slept = time.sleep
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(slurm_jobs.time, "sleep", sleep)
        try:
            Worker(Path("jobs"), 5, "7", 2)()
        finally:
            print("joined", joined(), "times", flush=True)
    return joined()


@pytest.mark.parametrize(("codes", "times", "code"), [("1 1 1", 3, 1), ("1 1 0 1 2 3", 6, 3), ("1 1 -9", 3, 137)])
def test_a_task_that_is_refused_three_times_in_a_row_ends_with_what_refused_it(ending, capfd, codes, times, code):
    with socket.create_server(("127.0.0.1", 0)) as driver:
        (ending / "jobs" / "address").write_text("{}:{}".format(*driver.getsockname()))

        def at_last(joined: int) -> None:
            if joined > times:
                (ending / "7.state").write_text("COMPLETED\n")

        with pytest.raises(SystemExit) as ended:
            work(ending, codes + " 0 0", at_last)
    assert ended.value.code == code
    assert capfd.readouterr().out == (
        f"gives its node back: 3 times in a row it could not join (exit code {code}) while the driver, job 7, answers; "
        "mend what is said above, and `scontrol requeue 42` starts this task again\n"
        f"joined {times} times\n"
    )


def test_what_the_driver_ended_and_what_had_joined_is_no_refusal(ending, monkeypatch, capfd):
    driver = socket.create_server(("127.0.0.1", 0))
    (ending / "jobs" / "address").write_text("{}:{}".format(*driver.getsockname()))

    def during(joined: int) -> None:
        if joined == 3:
            driver.close()
            (ending / "7.state").write_text("COMPLETED\n")
            (ending / "go").touch()

    assert work(ending, "1 1 +1", during) == 3
    (ending / "7.state").write_text("RUNNING\n")
    monkeypatch.setattr(slurm_jobs, "REFUSED_WITHIN", 0)
    with socket.create_server(("127.0.0.1", 0)) as driver:
        (ending / "jobs" / "address").write_text("{}:{}".format(*driver.getsockname()))
        (ending / "commands").unlink()
        ended = (ending / "7.state").write_text
        assert work(ending, "1 1 1 1 1", lambda joined: ended("COMPLETED\n") if joined == 5 else None) == 5


def test_a_waiting_task_asks_slurm_ever_less_and_the_jobs_folder_as_often_as_before(ending, monkeypatch):
    monkeypatch.setattr(slurm_jobs, "POLL_SECONDS", 10.0)
    (ending / "bin" / "squeue").write_text("#!/bin/sh\necho >> asked\ncat 7.state\n")
    now, begun, asked, looked = 0.0, time.monotonic(), [], []

    def sleep(seconds: float) -> None:
        nonlocal now
        count = (ending / "asked").read_text().count("\n")
        asked.extend([now] * (count - len(asked)))
        looked.append(now)
        now += seconds
        if now > 3600:
            (ending / "7.state").write_text("COMPLETED\n")

    with monkeypatch.context() as patched:
        patched.setattr(slurm_jobs.time, "sleep", sleep)
        patched.setattr(slurm_jobs.time, "monotonic", lambda: begun + now)
        Worker(Path("jobs"), 5, "7", 2)()
    gaps = [later - earlier for earlier, later in pairwise(asked)]
    assert max(b - a for a, b in pairwise(looked)) == 10 and asked[0] == 0 and gaps[0] <= 20
    assert max(gaps) <= 130 and len(asked) < 65, "two minutes, and less by chance so that not all ask at once"
    assert now <= 3600 + 130


@pytest.mark.parametrize("lives", [True, False])
def test_a_driver_that_may_not_run_the_study_leaves_the_tasks_to_the_one_that_does(ending, lives):
    (ending / "codes").write_text("1")
    (ending / "jobs" / "jobs").write_text("7 8\n")
    with socket.create_server(("127.0.0.1", 0)) as first:
        former = "{}:{}".format(*first.getsockname())
        (ending / "jobs" / "address").write_text(former)
        if not lives:
            first.close()
        with pytest.raises(SystemExit) as ended:
            Driver(ending / "jobs", 5, ("tiny.toml",))()
    assert ended.value.code == 1
    assert ((ending / "jobs" / "address").read_text() == former, (ending / "cancelled").exists()) == (lives, not lives)
