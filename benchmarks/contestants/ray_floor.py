"""What no study on Ray can be quicker than: bare `ray.init()` and, on every core, a task that imports torch."""

from __future__ import annotations

import sys
import time

import ray

from benchmarks.contestants.tutorial import read_job, write_record


@ray.remote(num_cpus=1)  # type: ignore[untyped-decorator]
def import_torch() -> str:
    import torch

    return torch.__version__


if __name__ == "__main__":
    started = time.time()
    job = read_job(sys.argv[1])
    ray.init()
    ray.get([import_torch.remote() for _ in range(job.slots)])
    write_record(job, trial="floor", epoch=1, time_start=started, time_end=time.time(), accuracy=0.0)
