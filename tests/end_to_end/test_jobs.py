"""A study handed to a cluster's head through the Jobs API, as a user does it: submitted, left alone, joined again."""

import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from hw2tune.records.layout import StudyFolder
from hw2tune.records.trials.storage import read_trials
from tests.end_to_end.test_study import STUDY, assert_nothing_of_rays

pytestmark = [pytest.mark.ray, pytest.mark.machines]

TRIALS = 30  # more than end between the first line and Ctrl-C


def free_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


@dataclass(frozen=True, kw_only=True)
class Head:
    url: str
    environment: dict[str, str]
    home: Path

    def hw2tune(self, *arguments: str, token: str | None = None, **more: str) -> subprocess.Popen[str]:
        environment = self.environment | more | ({"RAY_AUTH_TOKEN": token} if token else {})
        return subprocess.Popen(
            [sys.executable, "-m", "hw2tune", *arguments], cwd=self.home, env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
            # As at a terminal: a background job of a script ignores Ctrl-C, and so would what it starts.
            preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip


@pytest.fixture(scope="module")
def head(tmp_path_factory) -> Iterator[Head]:
    """`ray start --head` with its dashboard and a token, and a PATH on which no Python has Ray."""
    home = tmp_path_factory.mktemp("home")
    (home / "tiny.toml").write_text(STUDY.replace("synthetic-mnist", "mnist-5k"))  # ten seconds of training
    port = free_port()
    temporary = tempfile.mkdtemp(prefix="r", dir="/tmp")  # sockets lie in it: their paths must be short
    environment = {
        **os.environ, "HOME": str(home), "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_USAGE_STATS_ENABLED": "0", "COLUMNS": "200",
    }  # fmt: skip
    started = subprocess.Popen(
        [Path(sys.executable).with_name("ray"), "start", "--head", "--port=0", f"--dashboard-port={port}",
         f"--dashboard-agent-listen-port={free_port()}",
         "--num-cpus=2", "--object-store-memory=200000000", f"--temp-dir={temporary}", "--block"],
        env=environment | {"PATH": "/usr/bin:/bin", "TMPDIR": temporary}, cwd=home, start_new_session=True,
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
    yield Head(url=f"http://127.0.0.1:{port}", environment=environment, home=home)
    started.send_signal(signal.SIGTERM)  # `ray start --block` ends the processes that it started, and no others
    started.wait(60)
    shutil.rmtree(temporary, ignore_errors=True)


def test_a_study_is_handed_over_left_alone_and_joined_again(head):
    command = ("study", "tiny.toml", "--trials", str(TRIALS), "--pruner", "none", "--address", head.url)
    client = head.hw2tune(*command)
    for line in client.stdout:  # the job's own lines, as they come
        if line.startswith(f"1/{TRIALS} #"):
            break
    os.killpg(client.pid, signal.SIGINT)
    _, err = client.communicate(timeout=30)
    assert client.returncode == 130
    assert err == (
        f"job hw2tune-tiny-1 at {head.url}; Ctrl-C leaves it alone, `hw2tune study tiny.toml --address {head.url} "
        "--attach` follows it again\nits results lie there, in ~/ray_results/tiny\n"
        f"hw2tune: disconnected; job hw2tune-tiny-1 goes on. `hw2tune study tiny.toml --address {head.url} --attach` "
        f"follows it again, `ray job stop --address {head.url} hw2tune-tiny-1` ends it in order\n"
    )
    again = head.hw2tune(*command)
    out, err = again.communicate(timeout=60)
    assert (again.returncode, out) == (1, "")
    assert f"hw2tune: {head.url}: job hw2tune-tiny-1 runs this study already; `hw2tune study tiny.toml" in err
    joined = head.hw2tune("study", "tiny.toml", "--address", head.url, "--attach")
    out, err = joined.communicate(timeout=180)
    print(out)
    assert joined.returncode == 0, err
    assert re.search(rf"^1/{TRIALS} #", out, re.MULTILINE) and re.search(rf"^{TRIALS}/{TRIALS} #", out, re.MULTILINE)
    assert f"{TRIALS} complete" in out
    assert_nothing_of_rays(out, err)
    trials = read_trials(StudyFolder(head.home / "ray_results" / "tiny"))
    assert [trial.number for trial in trials] == list(range(TRIALS))
    assert {trial.state.name for trial in trials} == {"COMPLETE"}
    told = head.hw2tune("study", "tiny.toml", "--address", head.url, "--logs").communicate(timeout=60)[0]
    assert told == out


def test_the_exit_code_of_a_job_is_the_studys(head):
    client = head.hw2tune("study", "tiny.toml", "--name", "other", "--concurrency", "99", "--address", head.url)
    out, _ = client.communicate(timeout=120)
    assert client.returncode == 1
    assert "hw2tune: --concurrency 99 needs room for as many trials, but 2 fit" in out


def test_a_wrong_token_is_refused_with_what_to_do(head):
    client = head.hw2tune("study", "tiny.toml", "--address", head.url, token="0" * 64)
    out, err = client.communicate(timeout=60)
    assert (client.returncode, out) == (1, "")
    assert err == (
        f"hw2tune: --address {head.url}: the cluster wants a token that is not the one here; put its token into "
        "RAY_AUTH_TOKEN, or name its file in RAY_AUTH_TOKEN_PATH (default ~/.ray/auth_token)\n"
    )


def test_a_study_that_was_never_handed_over_cannot_be_joined_whatever_ray_address_and_proxies_say(head):
    elsewhere = {"RAY_ADDRESS": "http://127.0.0.1:1", "RAY_API_SERVER_ADDRESS": "http://127.0.0.1:1"}
    proxies = {"HTTP_PROXY": "http://127.0.0.1:1", "http_proxy": "http://127.0.0.1:1"}
    client = head.hw2tune("study", "quickstart", "--address", head.url, "--attach", **elsewhere, **proxies)
    _, err = client.communicate(timeout=60)
    assert client.returncode == 1
    assert err == (f"hw2tune: {head.url}: no job of study `quickstart`; without --attach and --logs one is begun\n")
