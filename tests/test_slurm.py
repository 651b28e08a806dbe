"""deploy/slurm.sh with a stand-in for `srun` and `scontrol`: each node is a process group on this machine."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from hw2tune.api import read_study
from tests.end_to_end.command import AT_MOST
from tests.end_to_end.test_jobs import free_port
from tests.end_to_end.test_study import STUDY

SCRIPT = Path(__file__).parents[1] / "deploy" / "slurm.sh"
# Runs what it is given here, whatever node it is meant for, and notes for which. SLURM sends a step's processes SIGTERM
# when srun gets it, as `exec` does.
SRUN = """#!/usr/bin/env bash
echo "$*" >> "$STEPS"
while [[ $1 == --* ]]; do shift; done
if [[ $1 == hostname ]]; then echo 127.0.0.1; else exec "$@"; fi
"""
SCONTROL = """#!/usr/bin/env bash
[[ $1 == show && $2 == hostnames && $3 == 'node[1-2]' ]] && printf 'node1\\nnode2\\n'
"""

# A Ray that notes the folder above its own and ends.
RAY = """#!/usr/bin/env bash
for word in "$@"; do [[ $word == --temp-dir=* ]] && place=${word#*=}; done
[[ $1 == start ]] && stat -c '%a %n' "$(dirname "$place")" > place && mkdir -p "$place/session"
exit 1
"""


@pytest.fixture
def job(tmp_path, monkeypatch) -> Path:
    """The folder that a job was submitted from, and SLURM's variables."""
    (tmp_path / "bin").mkdir()
    for name, text in (("srun", SRUN), ("scontrol", SCONTROL)):
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    (tmp_path / "tiny.toml").write_text(STUDY)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(SCRIPT.parents[1]))
    monkeypatch.setenv("STEPS", str(tmp_path / "steps"))
    given = {
        "SLURM_JOB_ID": free_port(), "SLURM_JOB_NUM_NODES": 2, "SLURM_JOB_NODELIST": "node[1-2]",
        "SLURM_CPUS_PER_TASK": 1, "HW2TUNE_PORT": free_port(), "HW2TUNE_WAIT": 120,
    }  # fmt: skip
    for name, value in given.items():
        monkeypatch.setenv(name, str(value))
    return tmp_path


def submit(job: Path, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["bash", SCRIPT, *map(str, arguments)], cwd=job, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def ray_of(job: Path) -> list[int]:
    """Processes of the job's Ray, by the temporary folder that their command lines name."""
    place = f"ray-{os.environ['SLURM_JOB_ID']}"
    return [one.pid for one in psutil.process_iter(["cmdline"]) if place in " ".join(one.info["cmdline"] or [])]


def test_a_script_that_cannot_reach_its_nodes_says_where_to_look(job, monkeypatch):
    (job / "bin" / "ray").write_text(RAY)
    (job / "bin" / "ray").chmod(0o755)
    monkeypatch.setenv("HW2TUNE_WAIT", "1")
    ended = submit(job, "tiny.toml")
    out, err = ended.communicate(timeout=60)
    log = f"ray-{os.environ['SLURM_JOB_ID']}.log"
    assert (ended.returncode, out, err) == (1, "", f"slurm.sh: 0 of 1 nodes up after 1 s; see {log}\n")
    mode, place = (job / "place").read_text().split()
    assert mode == "700" and re.fullmatch(rf"/tmp/ray-{os.environ['SLURM_JOB_ID']}-\w{{6}}", place)
    assert not Path(place).exists()


def test_shell_and_options_are_right():
    subprocess.run(["bash", "-n", SCRIPT], check=True)
    options = re.findall(r"^#SBATCH --([a-z-]+)=(\S+)", SCRIPT.read_text(), re.MULTILINE)
    assert dict(options)["signal"] == "B:TERM@120" and dict(options)["ntasks-per-node"] == "1"


@pytest.mark.ray
@pytest.mark.machines
def test_two_nodes_run_a_study_which_a_signal_ends_in_order_and_the_same_line_continues(job):
    first = submit(job, "tiny.toml", "--trials", 4, "--max-epochs", 2)
    study, deadline = job / "ray_results" / "tiny", time.monotonic() + AT_MOST
    while not list(study.glob("trials/*/last.pt")):
        assert time.monotonic() < deadline and first.poll() is None, first.communicate()
        time.sleep(0.1)
    first.send_signal(signal.SIGTERM)  # to the script alone, as `--signal=B:` asks
    _, err = first.communicate(timeout=AT_MOST)
    assert first.returncode == 130, err
    assert "2 CPUs and 0 GPUs on 2 nodes" in err
    made, *steps, last = (job / "steps").read_text().splitlines()
    assert made.startswith("--nodes=2 --ntasks=2 mkdir -m 700 /tmp/ray-")
    assert [re.search(r"--nodelist=node1|--exclude=node1", step)[0] for step in steps] == [
        "--nodelist=node1", "--nodelist=node1", "--exclude=node1",
    ]  # fmt: skip
    assert last.startswith("--nodes=2 --ntasks=2 rm -rf /tmp/ray-")
    assert not ray_of(job)

    again = submit(job, "tiny.toml", "--trials", 4, "--max-epochs", 2)
    _, err = again.communicate(timeout=AT_MOST)
    assert again.returncode == 0, err
    result = read_study("tiny", results_dir=job / "ray_results")
    assert result.state == "complete" and len(result.trials) == 4
    assert not ray_of(job)
