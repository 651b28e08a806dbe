"""Names that a command line or a study file may give. Light on purpose: a shell's completion imports this."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

SAMPLERS = ("guided", "tpe", "random", "qmc", "grid", "cmaes", "gp", "nsga2")  # made by `search.samplers`
PRUNERS = ("halving", "asha", "hyperband", "median", "percentile", "patient", "wilcoxon", "none")  # `search.pruners`
RACE = 6  # finalists of a race for the winner, unless stated otherwise


def shipped_studies() -> dict[str, Path]:
    """Return the study files that hw2tune ships, by name."""
    package = Path(str(resources.files("hw2tune")))
    # In a wheel they are inside the package, in a checkout next to it: one place, `studies/`, in the sources.
    folder = next(f for f in (package / "shipped_studies", package.parent / "studies") if f.is_dir())
    return {path.stem: path for path in sorted(folder.glob("*.toml"), key=lambda path: path.stem)}
