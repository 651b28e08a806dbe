"""The figure of docs/search.md from benchmarks/results: `uv run python -m benchmarks.search_figure RESULT...`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("agg")
import matplotlib.pyplot as plt
import numpy as np

SHOWN = {"ours": "C0", "before": "C1", "optuna in tune": "C2", "random": "C7"}
LABELS = {
    "ours": "guided and halving",
    "before": "before: TPE and ASHA",
    "optuna in tune": "Optuna's TPE under Tune's ASHA",
    "random": "random, to the end",
}


def main() -> None:
    results = [json.loads((Path("benchmarks/results") / f"{name}.json").read_text()) for name in sys.argv[1:]]
    size = (4.0 * len(results), 5.6)
    figure, axes = plt.subplots(2, len(results), figsize=size, layout="constrained", squeeze=False, sharey="col")
    shown = [name for name in SHOWN if all(name in result["test"] for result in results)]
    for (above, below), result in zip(axes.T, results, strict=True):
        epochs = np.arange(1, result["budget_epochs"] + 1)
        moments = len(result["test_by_time"]["ours"]["iqm"])
        seconds = result["simulated_seconds"] * np.arange(1, moments + 1) / moments
        for name in shown:
            _line(above, epochs, result["test"][name], name)
            _line(below, seconds, result["test_by_time"][name], name)
        above.set_title(f"{result['task']}, {result['workers']} at once, {result['seeds']} searches", fontsize=9)
        above.set_xlabel("epochs spent")
        below.set_xlabel("simulated seconds")
        end = result["test"]["ours"]
        begin = result["test"]["random"]["iqm"][len(epochs) // 3]
        above.set_ylim(100 * begin - 0.3, 100 * max(end["high"]) + 0.3)
    for axis in axes[:, 0]:
        axis.set_ylabel("test accuracy of what it returns (%)")
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, fontsize=9, loc="outside upper center", ncols=len(shown))
    figure.savefig("docs/search.png", dpi=120)


def _line(axis: Any, x: Any, curve: dict[str, list[float | None]], name: str) -> None:
    lines = {key: 100 * np.array(line, float) for key, line in curve.items()}
    axis.plot(x, lines["iqm"], color=SHOWN[name], label=LABELS[name])
    axis.fill_between(x, lines["low"], lines["high"], color=SHOWN[name], alpha=0.2, linewidth=0)


if __name__ == "__main__":
    main()
