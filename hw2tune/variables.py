"""Variables of the environment that can change what hw2tune does, and the handling of each.

`settle` acts on this table, once, before anything heavy is imported: Ray, matplotlib and OpenMP read most of these
when they are imported, and the workers of a Ray that is started here inherit them. `docs/environment.md` is made of
the same table. On a cluster that was running before, the nodes have the variables that they were started with.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import chain
from typing import Literal

from hw2tune.text.plain import markdown_table


@dataclass(frozen=True)
class Variable:
    """One variable, or several of one kind: `patterns` are divided by spaces and may contain `*`.

    `set` gives it `value` whatever it was, `removed` takes it out of hw2tune's processes, `honoured` leaves it to the
    library that reads it, `handled` means that hw2tune itself looks at it.
    """

    patterns: str
    handling: Literal["set", "removed", "honoured", "handled"]
    why: str
    value: str = ""

    @property
    def names(self) -> list[str]:
        """The variables' names, or patterns of them."""
        return self.patterns.split()


# The first entry that covers a name counts.
VARIABLES: dict[str, tuple[Variable, ...]] = {
    "hw2tune": (
        Variable("HW2TUNE_TRUST", "handled",
            "installed packages whose code studies may call, as `--trust`; commas between"),
        Variable("HW2TUNE_DATA", "handled", "a folder with data sets, looked into behind `--data-dir`"),
        Variable("HW2TUNE_CACHE", "handled", "the cache, in place of the user's own"),
        Variable("HW2TUNE_MIRROR", "handled", "a base URL in place of the published addresses of MNIST and CIFAR-10"),
    ),
    "Ray": (
        Variable("RAY_ADDRESS RAY_API_SERVER_ADDRESS", "handled",
            "read for `--address auto` alone; an address that is typed counts, and without one Ray is started here"),
        Variable("RAY_AUTH_MODE RAY_AUTH_TOKEN RAY_AUTH_TOKEN_PATH", "handled",
            "how to sign in to a cluster; a Ray started here has a token of its own, known to its processes alone"),
        Variable("RAY_TMPDIR", "handled",
            "where Ray's sockets and logs of one command lie while it runs, if the path is short enough; else TMPDIR"),
        Variable("RAY_USAGE_STATS_ENABLED", "set", "nothing is reported to Ray's makers", "0"),
        Variable("RAY_AIR_NEW_OUTPUT", "set", "Ray 2.60: the new output prints its settings even with verbose=0", "0"),
        Variable("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "set", "else each worker starts through a `uv run` of its own", "0"),
        Variable("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "set",
            "trials without a GPU keep the variables as they are; else a warning", "0"),
        Variable("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "set", "TensorBoard's logger imports torch: 3.8 s", "1"),
        Variable("TUNE_DISABLE_STRICT_METRIC_CHECKING", "set", "a failed trial reports why instead of a metric", "1"),
        Variable("TUNE_PRINT_ALL_TRIAL_ERRORS", "set", "hw2tune says what failed", "0"),
        Variable("TUNE_GLOBAL_CHECKPOINT_S", "set",
            "Tune's own state is thrown away: Optuna's storage counts", "86400"),
        Variable("TUNE_* RAY_AIR_* RAY_TRAIN_* RAY_CHDIR_TO_TRIAL_DIR", "removed",
            "settings of the user's own Tune experiments; some change when a trial is stopped"),
        Variable("RAY_DEBUG* RAY_PDB RAY_POST_MORTEM RAY_LOG_TO_STDERR RAY_BACKEND_LOG_LEVEL RAY_PROFILING", "removed",
            "a worker would wait for a debugger, or write into the terminal"),
        Variable("RAY_CLIENT_MODE RAY_ENABLE_AUTO_CONNECT RAY_RUNTIME_ENV_HOOK RAY_OVERRIDE_NODE_ID_FOR_TESTING "
            "RAY_OVERRIDE_JOB_RUNTIME_ENV RAY_REDIS_ADDRESS RAY_STORAGE", "removed",
            "ways of connecting that cannot run a study"),
        Variable("RAY_*", "honoured", "Ray's own settings, such as RAY_memory_usage_threshold"),
    ),
    "processors": (
        Variable("CUDA_VISIBLE_DEVICES", "handled",
            "which GPUs count; naming one that is not there makes none (a CUDA driver must list it)"),
        Variable("OMP_PROC_BIND OMP_PLACES GOMP_CPU_AFFINITY KMP_AFFINITY OMP_WAIT_POLICY", "removed",
            "each trial's process would bind itself to the same first core, or spin there"),
        Variable("OMP_NUM_THREADS MKL_NUM_THREADS OPENBLAS_NUM_THREADS OMP_THREAD_LIMIT", "removed",
            "a trial uses as many threads as it has CPUs (`--cpus-per-trial`)"),
        Variable("NVIDIA_TF32_OVERRIDE TORCH_ALLOW_TF32_CUBLAS_OVERRIDE DNNL_DEFAULT_FPMATH_MODE "
            "ONEDNN_DEFAULT_FPMATH_MODE", "removed",
            "results are computed in float32 on every device, or they could not be compared"),
        Variable("TORCH_LOGS DNNL_VERBOSE ONEDNN_VERBOSE MKL_VERBOSE", "removed", "they write into the terminal"),
        Variable("ATEN_CPU_CAPABILITY ONEDNN_MAX_CPU_ISA PYTORCH_* CUBLAS_* CUDA_* NVIDIA_*", "honoured",
            "they change speed and the last bits of results"),
    ),
    "loggers": (
        Variable("MLFLOW_TRACKING_URI MLFLOW_EXPERIMENT_NAME MLFLOW_EXPERIMENT_ID", "handled",
            "where `--log mlflow` logs; else into the study's folder, and an experiment of the study's name"),
        Variable("WANDB_MODE WANDB_API_KEY NETRC WANDB_BASE_URL WANDB_PROJECT", "handled",
            "whether `--log wandb` is online, and where; without a login it is offline"),
        Variable("MLFLOW_ALLOW_FILE_STORE", "set", "MLflow 3.17 refuses folders as stores without it", "true"),
        Variable("MLFLOW_DISABLE_TELEMETRY", "set", "nothing is reported to MLflow's makers", "true"),
        Variable("WANDB_ERROR_REPORTING", "set", "nothing is reported to W&B's makers", "false"),
        Variable("WANDB_RUN_ID WANDB_RESUME WANDB_SWEEP_ID WANDB_RUN_GROUP WANDB_NAME WANDB_JOB_TYPE WANDB_DIR",
            "removed", "each run of a study has its own"),
        Variable("MLFLOW_* WANDB_*", "honoured", "the libraries' own settings, such as MLFLOW_TRACKING_TOKEN"),
    ),
    "figures": (
        Variable("MPLBACKEND", "handled",
            "figures are drawn on Agg; a notebook's variable names a backend that is not installed here"),
        Variable("MATPLOTLIBRC MPLCONFIGDIR", "handled", "a report looks the same, whatever settings they name"),
    ),
    "terminal": (
        Variable("COLUMNS LINES TERM NO_COLOR", "honoured", "width, height and colours of what is shown"),
        Variable("FORCE_COLOR TTY_COMPATIBLE TTY_INTERACTIVE CLICOLOR_FORCE PY_COLORS GITHUB_ACTIONS", "handled",
            "colours and a live display are for terminals, whatever they say"),
    ),
    "Python": (
        Variable("PYTHONWARNINGS PYTHONDEVMODE PYTHONASYNCIODEBUG", "removed",
            "libraries' warnings, made errors, would end a trial; `--debug` shows them"),
        Variable("PYTHONOPTIMIZE", "removed", "Ray 2.60 needs its docstrings: hw2tune starts itself anew without it"),
        Variable("PYTHONIOENCODING PYTHONUTF8 LANG LC_* LANGUAGE", "handled",
            "files are UTF-8 whatever they say; a character that the terminal does not know is shown as `?`"),
        Variable("PYTHONDONTWRITEBYTECODE PYTHONPYCACHEPREFIX", "honoured",
            "where no bytecode is kept each command compiles what it imports: `status` takes twice as long"),
        Variable("PYTHONHASHSEED PYTHONUNBUFFERED PYTHONSAFEPATH", "honoured",
            "no result and no report depends on them"),
        Variable("PYTHONPATH PYTHONHOME PYTHONSTARTUP", "honoured", "where Python finds packages"),
    ),
    "machine": (
        Variable("HOME XDG_CACHE_HOME", "handled",
            "the cache lies there; where it cannot be written nothing is cached"),
        Variable("TMPDIR TEMP TMP", "handled",
            "Ray's sockets and logs of one command lie there while it runs; a path over 42 bytes is too long for "
            "sockets, and a short place is taken"),
        Variable("TZ", "honoured", "times shown are local ones; those in files say their zone"),
        Variable("HTTP_PROXY HTTPS_PROXY ALL_PROXY http_proxy https_proxy all_proxy grpc_proxy", "honoured",
            "for downloads and a job server elsewhere; never for this machine"),
        Variable("NO_PROXY no_proxy", "handled", "this machine's own addresses are added"),
        Variable("GIT_*", "removed", "they would name another repository than hw2tune's for the commit in the records"),
        Variable("SSL_CERT_FILE SSL_CERT_DIR REQUESTS_CA_BUNDLE", "honoured", "certificates for downloads"),
    ),
}  # fmt: skip

removed: dict[str, str] = {}  # by `settle`, with their values: for `hw2tune doctor`
LOOPBACK = ("localhost", "127.0.0.1", "::1")


def entry_for(name: str) -> Variable | None:
    """Return the entry of the variable `name`, or None if hw2tune has none."""
    every = chain.from_iterable(VARIABLES.values())
    return next((entry for entry in every if any(fnmatchcase(name, pattern) for pattern in entry.names)), None)


def as_markdown() -> str:
    """Return `docs/environment.md`."""
    parts = [
        "# What variables of the environment do",
        "Made from `hw2tune/variables.py` by `uv run python -m hw2tune.variables > docs/environment.md`; a test holds "
        "it up to date. *set*: given this value whatever it was; *removed*: taken out of hw2tune's processes and of "
        "the workers that it starts; *handled*: hw2tune looks at it; *honoured*: left to the library that reads it. "
        "Nodes of a cluster that was running before have the variables that they were started with. "
        "`hw2tune doctor --machine` shows those that are set.",
    ]
    for group, entries in VARIABLES.items():
        rows = (
            [" ".join(f"`{name}`" for name in entry.names), f"{entry.handling} {entry.value}".rstrip(), entry.why]
            for entry in entries
        )
        parts += [f"## {group}", markdown_table(["variables", "", "what for"], rows)]
    return "\n\n".join(parts) + "\n"


def settle(environment: MutableMapping[str, str] = os.environ) -> None:
    """Set and remove variables as the table says, for this process and those that it starts."""
    for name in list(environment):
        entry = entry_for(name)
        if entry is not None and entry.handling == "removed":
            removed[name] = environment.pop(name)
    for entry in chain.from_iterable(VARIABLES.values()):
        if entry.handling == "set":
            environment.update(dict.fromkeys(entry.names, entry.value))
    for name in ("NO_PROXY", "no_proxy"):
        known = [host for host in environment.get(name, "").split(",") if host]
        environment[name] = ",".join([*known, *(host for host in LOOPBACK if host not in known)])


@contextlib.contextmanager
def settled() -> Iterator[None]:
    """Settle within the `with`, and restore the caller's environment after it."""
    before = dict(os.environ)
    settle()
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)


if __name__ == "__main__":
    print(as_markdown(), end="")
