"""Resources asked for, and the number of trials that run at once. Without Ray, so that `check` can ask as well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hw2tune.errors import ResourceError


@dataclass(frozen=True)
class Opening:
    """How a Ray that is started here is open to other machines: at `host` (empty for this machine's address) and `port`
    (0 for a free one), to those with the token in `token_file`, which is made if it is not there.

    With None the file is made in the user's cache and removed at the end.
    """

    host: str = ""
    port: int = 0
    token_file: Path | None = None


@dataclass(frozen=True)
class ResourceRequest:
    """Resources asked for; None if hw2tune chooses."""

    cpus_per_trial: float = 1.0
    gpus_per_trial: float | None = None
    concurrency: int | None = None
    address: str | None = None
    opening: Opening | None = None  # of the Ray that is started where there is no address

    @property
    def machines_change(self) -> bool:
        """Return whether machines may join and leave under way."""
        return self.address is not None or self.opening is not None


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """Resources of each trial, and the number that run at once: `gpu_slots` of them on GPUs, the others on CPUs alone.

    `cpu_slots` is how many run on CPUs alone where none is to run on GPUs, as trainings do that are to be compared.
    `avoid` holds Ray's ids of nodes on which nothing is to run.
    """

    cpus_per_trial: float
    gpus_per_trial: float
    concurrency: int
    text: str
    gpu_slots: int = 0
    cpu_slots: int = 0
    avoid: tuple[str, ...] = ()

    @property
    def threads(self) -> int:
        """Threads of a trial's process."""
        return max(1, int(self.cpus_per_trial))

    @property
    def same_device(self) -> int:
        """Number that run at once on one kind of device, as trainings do that are to be compared."""
        return self.gpu_slots or self.concurrency

    @property
    def selector(self) -> dict[str, str]:
        """Ray's label selector for the nodes that are not to be avoided."""
        return {"ray.io/node-id": f"!in({','.join(self.avoid)})"} if self.avoid else {}

    @property
    def options(self) -> dict[str, Any]:
        """The options of a Ray task that trains or tests."""
        return {"num_cpus": self.cpus_per_trial, "num_gpus": self.gpus_per_trial, "label_selector": self.selector}


def find_capacity(
    totals: Sequence[Mapping[str, float]], request: ResourceRequest, *, avoid: Sequence[str] = (), at_most: bool = False
) -> Capacity:
    """Number of trials that fit on nodes with these resources (`CPU`, `GPU`), each on one node. Raises ResourceError.

    Where there are GPUs, nodes without one take trials on their CPUs beside them. `at_most` takes a request for more
    trials at once than fit as a bound, where nodes went missing under way.
    """
    gpus = sum(total.get("GPU", 0.0) for total in totals)
    cpus = sum(total.get("CPU", 0.0) for total in totals)
    # Networks this small leave a GPU mostly idle, so trials share one unless stated otherwise.
    per_gpu = request.gpus_per_trial if request.gpus_per_trial is not None else (0.25 if gpus else 0.0)
    on_gpus = sum(_fits(total, request.cpus_per_trial, per_gpu) for total in totals) if per_gpu else 0
    on_cpus = sum(_fits(total, request.cpus_per_trial, 0.0) for total in totals if not per_gpu or not total.get("GPU"))
    fits = on_gpus + on_cpus if on_gpus or not per_gpu else 0  # GPUs that were asked for must be there
    there = f"{cpus:g} CPUs and {gpus:g} GPUs on {len(totals)} node{'s' * (len(totals) != 1)}"
    if fits == 0:
        raise ResourceError(
            f"a trial needs {request.cpus_per_trial:g} CPUs and {per_gpu:g} GPUs on one node, but there "
            f"are {there}; lower --cpus-per-trial or --gpus-per-trial"
        )
    if request.concurrency is not None and request.concurrency > fits and not at_most:
        more_cpus = [{**total, "CPU": float("inf")} for total in totals]
        by_gpu = bool(on_gpus) and sum(_fits(total, request.cpus_per_trial, per_gpu) for total in more_cpus) == on_gpus
        each = f"{request.cpus_per_trial:g} CPUs" + (f" and {per_gpu:g} GPUs" if per_gpu else "")
        raise ResourceError(
            f"--concurrency {request.concurrency} needs room for as many trials, but {fits} fit: {there}, {each} a "
            f"trial; lower --concurrency or {'--gpus-per-trial' if by_gpu else '--cpus-per-trial'}"
        )
    concurrency = min(request.concurrency or fits, fits)
    return Capacity(
        cpus_per_trial=request.cpus_per_trial,
        gpus_per_trial=per_gpu,
        concurrency=concurrency,
        text=there
        + (f", Ray at {request.address}" if request.address else ", Ray started here")
        + (", open to others" if request.opening else ""),
        gpu_slots=min(on_gpus, concurrency),
        cpu_slots=min(on_cpus, concurrency),
        avoid=tuple(avoid),
    )


def without_advice(error: ResourceError) -> str:
    """The reason of an error of `find_capacity`, for whoever waits for a machine and wants what was asked for."""
    return str(error).partition(";")[0]


def _fits(total: Mapping[str, float], cpus: float, gpus: float) -> int:
    by_cpu = total.get("CPU", 0.0) / cpus if cpus else float("inf")
    if not gpus:
        return int(by_cpu) if cpus else 0
    per_gpu = int(1 / gpus) if gpus <= 1 else 1 / gpus  # a fraction lies on one GPU
    return int(min(by_cpu, total.get("GPU", 0.0) * per_gpu))
