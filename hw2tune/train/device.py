"""The device and the threads of a process that trains."""

from __future__ import annotations

import torch


def prepare_process(threads: int) -> torch.device:
    """Sets this process up for training and returns its device: a GPU that it was given, else the CPU.

    Numbers smaller than 1e-38 are flushed to zero: strong weight decay drives weights there, and the CPU's
    arithmetic on them is many times slower. TF32 and bf16 stay off, so that results are comparable across devices.
    """
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
