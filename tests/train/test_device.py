"""What a process that trains sets up."""

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource
import torch
from hw2tune.train.device import prepare_process

prepare_process(1, gpu=False)
torch.ones(4_000_000)  # 16 MB, 3,907 pages
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    torch.ones(4_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc")
def test_memory_freed_by_a_step_is_there_for_the_next_without_page_faults():
    shown = subprocess.run([sys.executable, "-c", FAULTS], check=True, stdout=subprocess.PIPE, text=True)
    assert int(shown.stdout) < 3_907
