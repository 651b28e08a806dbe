"""Studies behind a URL, in a folder and in a server that speaks S3: each `machine` has a cache of its own."""

import hashlib
import json
import os
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from hw2tune.errors import StoreError, StudyFolderError
from hw2tune.records.layout import StudyFolder
from hw2tune.records.lock import owner_of as holder
from hw2tune.records.remote import mirror, working_copy
from hw2tune.records.remote.mirror import mirrored, reading
from hw2tune.records.remote.store import open_store, shown, without_secrets
from hw2tune.records.remote.working_copy import inside
from hw2tune.records.trials.checkpoints import DIGEST
from hw2tune.records.trials.epochs import read_epochs


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    for module in (mirror, working_copy):
        monkeypatch.setattr(module, "PUSH_SECONDS", 0.1)
    monkeypatch.setattr(working_copy, "SETTLE_SECONDS", 0.0)


@pytest.fixture(scope="module")
def s3():
    """The client of a local S3 server with one bucket, and the options of its address."""
    import boto3
    from moto import server

    with ExitStack() as stack:
        running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        running.start()
        stack.callback(running.stop)
        host, port = running.get_host_and_port()
        client = boto3.client(
            "s3", endpoint_url=f"http://{host}:{port}", region_name="us-east-1",
            aws_access_key_id="key", aws_secret_access_key="secret",
        )  # fmt: skip
        client.create_bucket(Bucket="bucket")
        stack.callback(client.close)
        yield client, f"?endpoint_override={host}:{port}&scheme=http"


@pytest.fixture(params=["file", "s3"])
def url(request, tmp_path) -> str:
    if request.param == "file":
        return f"file://{tmp_path}/store"
    _, options = request.getfixturevalue("s3")
    return f"s3://key:secret@bucket/{hashlib.sha256(str(tmp_path).encode()).hexdigest()[:8]}{options}"


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """Goes over to a machine: its cache is another."""
    return lambda name: monkeypatch.setenv("HW2TUNE_CACHE", str(tmp_path / name))


def run(url: str, **files: str) -> Path:
    """A run of study `tiny` that writes these files, a `_` standing for a `/`."""
    with mirrored(url, ["tiny"], lambda text: None) as results:
        for name, text in files.items():
            write(results, name, text)
    return results / "tiny"


def write(results: Path, name: str, text: str) -> None:
    path = results / "tiny" / name.replace("__", ".").replace("_", "/")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def contents(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "mirror.json"
    }


def foreign_note(url: str, age: float, tmp_path: Path) -> None:
    note = {"host": "elsewhere", "pid": 7, "started": 0.0, "since": "2026-01-01T00:00:00"}
    open_store(url).write("tiny/running.json", json.dumps(note).encode())
    os.utime(tmp_path / "store/tiny/running.json", (time.time() - age,) * 2)


def test_a_path_is_used_as_it_is(tmp_path):
    with mirrored(tmp_path, ["tiny"], pytest.fail) as results:
        assert results == tmp_path == reading(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_another_machine_gets_what_the_first_one_left_and_the_first_one_what_the_second_added(url, machine):
    machine("a")
    run(url, study__toml="one", trials_0_last__pt="state", optuna__journal="1")
    machine("b")
    there = run(url, optuna__journal="1\n2", trials_1_last__pt="other")
    expected = {"study.toml": "one", "trials/0/last.pt": "state", "optuna.journal": "1\n2", "trials/1/last.pt": "other"}
    assert contents(there) == expected
    machine("a")
    assert contents(run(url)) == expected


def test_changes_are_pushed_while_the_run_lasts_and_removed_files_are_removed(url, machine):
    machine("a")
    store = open_store(url)
    with mirrored(url, ["tiny"], lambda text: None) as results:
        write(results, "optuna__journal", "1")
        write(results, "trials_0_result__json", "epoch 1")
        wait_for(lambda: store.read("tiny/mirror.json"))
        wait_for(lambda: store.read("tiny/optuna.journal") == b"1")
        assert store.read("tiny/trials/0/result.json") == b"epoch 1"
        (results / "tiny/trials/0/result.json").unlink()
        wait_for(lambda: store.read("tiny/trials/0/result.json") is None)
    assert {key.removeprefix("tiny/") for key in store.list_files("tiny")} == {"optuna.journal", "mirror.json"}


def test_every_moment_of_the_store_has_lines_for_its_checkpoints_and_checkpoints_for_its_journal(machine, tmp_path):
    machine("a")
    url = f"file://{tmp_path}/store"
    there = StudyFolder(tmp_path / "store/tiny")
    seen = set()
    with mirrored(url, ["tiny"], lambda text: None) as results:
        trial = StudyFolder(results / "tiny").trial(0)
        lines = ""
        ended = time.monotonic() + 3
        epoch = 0
        while time.monotonic() < ended:
            epoch += 1
            content = f"state {epoch}"
            lines += json.dumps({"epoch": epoch, DIGEST: hashlib.sha256(content.encode()).hexdigest()}) + "\n"
            replace(trial.epochs, lines)
            replace(trial.last, content)
            replace(results / "tiny/optuna.journal", f"{epoch}")
            journal = there.journal.read_text() if there.journal.exists() else "0"
            if journal != "0":  # read as a fetch reads: journal, checkpoint, lines
                state = there.trial(0).last.read_text()
                known = [record["epoch"] for record in read_epochs(there.trial(0))]
                assert known[-1] >= int(state.removeprefix("state ")) >= int(journal)
            seen.add(journal)
            time.sleep(0.002)
    assert len(seen) > 5


def replace(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".part").write_text(text)
    path.with_suffix(".part").replace(path)


def test_a_working_copy_that_was_killed_before_its_push_wins_over_the_older_url(url, machine):
    machine("a")
    folder = run(url, optuna__journal="1")
    (folder / "optuna.journal").write_text("1\n2")
    run(url)
    assert open_store(url).read("tiny/optuna.journal") == b"1\n2"


def test_a_store_that_was_emptied_is_filled_again_and_empties_nothing_here(url, machine):
    machine("a")
    run(url, optuna__journal="1")
    store = open_store(url)
    for key in store.list_files("tiny"):
        store.delete(key)
    assert contents(run(url)) == {"optuna.journal": "1"}
    assert store.read("tiny/optuna.journal") == b"1"


def test_two_sides_that_both_moved_on_are_refused_and_nothing_is_lost(url, machine):
    machine("a")
    here = run(url, optuna__journal="1")
    machine("b")
    run(url, optuna__journal="1\nb")
    machine("a")
    (here / "optuna.journal").write_text("1\na")
    with pytest.raises(StudyFolderError) as refusal:
        run(url)
    assert str(refusal.value) == (
        f"{shown(url)}/tiny: has moved on to push 2, and so has the working copy {here} since push 1; "
        "move that folder away to go on from the URL, or take another --name"
    )
    assert (here / "optuna.journal").read_text() == "1\na"
    assert open_store(url).read("tiny/optuna.journal") == b"1\nb"
    assert open_store(url).read("tiny/running.json") is None
    here.rename(here.with_name("away"))
    assert contents(run(url)) == {"optuna.journal": "1\nb"}


def test_a_study_that_another_machine_runs_is_refused_and_one_whose_note_is_old_is_taken_over(machine, tmp_path):
    machine("a")
    url = f"file://{tmp_path}/store"
    run(url, study__toml="one")
    foreign_note(url, 50, tmp_path)
    with pytest.raises(StudyFolderError) as refusal:
        run(url)
    assert str(refusal.value) == (
        f"{url}/tiny: process 7 on elsewhere, since 2026-01-01T00:00:00 runs this study; "
        "wait for it, end it, or take another --name"
    )
    assert "process 7 on elsewhere" in str(holder(StudyFolder(reading(url) / "tiny")))
    foreign_note(url, 70, tmp_path)
    assert holder(StudyFolder(reading(url) / "tiny")) is None
    run(url)


def test_a_machine_that_slept_and_was_taken_over_writes_nothing_more(machine, tmp_path):
    machine("a")
    url = f"file://{tmp_path}/store"
    said: list[str] = []
    with pytest.raises(StoreError, match=r"process 7 on elsewhere.*everything is kept in .*/a/mirrors/.*/work/tiny"):
        with mirrored(url, ["tiny"], said.append) as results:
            foreign_note(url, 0, tmp_path)
            write(results, "optuna__journal", "mine")
            wait_for(lambda: len(said) == 2)
    assert open_store(url).read("tiny/optuna.journal") is None
    assert open_store(url).read("tiny/running.json") is not None


def test_a_store_that_fails_during_a_run_is_told_once_and_the_same_command_pushes_it_later(machine, tmp_path):
    machine("a")
    url, store = f"file://{tmp_path}/store", tmp_path / "store"
    said: list[str] = []
    with pytest.raises(StoreError, match=r"everything is kept in .*/work/tiny, and the same command continues"):
        with mirrored(url, ["tiny"], said.append) as results:
            store.rename(tmp_path / "gone")
            store.write_text("no folder")
            write(results, "optuna__journal", "1")
            wait_for(lambda: len(said) > 1)
            time.sleep(0.5)
    assert len(said) == 2 and "results are kept in" in said[1] and "cannot be reached" in said[1]
    store.unlink()
    (tmp_path / "gone").rename(store)
    run(url)
    assert open_store(url).read("tiny/optuna.journal") == b"1"


def test_readers_get_no_checkpoints_and_follow_what_changes(url, machine):
    machine("a")
    run(url, study__toml="one", trials_0_last__pt="state", optuna__journal="1")
    machine("b")
    assert contents(reading(url)) == {"tiny/study.toml": "one", "tiny/optuna.journal": "1"}
    machine("a")
    run(url, optuna__journal="1\n2")
    machine("b")
    assert contents(reading(url, "tiny")) == {"tiny/study.toml": "one", "tiny/optuna.journal": "1\n2"}


def test_a_missing_bucket_an_unknown_scheme_and_a_dead_server_are_one_line(s3):
    _, options = s3
    for url, reason in {
        f"s3://key:secret@nowhere/x{options}": "s3://nowhere/x: cannot be reached (no bucket `nowhere`); check",
        "nope://user:secret@x/y": "nope://x/y: cannot be reached (Unrecognized filesystem type in URI: nope://x/y)",
        "s3://key:secret@bucket/x?endpoint_override=127.0.0.1:9&scheme=http": "s3://bucket/x: cannot be reached (",
    }.items():
        with pytest.raises(StoreError) as refusal:
            reading(url)
        assert str(refusal.value).startswith(reason)
        assert "secret" not in str(refusal.value) and len(str(refusal.value).splitlines()) == 1


def test_an_unknown_scheme_is_refused_in_one_line_without_its_password():
    with pytest.raises(StoreError) as refusal:
        reading("nope://user:secret@x/y")
    assert str(refusal.value) == (
        "nope://x/y: cannot be reached (Unrecognized filesystem type in URI: nope://x/y); "
        "check the address, the bucket and the credentials"
    )


def test_a_key_that_leads_out_of_the_folder_is_refused(tmp_path):
    for key in ("tiny/../../evil", "/etc/passwd", "tiny//x", "tiny\\..\\evil", "./x"):
        with pytest.raises(StudyFolderError, match="leads out of its folder"):
            inside(tmp_path, key, "s3://bucket")
    assert inside(tmp_path, "tiny/a..b", "s3://bucket") == tmp_path / "tiny" / "a..b"


def test_an_object_whose_key_leads_out_of_the_folder_is_not_fetched(s3, machine, tmp_path):
    client, options = s3
    machine("a")
    client.put_object(Bucket="bucket", Key="evil/tiny/../../../../x", Body=b"evil")
    with pytest.raises(StudyFolderError):
        reading(f"s3://key:secret@bucket/evil{options}")
    assert not list(tmp_path.rglob("x"))


def test_passwords_are_not_shown():
    assert shown("s3://key:a/b?c@bucket/studies/?region=x") == "s3://bucket/studies"
    assert without_secrets("s3://key:secret@bucket/studies") == "s3://bucket/studies"
    assert shown("ray_results/a?b") == "ray_results/a?b"


def wait_for(condition) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
