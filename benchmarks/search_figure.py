"""The figure of docs/search.md from benchmarks/results: `uv run python -m benchmarks.search_figure RESULT...`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("agg")
import matplotlib.pyplot as plt

SHOWN = {"ours": "C0", "before": "C1", "tpe + halving": "C2", "random": "C7"}
LABELS = {"ours": "guided and halving", "before": "before: TPE and ASHA", "tpe + halving": "TPE and halving"}


def main() -> None:
    results = [json.loads((Path("benchmarks/results") / f"{name}.json").read_text()) for name in sys.argv[1:]]
    figure, axes = plt.subplots(1, len(results), figsize=(4.2 * len(results), 3.2), layout="constrained", squeeze=False)
    for axis, result in zip(axes[0], results, strict=True):
        for name, colour in SHOWN.items():
            if name not in result["test"]:
                continue
            lines = {key: [100 * value for value in line] for key, line in result["test"][name].items()}
            epochs = range(1, len(lines["iqm"]) + 1)
            axis.plot(epochs, lines["iqm"], color=colour, label=LABELS.get(name, name))
            axis.fill_between(epochs, lines["low"], lines["high"], color=colour, alpha=0.2, linewidth=0)
        axis.set_title(f"{result['task']}, {result['workers']} at once, {result['seeds']} searches", fontsize=9)
        axis.set_xlabel("epochs spent")
        end = result["test"]["ours"]
        begin = result["test"]["random"]["iqm"][len(end["iqm"]) // 10]
        axis.set_ylim(100 * begin - 0.3, 100 * max(end["high"]) + 0.3)
    axes[0][0].set_ylabel("test accuracy of what it returns (%)")
    axes[0][0].legend(frameon=False, fontsize=8)
    figure.savefig("docs/search.png", dpi=120)


if __name__ == "__main__":
    main()
