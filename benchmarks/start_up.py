"""How long the commands take that read: `uv run python -m benchmarks.start_up`.

Whole processes, alternating with a bare interpreter, which is the floor; medians of RUNS. `status` is asked in a
results folder that the caller names (default ray_results), so that it reads a real study.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

RUNS = 9
CONTESTANTS = {
    "python -c pass": ["-c", "pass"],
    "hw2tune --help": ["-m", "hw2tune", "--help"],
    "hw2tune status": ["-m", "hw2tune", "status", "--results-dir"],
}


def main() -> None:
    results = sys.argv[1] if len(sys.argv) > 1 else "ray_results"
    seconds: dict[str, list[float]] = {name: [] for name in CONTESTANTS}
    for _ in range(RUNS):
        for name, arguments in CONTESTANTS.items():
            command = [sys.executable, *arguments, *([results] if arguments[-1] == "--results-dir" else [])]
            started = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            seconds[name].append(time.perf_counter() - started)
    medians = {name: round(statistics.median(times), 3) for name, times in seconds.items()}
    studies = len(list(Path(results).glob("*/study.toml")))
    print(json.dumps({"runs": RUNS, "studies": studies, "median_seconds": medians}, indent=1))


if __name__ == "__main__":
    main()
