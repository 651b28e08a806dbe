"""Plain clusters, as `ray start --head` makes them: without a token, and with one, attached to from any home."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.end_to_end.command import Command
from tests.end_to_end.test_jobs import free_port
from tests.end_to_end.test_study import STUDY

pytestmark = [pytest.mark.ray, pytest.mark.machines]

STUDIES = ("study", "tiny.toml", "--trials", 2, "--max-epochs", 2)


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """A home without a token, and an environment without Ray's variables."""
    (tmp_path / "tiny.toml").write_text(STUDY)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in [name for name in os.environ if name.startswith("RAY_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    return tmp_path


@contextmanager
def head(home: Path, **environment: str) -> Iterator[str]:
    """A running cluster's address."""
    port = free_port()
    temporary = tempfile.mkdtemp(prefix="r", dir="/tmp")
    started = subprocess.Popen(
        [Path(sys.executable).with_name("ray"), "start", "--head", f"--port={port}", "--num-cpus=2",
         "--include-dashboard=false", "--object-store-memory=100000000", f"--temp-dir={temporary}", "--block"],
        env=os.environ | environment | {"TMPDIR": temporary}, cwd=home, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 90
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            break
        except OSError:
            assert started.poll() is None and time.monotonic() < deadline
            time.sleep(0.5)
    try:
        yield f"127.0.0.1:{port}"
    finally:
        started.send_signal(signal.SIGTERM)
        started.wait(60)
        shutil.rmtree(temporary, ignore_errors=True)


def test_a_cluster_without_a_token_is_attached_to_whatever_token_is_here(home):
    with head(home) as address:
        warning = f"{address}: this cluster has no token: whoever reaches it can run code there (docs/cluster.md)\n"
        code, _, err = Command(*STUDIES, "--address", address, cwd=home).finish()
        assert (code, err.startswith(warning)) == (0, True), err
        # Another cluster's token and address, as a shell may have them: what is typed counts.
        elsewhere = {"RAY_AUTH_TOKEN": "a" * 64, "RAY_AUTH_MODE": "token", "RAY_ADDRESS": "192.0.2.1:6379"}
        code, _, err = Command(*STUDIES, "--name", "b", "--address", address, cwd=home, env=elsewhere).finish()
        assert (code, err.startswith(warning)) == (0, True), err
        code, _, err = Command(
            *STUDIES, "--name", "c", "--address", "auto", cwd=home, env={"RAY_ADDRESS": address}
        ).finish()
        assert code == 0 and err.startswith(f"auto (RAY_ADDRESS={address}): this cluster has no token"), err


def test_a_cluster_with_a_token_says_at_once_which_one_is_missing(home):
    token = secrets.token_hex(32)
    with head(home, RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=token) as address:
        way_out = (
            "put its token into RAY_AUTH_TOKEN, or name its file in RAY_AUTH_TOKEN_PATH (default ~/.ray/auth_token)"
        )
        for here, wants in (
            ({}, "a token, and there is none here"),
            ({"RAY_AUTH_TOKEN": "a" * 64}, "a token that is not the one here"),
        ):
            code, out, err = Command(*STUDIES, "--address", address, cwd=home, env=here).finish(
                within=30  # Ray itself tries for a minute and more
            )
            assert (code, out, err) == (1, "", f"hw2tune: --address {address}: the cluster wants {wants}; {way_out}\n")
        right = {"RAY_AUTH_TOKEN": token, "RAY_AUTH_MODE": "disabled"}
        code, _, err = Command(*STUDIES, "--address", address, cwd=home, env=right).finish()
        assert code == 0 and "has no token" not in err, err
