"""Who runs a study: the operating system's lock decides, and between machines a record that is renewed."""

import errno
import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import asdict, replace
from types import SimpleNamespace

import psutil
import pytest

from hw2tune.errors import LostStudyError, StudyFolderError
from hw2tune.records import lock
from hw2tune.records.atomic import dump_record, parse_record, write_atomically
from hw2tune.records.layout import StudyFolder
from hw2tune.records.lock import Owner, locked, owner_of, recorded_owner, this_process
from hw2tune.records.trials.storage import create_optuna_study
from hw2tune.study.file import find_study, parse_study

HOLD = (
    "import sys, pathlib; from hw2tune.records.lock import locked; from hw2tune.records.layout import StudyFolder\n"
    "with locked(StudyFolder(pathlib.Path(sys.argv[1]))): print('held', flush=True); sys.stdin.read()"
)
OTHER_KERNEL = {"boot": "another", "host": "elsewhere", "pid": 7}


@pytest.fixture
def folder(tmp_path) -> StudyFolder:
    return StudyFolder(tmp_path / "tiny")


def record(folder, **changes):
    """Leaves the record of another process in the folder; returns its path."""
    folder.root.mkdir(exist_ok=True)
    path = folder.root / "running.json"
    path.write_text(json.dumps(asdict(this_process()) | {"since": "then"} | changes))
    return path


def older(path, seconds):
    """Renewed this many seconds ago by the clock of the file system."""
    now = path.stat().st_mtime
    os.utime(path, (now - seconds, now - seconds))


@pytest.fixture
def holder(folder):
    """Another process that holds the folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder.root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_second_process_is_refused_with_the_file_its_age_and_the_way_out(folder, holder):
    with pytest.raises(StudyFolderError) as refused, locked(folder):
        pass
    host, since = owner_of(folder).host, owner_of(folder).since
    assert re.sub(r"\d+ s ago", "N s ago", str(refused.value)) == (
        f"{folder.root}: process {holder.pid} on {host}, since {since} runs this study ({folder.root}/running.json, "
        "renewed N s ago); wait for it, end it, or take another --name"
    )


def test_the_lock_of_a_killed_process_is_free_at_once_whatever_its_record_says(folder, holder):
    holder.kill()
    holder.wait()
    assert (folder.root / "running.json").exists() and owner_of(folder) is None
    with locked(folder):
        assert owner_of(folder) == this_process()
    assert owner_of(folder) is None and not (folder.root / "running.json").exists()


@pytest.mark.parametrize("changes", [{"host": "pod-2"}, {"host": "pod-2", "namespace": "pid:[7]"}, {"started": 1.0}])
def test_a_dead_runs_record_under_another_host_name_or_container_does_not_hold_the_study(folder, changes):
    record(folder, **changes)
    folder.lock.touch()
    assert owner_of(folder) is None
    said = []
    with locked(folder, said.append):
        assert said == []  # nobody is waited for


def test_a_living_process_of_another_container_with_our_pid_is_not_taken_for_us(folder, holder):
    path = folder.root / "running.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"pid": os.getpid(), "namespace": "pid:[7]"}))
    assert owner_of(folder) is not None and owner_of(folder) != this_process()
    with pytest.raises(StudyFolderError, match=rf"process {os.getpid()} on .* runs this study"), locked(folder):
        pass


def test_a_reader_neither_makes_a_lock_nor_keeps_a_starter_out(folder):
    record(folder, **OTHER_KERNEL)
    owner_of(folder)
    assert not folder.lock.exists()
    ended = threading.Event()

    def read():
        while not ended.is_set():
            owner_of(folder)

    readers = [threading.Thread(target=read) for _ in range(2)]
    (folder.root / "running.json").unlink()
    for reader in readers:
        reader.start()
    for _ in range(30):
        with locked(folder):
            pass
    ended.set()
    for reader in readers:
        reader.join()


def test_another_machines_record_that_is_not_renewed_is_waited_for_and_then_dead(folder, monkeypatch):
    path = record(folder, **OTHER_KERNEL)
    assert owner_of(folder).host == "elsewhere"
    older(path, lock.STALE_SECONDS - 3)
    said = []
    with locked(folder, said.append):
        assert recorded_owner(folder) == this_process()
    [waiting] = said
    assert re.fullmatch(
        f"{path}: process 7 on elsewhere, since then may still run this study; waiting [123] s for a sign of life",
        waiting,
    )


def test_another_machines_record_that_is_old_is_dead_whatever_our_clock_says(folder, monkeypatch):
    older(record(folder, **OTHER_KERNEL), 61)
    monkeypatch.setattr(time, "time", lambda: 0.0)  # a clock that was never set
    assert owner_of(folder) is None
    with locked(folder):
        pass


def test_another_machine_that_renews_its_record_runs_the_study(folder, monkeypatch):
    path = record(folder, **OTHER_KERNEL)
    beat = threading.Timer(1.5, lambda: os.utime(path))
    beat.start()
    with pytest.raises(
        StudyFolderError, match=r"process 7 on elsewhere, since then runs this study \(.*, renewed \d+ s"
    ):
        with locked(folder):
            pass
    beat.join()
    assert json.loads(path.read_text())["pid"] == 7  # nothing of it was touched


def test_the_record_is_renewed_in_place(folder, monkeypatch):
    monkeypatch.setattr(lock, "BEAT_SECONDS", 0.05)
    with locked(folder):
        path = folder.root / "running.json"
        inode = path.stat().st_ino
        older(path, 500)
        deadline = time.monotonic() + 10
        while lock._age(path) > 400:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert path.stat().st_ino == inode


def test_a_process_that_was_stopped_for_so_long_that_another_went_on_ends_in_order(folder):
    code = (
        "import sys, pathlib, time; from hw2tune.records import lock; from hw2tune.records.layout import StudyFolder\n"
        "from hw2tune.interrupt import end_as_ctrl_c\n"
        "end_as_ctrl_c(); lock.BEAT_SECONDS = 0.1\n"
        "try:\n"
        "    with lock.locked(StudyFolder(pathlib.Path(sys.argv[1]))): print('held', flush=True); time.sleep(60)\n"
        "except KeyboardInterrupt: print('ended in order')\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(folder.root)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        record(folder, **OTHER_KERNEL)
        assert process.communicate(timeout=30)[0] == "ended in order\n"
    assert json.loads((folder.root / "running.json").read_text())["host"] == "elsewhere"  # not ours to remove


def test_a_record_of_the_first_hw2tune_is_read_and_a_damaged_one_is_nobody():
    first = {"host": "laptop", "pid": 7, "started": 1e9, "since": "then"}
    assert parse_record(json.dumps(first), Owner) == Owner(host="laptop", pid=7, started=1e9)
    assert parse_record(json.dumps(first | {"later": "version"}), Owner).pid == 7
    for text in ("", "{", "[]", "null", '"x"', '{"pid": 7}', "\x00"):
        assert parse_record(text, Owner) is None
    assert parse_record(dump_record(this_process()), Owner) == this_process()
    assert replace(this_process(), since="later") == this_process()
    assert not this_process().is_gone
    assert replace(this_process(), started=1.0).is_gone
    assert Owner(host=this_process().host, pid=os.getpid(), started=1.0).is_gone


def test_a_damaged_record_holds_nobody_up(folder):
    record(folder).write_bytes(b"\xff\x00")
    assert owner_of(folder) is None
    with locked(folder):
        assert owner_of(folder) == this_process()


@pytest.fixture
def ended():
    """Set where this process is asked to end."""
    asked = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: asked.set())
    yield asked
    signal.signal(signal.SIGTERM, before)


def test_a_record_that_is_gone_is_a_lost_one_for_who_took_over_may_have_ended(folder, monkeypatch, ended):
    monkeypatch.setattr(lock, "BEAT_SECONDS", 0.02)
    with pytest.raises(LostStudyError) as lost, locked(folder):
        (folder.root / "running.json").unlink()
        assert ended.wait(10)
    assert str(lost.value) == (
        f"{folder.root}: another process has taken this study over while this one was silent; run the same command "
        "again to continue it"
    )


def test_of_two_hosts_that_start_at_once_with_a_lock_each_one_goes_on(folder, monkeypatch):
    hosts, inside, refused = threading.local(), [], []
    both = threading.Barrier(2)
    monkeypatch.setattr(fcntl, "flock", lambda *_: None)
    monkeypatch.setattr(lock, "this_process", lambda: Owner(host=hosts.name, pid=1, started=1.0, boot=hosts.name))
    monkeypatch.setattr(lock, "_is_shared", lambda folder: True)
    monkeypatch.setattr(lock, "SETTLE_SECONDS", 0.5)
    monkeypatch.setattr(lock, "_await_the_dead", lambda folder, say: None)  # neither sees the other's record

    def write_and_meet(*arguments, **options):
        write_atomically(*arguments, **options)
        if getattr(hosts, "alone", False):
            hosts.alone = False
            both.wait(60)

    monkeypatch.setattr(lock, "write_atomically", write_and_meet)

    def start(name):
        hosts.name, hosts.alone = name, True
        try:
            with locked(folder):
                inside.append(name)
                time.sleep(1)
        except StudyFolderError as error:
            refused.append(str(error))

    starters = [threading.Thread(target=start, args=(name,)) for name in "ab"]
    for starter in starters:
        starter.start()
    for starter in starters:
        starter.join()
    assert len(inside) == 1 and len(refused) == 1
    assert f"process 1 on {inside[0]}" in refused[0] and "runs this study" in refused[0]


def test_a_file_system_without_locks_holds_no_study_for_a_dead_process(folder, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refuse)
    monkeypatch.setattr(lock, "SETTLE_SECONDS", 0.0)
    older(record(folder, **OTHER_KERNEL), 61)
    for _ in range(2):
        with locked(folder):
            assert owner_of(folder) == this_process()
        assert [path.name for path in folder.root.iterdir() if "lock" in path.name] in ([], ["lock"])
    (folder.root / "lock").write_text("left by a process that was killed")
    with locked(folder):
        pass


def test_a_half_written_file_that_is_young_is_left_to_the_process_that_writes_it(folder):
    folder.root.mkdir()
    young, old = folder.root / "table.csv.1.part", folder.root / "best.pt.2.part"
    for part in (young, old):
        part.touch()
    older(old, 61)
    with locked(folder):
        assert young.exists() and not old.exists()


@pytest.mark.parametrize(
    ("fstype", "shared"), [("nfs4", True), ("lustre", True), ("fuse.drive", True), ("ext4", False), ("overlay", False)]
)
def test_hosts_wait_for_one_another_on_a_file_system_that_others_may_see(folder, monkeypatch, fstype, shared):
    places = {"/": "ext4", str(folder.root.parent.resolve()): fstype}
    mounts = [SimpleNamespace(mountpoint=place, fstype=kind) for place, kind in places.items()]
    monkeypatch.setattr(psutil, "disk_partitions", lambda all: mounts)
    assert lock._is_shared(folder.root) is shared


def test_a_run_that_was_taken_over_adds_nothing_more_to_the_journal(folder):
    with pytest.raises(LostStudyError, match="process 7 on elsewhere, since then has taken this study over"):
        with locked(folder):
            study = create_optuna_study(folder, parse_study(*find_study("quickstart")))
            study.set_user_attr("before", 1)
            record(folder, **OTHER_KERNEL)
            before = folder.journal.read_bytes()
            with pytest.raises(LostStudyError):
                study.set_user_attr("after", 1)
            assert folder.journal.read_bytes() == before
