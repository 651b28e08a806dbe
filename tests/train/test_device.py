"""What a process that trains sets up."""

import os
import platform
import re
import subprocess
import sys

import pytest
import torch

from hw2tune.errors import DeviceError
from hw2tune.train.device import prepare_process


def test_a_gpu_that_was_given_and_cannot_be_used_is_a_fault(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceError) as refused:
        prepare_process(1, gpu=True)
    assert re.fullmatch(
        r"this process was given a GPU, and its PyTorch \S+, built for (CUDA \S+|the CPU alone), cannot use one; "
        r"`nvidia-smi` shows the driver; --gpus-per-trial 0 trains on CPUs",
        str(refused.value),
    )


def test_no_reduced_precision_is_used_and_no_gpu_that_was_not_asked_for(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert prepare_process(1, gpu=False).type == "cpu"
    assert prepare_process(1, gpu=True).type == "cuda"
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32
    assert torch.get_num_threads() == 1


FAULTS = """
import resource
import torch
from hw2tune.train.device import prepare_process


def step():
    return [torch.ones(1_000_000) for _ in range(16)] and None  # 64 MB, 15,625 pages


{prepare}
for _ in range(5):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(prepare: str) -> int:
    # What glibc begins with, and would change as it goes: else it depends on chance what is given back.
    fixed = {"MALLOC_MMAP_THRESHOLD_": "131072", "MALLOC_TRIM_THRESHOLD_": "131072"}
    code = FAULTS.format(prepare=prepare)
    shown = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | fixed, check=True, stdout=subprocess.PIPE, text=True
    )
    return int(shown.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc")
@pytest.mark.matrix
def test_memory_freed_by_a_step_is_there_for_the_next_with_few_page_faults():
    # Some remain: the system may take pages that have lain idle.
    assert faults("prepare_process(1, gpu=False)") < faults("") / 4
