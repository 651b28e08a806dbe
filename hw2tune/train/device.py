"""The device and the threads of a process that trains."""

from __future__ import annotations

import ctypes
import inspect
from functools import cache

import torch
from torch.optim import Optimizer

from hw2tune.errors import DeviceError

# malloc.h
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
MMAP_THRESHOLD_MAX = 32 * 1024**2  # what glibc accepts on 64 bits


def prepare_process(threads: int, *, gpu: bool) -> torch.device:
    """Set this process up for training and return its device: with `gpu` one that it sees, else the CPU.

    Ray hides no GPU from a process that asked for none, so what was asked for decides. Raises DeviceError where a GPU
    was asked for and cannot be used: a training is kept under a key that names its device.

    Numbers smaller than 1e-38 are flushed to zero: strong weight decay drives weights there, and the CPU's
    arithmetic on them is many times slower. TF32 is turned off (cuDNN's default is on) and bf16 is not used, so that
    results are comparable across devices. glibc keeps freed memory: else it returns each step's large tensors and gets
    them anew, page by page, whose faults are a fifth of a CIFAR-10 step with batches of 128.
    """
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(MMAP_THRESHOLD, MMAP_THRESHOLD_MAX)
        libc.mallopt(TRIM_THRESHOLD, 2**31 - 1)
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    if gpu and not torch.cuda.is_available():
        build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "the CPU alone"
        raise DeviceError(
            f"this process was given a GPU, and its PyTorch {torch.__version__}, built for {build}, cannot use one; "
            "`nvidia-smi` shows the driver; --gpus-per-trial 0 trains on CPUs"
        )
    return torch.device("cuda" if gpu else "cpu")


@cache
def keep_compiler_out() -> None:
    """From here on optimizers do without the compiler of PyTorch 2.15 (`tests/train/test_workarounds.py`).

    They import `torch._dynamo` when one is made and again when it steps: 2 s a process and more, longer than most
    trials' first epoch. Nothing is compiled here.
    """
    for method in (Optimizer.add_param_group, Optimizer.zero_grad, Optimizer.state_dict, Optimizer.load_state_dict):
        # torch/_compile.py: what this attribute names is called in place of `torch._dynamo.disable(method)`.
        setattr(inspect.unwrap(method), "__dynamo_disable", inspect.unwrap(method))
