"""{hostile variables} x {check, study, summarize, status}: the same results whatever the surroundings.

Each row sets many variables that have nothing to do with each other, so that every value meets every command in a
minute or two; where a row fails, its variables are to be tried one by one. The first row types each command, the others
`study --summarize`: one start of Ray less, of which a row is half.
"""

import json
import re
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.end_to_end.command import Command

pytestmark = [pytest.mark.ray, pytest.mark.matrix]

SMALLEST = ("--max-epochs", 1, "--trials", 2)
EACH = (("check", "quickstart", *SMALLEST), ("study", "quickstart", *SMALLEST), ("summarize", "--replicates", 1))
TOGETHER = (EACH[0], (*EACH[1], "--summarize", "--replicates", 1))
LONG = uuid.uuid4().hex.ljust(60, "d")

ROWS: dict[str, dict[str, str | None]] = {
    "a notebook on another cluster's login node": {
        "MPLBACKEND": "module://matplotlib_inline.backend_inline", "RAY_ADDRESS": "192.0.2.1:6379",
        "RAY_API_SERVER_ADDRESS": "http://192.0.2.1:8265", "RAY_AUTH_MODE": "disabled", "RAY_AUTH_TOKEN": "not-a-token",
        "JPY_PARENT_PID": "1", "TERM": "dumb", "COLUMNS": "20", "PYTHONWARNINGS": "error", "OMP_NUM_THREADS": "64",
        "http_proxy": "http://127.0.0.1:1", "https_proxy": "http://127.0.0.1:1", "HTTP_PROXY": "http://127.0.0.1:1",
        "ALL_PROXY": "socks5://127.0.0.1:1", "grpc_proxy": "http://127.0.0.1:1", "NO_PROXY": "example.org",
    },
    "a batch job": {
        "TMPDIR": f"/tmp/{LONG}", "OMP_PROC_BIND": "true", "OMP_PLACES": "cores", "KMP_AFFINITY": "granularity=fine",
        "GOMP_CPU_AFFINITY": "0", "OMP_WAIT_POLICY": "active", "CUDA_VISIBLE_DEVICES": "0,1", "LC_ALL": "C",
        "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii", "HOME": "/nonexistent",
        "XDG_CACHE_HOME": "/nonexistent/cache", "USER": None, "LOGNAME": None, "SLURM_JOB_ID": "1", "TERM": None,
        "MPLCONFIGDIR": "/proc/nowhere", "RAY_AUTH_MODE": "nonsense",
    },
    "a developer's shell": {
        "PYTHONOPTIMIZE": "2", "PYTHONHASHSEED": "7", "PYTHONDEVMODE": "1", "PYTHONDONTWRITEBYTECODE": "1",
        "FORCE_COLOR": "1", "TTY_COMPATIBLE": "1", "GITHUB_ACTIONS": "true", "CLICOLOR_FORCE": "1",
        "RAY_DEBUG_POST_MORTEM": "1", "RAY_PDB": "1", "RAY_CLIENT_MODE": "1", "RAY_LOG_TO_STDERR": "1",
        "RAY_BACKEND_LOG_LEVEL": "debug", "TUNE_RESULT_BUFFER_LENGTH": "100", "TUNE_RESULT_DIR": "/nonexistent",
        "RAY_TRAIN_V2_ENABLED": "0", "TUNE_MAX_PENDING_TRIALS_PG": "0", "RAY_AIR_NEW_OUTPUT": "1",
        "GIT_DIR": "/nonexistent", "GIT_WORK_TREE": "/nonexistent", "TZ": "Pacific/Kiritimati", "LANG": "tr_TR.UTF-8",
        "MATPLOTLIBRC": "/nonexistent/rc", "DNNL_VERBOSE": "1", "ONEDNN_VERBOSE": "1", "TORCH_LOGS": "+all",
        "CUDA_VISIBLE_DEVICES": "", "NO_COLOR": "1", "RAY_TMPDIR": "/nonexistent", "SSL_CERT_FILE": "/nonexistent",
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def everywhere(tmp_path_factory) -> Iterator[dict[str, Future[Path]]]:
    """The commands in each row's environment, two at a time: half of a small study is waiting."""
    with ThreadPoolExecutor(2) as pool:
        yield {
            name: pool.submit(all_commands, tmp_path_factory.mktemp("place"), environment, TOGETHER if row else EACH)
            for row, (name, environment) in enumerate(ROWS.items())
        }


def all_commands(place: Path, environment: dict[str, str | None], commands: Sequence[tuple[object, ...]]) -> Path:
    """Runs commands and `status` in an environment."""
    given = {name: value for name, value in environment.items() if value is not None}
    prefix = ("env", *(word for name, value in environment.items() if value is None for word in ("-u", name)))
    if (temporary := environment.get("TMPDIR")) is not None:
        Path(temporary).mkdir(exist_ok=True)
    for command in (*commands, ("status", "quickstart")):
        code, out, err = Command(*command, cwd=place, env=given, prefix=prefix).finish()
        assert code == 0, (command, out, err)
        for word in ("our fault", "Traceback", "Warning", "raylet", "Matplotlib", "onednn_verbose"):
            assert word not in out + err, (command, out, err)
        (place / f"{command[0]}.txt").write_text(out + err)
    if temporary is not None:
        Path(temporary).rmdir()  # nothing was left in it
    return place


def results(place: Path) -> object:
    """What must not depend on the surroundings."""
    study = place / "ray_results" / "quickstart"
    summary = json.loads((study / "report" / "summary.json").read_text())
    table = re.sub(
        r",[\d.]+,(?=[^,]*,[^,]*,[^,]*,[^,]*,?[^,]*$)", ",SECONDS,", (study / "trials.csv").read_text(), flags=re.M
    )
    return table, [study["claims"] for study in summary["studies"]]


@pytest.mark.parametrize("row", ROWS)
def test_no_variable_changes_what_a_study_says_and_finds(everywhere, row):
    place = everywhere[row].result()
    assert results(place)[1] == results(everywhere[next(iter(ROWS))].result())[1]  # each other's, which are not tidy
    for name in ("check.txt", "study.txt"):  # no colours and no live display where nobody looks at a terminal
        assert "\x1b" not in (place / name).read_text()


def test_a_narrow_terminal_and_a_wrong_width_are_no_fault(tmp_path):
    for width in ("0", "1", "-5", "wide", ""):
        code, out, err = Command("check", "quickstart", cwd=tmp_path, env={"COLUMNS": width, "LINES": width}).finish()
        assert (code, err) == (0, ""), (width, out)


def test_packages_of_the_users_own_names_in_the_folder_are_not_imported(tmp_path):
    for name in ("numpy", "torch", "random", "types", "ray", "queue"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported from the wrong place')")
    command = Command("study", "quickstart", *SMALLEST, cwd=tmp_path, script=True)
    code, out, err = command.finish()
    assert code == 0, (out, err)
    assert (tmp_path / "ray_results" / "quickstart" / "trials.csv").exists()
