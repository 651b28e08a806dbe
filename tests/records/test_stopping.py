"""Ending a run from another process: who is signalled, with what, and who never is."""

import json
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import asdict, replace

import psutil
import pytest

from hw2tune.errors import StudyFolderError
from hw2tune.records import stopping
from hw2tune.records.layout import StudyFolder
from hw2tune.records.lock import _started, owner_of, recorded_owner, this_process
from hw2tune.records.remote.runs import RemoteStudy, Run
from hw2tune.records.remote.store import open_store
from hw2tune.records.stopping import stop_run
from tests.report.fake_study import write_fake_study

RUN = """
    import os, pathlib, signal, sys, time
    from hw2tune.interrupt import end_as_ctrl_c, interruptible
    from hw2tune.records.layout import StudyFolder
    from hw2tune.records.lock import locked

    folder, asked = StudyFolder(pathlib.Path(sys.argv[1])), []
    {prepare}
    with locked(folder):
        try:
            {held}
        except KeyboardInterrupt:
            asked.append("at once")
    {behind}
    print(*asked)
"""
ASLEEP = """print("held", flush=True)
            time.sleep(60)"""
IN_ORDER = """with interruptible(lambda: asked.append("in order")):
                print("held", flush=True)
                while not asked: time.sleep(0.05)"""

AGAIN = """asked.append("and")
    time.sleep(2)
    with interruptible(lambda: asked.append("again")), locked(folder):
        while asked[-1] != "again": time.sleep(0.05)"""


@pytest.fixture
def results(tmp_path):
    write_fake_study(tmp_path, trials=4, seeds=0)
    return tmp_path


@pytest.fixture
def run(results):
    """Starts a process that holds the study; its output is how it was asked to end."""
    started = []

    def start(held=IN_ORDER, prepare="end_as_ctrl_c()", behind="pass", ignoring=()):
        code = textwrap.dedent(RUN.format(held=held, prepare=prepare, behind=behind))

        def ignore():
            for number in ignoring:
                signal.signal(number, signal.SIG_IGN)

        process = subprocess.Popen(
            [sys.executable, "-c", code, str(results / "quickstart")], stdout=subprocess.PIPE, text=True,
            preexec_fn=ignore,
        )  # fmt: skip
        started.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def stop(results, *, now=False, timeout=20.0, said=None):
    return stop_run(results, "quickstart", now=now, timeout=timeout, say=(said if said is not None else []).append)


def record(results, **changes):
    path = results / "quickstart" / "running.json"
    path.write_text(json.dumps(asdict(this_process()) | {"since": "then"} | changes))
    return path


def test_a_run_is_ended_in_order_and_the_study_is_free_behind_it(results, run):
    process, said = run(), []
    ended = stop(results, said=said)
    assert process.communicate(timeout=10)[0] == "in order\n"
    assert (ended.ended.pid, ended.stale) == (process.pid, None)
    assert owner_of(StudyFolder(results / "quickstart")) is None
    assert len(ended.overview.finished) == 4 and ended.overview.running is None
    assert len(said) == 1 and said[0].startswith(f"quickstart: asking process {process.pid} (")
    assert said[0].endswith("to end (SIGTERM)")


@pytest.mark.parametrize(
    ("ignoring", "named"),
    [((signal.SIGINT,), "SIGTERM"), ((signal.SIGHUP, signal.SIGTERM), "SIGINT"),
     ((signal.SIGINT, signal.SIGTERM), "SIGHUP")],
)  # fmt: skip
def test_the_signal_is_one_that_the_process_hears(results, run, ignoring, named):
    process, said = run(ignoring=ignoring), []
    stop(results, said=said)
    assert process.communicate(timeout=10)[0] == "in order\n"
    assert said[0].endswith(f"({named})")


def test_a_notebook_is_interrupted_by_sigint_as_its_own_stop_button_does(results, run):
    process = run(held=ASLEEP, prepare="pass", behind="time.sleep(1)")
    stop(results)
    assert process.communicate(timeout=10)[0] == "at once\n"


def test_a_process_that_ignores_every_signal_is_refused_with_the_way_out(results, run):
    process = run(ignoring=(signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
    with pytest.raises(StudyFolderError) as refused:
        stop(results)
    assert f"ignores every signal that ends a command in order; `kill -9 {process.pid}` ends it" in str(refused.value)
    assert process.poll() is None


def test_now_asks_a_second_time_and_without_it_a_slow_end_is_waited_for(results, run):
    slow = IN_ORDER + "\n                time.sleep(60)"
    process = run(held=slow)
    with pytest.raises(StudyFolderError, match=r"still runs 1 s after it was asked to end; --now ends it at once"):
        stop(results, timeout=1.0)
    assert process.poll() is None
    ended = stop(results, now=True)
    assert process.communicate(timeout=10)[0] == "in order at once\n"
    assert ended.seconds < 15


def test_now_gives_both_signals_to_a_run_that_was_asked_by_nobody(results, run):
    process = run(held=IN_ORDER + "\n                time.sleep(60)")
    stop(results, now=True)
    assert process.communicate(timeout=10)[0] == "in order at once\n"


def test_a_command_that_goes_on_to_its_next_step_is_asked_again(results, run):
    process = run(behind=AGAIN)
    stop(results)
    assert process.communicate(timeout=10)[0] == "in order and again\n"


def test_a_suspended_run_is_woken_to_end(results, run):
    process = run()
    process.send_signal(signal.SIGSTOP)
    while psutil.Process(process.pid).status() != psutil.STATUS_STOPPED:
        time.sleep(0.01)
    stop(results)
    assert process.communicate(timeout=10)[0] == "in order\n"


def test_where_nothing_runs_that_is_said_and_nothing_is_done(results):
    nothing = stop(results)
    assert (nothing.ended, nothing.stale, nothing.overview.folder.name) == (None, None, "quickstart")
    with pytest.raises(StudyFolderError, match=r"no study `mnist`; it holds quickstart"):
        stop_run(results, "mnist", now=False, timeout=1.0, say=print)


def test_the_record_of_a_dead_run_is_told_from_a_run(results, run):
    process = run()
    process.kill()
    process.wait()
    dead = stop(results)
    assert dead.ended is None and dead.stale.pid == process.pid


@pytest.fixture
def bystander():
    process = subprocess.Popen([sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"],
                               stdout=subprocess.PIPE, text=True)  # fmt: skip
    assert process.stdout.readline() == "up\n"
    yield process
    process.kill()
    process.communicate()


def test_a_number_that_belongs_to_another_process_now_is_never_signalled(results, bystander, monkeypatch):
    record(results, pid=bystander.pid, started=1.0)
    assert stop(results).ended is None  # the lock's own record is not taken for a run
    owner = stopping.recorded_owner(StudyFolder(results / "quickstart"))
    assert stopping._process_of(owner, "quickstart", "x") is None  # nor, a moment later, for its process
    time.sleep(0.3)
    assert bystander.poll() is None


def test_a_process_that_a_shared_folder_names_and_that_runs_no_study_is_not_signalled(results, run, bystander):
    holder = run()
    path = record(results, pid=bystander.pid, started=_started(bystander.pid))
    with pytest.raises(StudyFolderError) as refused:
        stop(results, timeout=1)
    owner = recorded_owner(StudyFolder(path.parent))
    assert str(refused.value) == (
        f"quickstart: {owner} is on record, but neither holds the study's lock nor is "
        "a command of hw2tune; nothing was signalled, look at who wrote running.json"
    )
    assert bystander.poll() is None and holder.poll() is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"boot": "another", "host": "elsewhere"}, "process {pid} on elsewhere, since then runs it, on another machine "),
     ({"boot": "", "host": "elsewhere"}, "process {pid} on elsewhere, since then runs it, on another machine "),
     ({"namespace": "pid:[7]"}, "runs it, in a container of this machine whose processes cannot be seen from here")],
)  # fmt: skip
def test_a_run_elsewhere_is_refused_with_where_to_go_and_nobody_is_signalled(results, run, bystander, changes, said):
    holder = run()
    record(results, pid=bystander.pid, **changes)
    with pytest.raises(StudyFolderError) as refused:
        stop(results)
    assert said.format(pid=bystander.pid) in str(refused.value) and "`hw2tune stop quickstart`" in str(refused.value)
    time.sleep(0.3)
    assert bystander.poll() is None and holder.poll() is None


def test_a_run_behind_a_url_is_found_by_the_note_in_the_store(results, tmp_path, bystander, monkeypatch):
    monkeypatch.setenv("HW2TUNE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(stopping, "LOOK_STORE_SECONDS", 0.1)
    url = f"file://{results}"
    code = (
        "import sys, time; from hw2tune.interrupt import end_as_ctrl_c\n"
        "from hw2tune.records.layout import StudyFolder; from hw2tune.records.lock import locked\n"
        "from hw2tune.records.remote.mirror import mirrored\n"
        "end_as_ctrl_c()\n"
        "try:\n"
        "    with mirrored(sys.argv[1], ['quickstart'], lambda text: None) as work:\n"
        "        with locked(StudyFolder(work / 'quickstart')): print('held', flush=True); time.sleep(60)\n"
        "except KeyboardInterrupt: print('ended')\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, url], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        ended = stop_run(url, "quickstart", now=False, timeout=20, say=print)
        assert process.communicate(timeout=10)[0] == "ended\n"
    assert ended.ended.pid == process.pid and len(ended.overview.finished) == 4
    assert RemoteStudy(open_store(url), "quickstart").living() is None
    owner = replace(this_process(), pid=bystander.pid)  # with our start, not its own
    RemoteStudy(open_store(url), "quickstart").write_run(Run(id="000009-abcdef01", owner=owner))
    assert stop_run(url, "quickstart", now=False, timeout=20, say=print).ended is None
    assert bystander.poll() is None
