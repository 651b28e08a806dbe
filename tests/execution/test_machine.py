"""What a machine grants: affinity, the quotas of control groups, GPUs that are there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hw2tune.execution import machine


def control_groups(root: Path, cgroup: str, **files: str) -> Path:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(cgroup)
    for name, content in files.items():
        path = root / "sys/fs/cgroup" / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_name(path.name.replace("_dot_", ".")).write_text(content)
    return root


@pytest.mark.parametrize(
    ("quota", "granted"),
    [("max 100000", None), ("50000 100000", 0.5), ("150000 100000", 1.5), ("", None), ("rubbish", None), ("1 0", None)],
)
def test_a_quota_of_cgroup_v2_bounds_what_affinity_allows(tmp_path, quota, granted):
    root = control_groups(tmp_path, "0::/\n", cpu_dot_max=quota + "\n")
    allowed = len(os.sched_getaffinity(0))
    assert machine.granted_cpus(root) == (allowed if granted is None else min(allowed, granted))


def test_the_smallest_quota_of_all_groups_above_counts(tmp_path):
    root = control_groups(
        tmp_path, "0::/a/b\n", a__cpu_dot_max="30000 100000\n", a__b__cpu_dot_max="70000 100000\n"
    )  # fmt: skip
    assert machine.granted_cpus(root) == 0.3


def test_a_quota_of_cgroup_v1_counts_as_well(tmp_path):
    root = control_groups(tmp_path, "4:cpu,cpuacct:/docker/1\n5:memory:/\n")
    group = root / "sys/fs/cgroup/cpu,cpuacct"  # a container sees its own group at the top
    group.mkdir(parents=True)
    (group / "cpu.cfs_quota_us").write_text("25000\n")
    (group / "cpu.cfs_period_us").write_text("100000\n")
    assert machine.granted_cpus(root) == 0.25
    (group / "cpu.cfs_quota_us").write_text("-1\n")
    assert machine.granted_cpus(root) == len(os.sched_getaffinity(0))


def test_less_than_one_cpu_is_one_trial_at_once_with_a_note(monkeypatch):
    monkeypatch.setattr(machine, "granted_cpus", lambda root=None: 0.5)
    assert machine.this_machine()["CPU"] == 1.0
    assert next(machine.machine_notes()) == (
        "this machine grants 0.5 of a CPU (quota of its control group): trials run singly and slowly"
    )


@pytest.mark.parametrize("device", ["nvidia0", "dxg"])
def test_a_gpu_that_nvidia_smi_cannot_count_is_named(tmp_path, monkeypatch, device):
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / device).touch()
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert list(machine.machine_notes(tmp_path)) == [
        f"{tmp_path}/dev/{device} exists, but nvidia-smi lists no GPU: trials run on CPUs; add nvidia-smi to PATH to "
        "use the GPU"
    ]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # hidden on purpose
    assert list(machine.machine_notes(tmp_path)) == []


def test_affinity_is_what_the_process_may_use(tmp_path):
    shown = subprocess.run(
        [sys.executable, "-c", "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])\n"
         "from hw2tune.execution.machine import this_machine; print(this_machine()['CPU'])"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert shown.stdout == "1.0\n"


@pytest.mark.parametrize(
    ("visible", "count"),
    [
        (None, 2),
        ("", 0),
        ("-1", 0),
        ("0", 1),
        ("0,1", 2),
        ("0,1,2,3", 2),
        ("1,-1,0", 1),
        ("GPU-ab", 1),
        (" 0 , 1 ", 2),
        ("5,0", 0),
        ("1,2,0", 1),
        ("0,0", 0),
        ("GPU-ab,GPU-ab", 0),
    ],
)
def test_only_gpus_that_a_driver_lists_are_counted(tmp_path, monkeypatch, visible, count):
    smi = tmp_path / "nvidia-smi"
    smi.write_text("#!/bin/sh\necho 'GPU 0: H100 (UUID: GPU-ab)'\necho 'GPU 1: H100 (UUID: GPU-cd)'\n")
    smi.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert machine.gpus() == count


@pytest.mark.parametrize(
    ("visible", "names"),
    [
        *((unknown, []) for unknown in ("NoDevFiles", "none", "void", "all", "-2", "0x1", "gpu-ab", "GPU", "1 0")),
        ("1,NoDevFiles,0", ["1"]),
        ("GPU-ab,none", ["GPU-ab"]),
        ("0,,1", ["0"]),
        ("MIG-12,MIG-GPU-ab/1/0", ["MIG-12", "MIG-GPU-ab/1/0"]),
    ],
)
def test_names_that_cuda_does_not_know_end_the_list_of_gpus(tmp_path, monkeypatch, visible, names):
    smi = tmp_path / "nvidia-smi"
    smi.write_text("#!/bin/sh\necho 'GPU 0: H100 (UUID: GPU-ab)'\necho 'GPU 1: H100 (UUID: GPU-cd)'\n")
    smi.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert machine.visible_gpus() == names


@pytest.mark.parametrize("smi", ["#!/bin/sh\nexit 9\n", "not a program"])
def test_a_gpu_that_is_named_and_not_there_is_none(tmp_path, monkeypatch, smi):
    (tmp_path / "nvidia-smi").write_text(smi)
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert machine.gpus() == 0


def test_a_driver_that_never_answers_is_no_gpu(tmp_path, monkeypatch):
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\nexec sleep 60\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(machine, "NVIDIA_SECONDS", 0.1)
    assert machine.gpus() == 0
