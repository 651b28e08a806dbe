"""`hw2tune` with trials that go wrong for real, in their worker processes: FAULTS names what each trial does.

    FAULTS='{"2": "die once"}' python faulty.py study ...

The class lies in `__main__`, so Ray ships it by value and the workers run it.
"""

import json
import os
import signal
import sys
import time
from functools import partial
from pathlib import Path

from hw2tune import study_run
from hw2tune.console import main
from hw2tune.execution.trainable import TrainingTrial
from hw2tune.execution.tune import run_tune


def _allocate_until_killed() -> None:
    hog = []
    while True:
        hog.append(bytearray(b"x") * 100_000_000)
        time.sleep(0.05)  # the monitor looks four times a second


def _do(fault: str, number: int) -> None:
    match fault:
        case "die once" | "die always":
            mark = Path(os.environ["MARKS"]) / str(number)
            if fault == "die always" or not mark.exists():
                mark.touch()
                os.kill(os.getpid(), signal.SIGKILL)
        case "raise":
            raise ValueError("no such thing")
        case "too much memory":
            bytearray(1 << 60)
        case "hog":
            _allocate_until_killed()
        case "break CUDA once":
            mark = Path(os.environ["MARKS"]) / str(number)
            if not mark.exists():
                mark.touch()
                raise RuntimeError("CUDA error: an illegal memory access was encountered")
        case "be slow":
            time.sleep(1.0)


class FaultyTrial(TrainingTrial):
    def _open(self):
        number = self.config["number"]
        faults = json.loads(os.environ["FAULTS"])
        fault = faults.get(str(number), faults.get("all", ""))
        if fault == "raise":
            _do(fault, number)
        session = super()._open()
        train = session.step

        def step():
            if session.state.epoch:
                _do(fault, number)
            return train()

        session.step = step
        return session


if __name__ == "__main__":
    study_run.run_on = partial(study_run.run_on, execute=partial(run_tune, trainable=FaultyTrial))
    sys.argv[0] = "hw2tune"
    main()
