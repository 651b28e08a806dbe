"""Studies behind a URL, in a folder and in a server that speaks S3: each `machine` has a cache of its own."""

import dataclasses
import hashlib
import json
import os
import shutil
import signal
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis.strategies import sampled_from, sets

from hw2tune.errors import LostStudyError, StoreError, StudyFolderError
from hw2tune.integrations.dashboard.folders import ShownFolders
from hw2tune.records.layout import StudyFolder
from hw2tune.records.lock import owner_of as holder
from hw2tune.records.remote import mirror, runs, working_copy
from hw2tune.records.remote.mirror import mirrored, owner_at, reading, reading_study
from hw2tune.records.remote.runs import RemoteStudy, inside
from hw2tune.records.remote.store import Store, open_store, shown, without_secrets
from hw2tune.records.remote.working_copy import Mirror
from hw2tune.records.trials.epochs import DIGEST, read_epochs
from tests.report.fake_study import write_fake_study


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(mirror, "PUSH_SECONDS", 0.1)
    monkeypatch.setattr(working_copy, "APART_SECONDS", 0.0)


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


def pushed(url: str, name: str) -> bytes | None:
    """A file of study `tiny` as another machine would get it."""
    study = RemoteStudy(open_store(url), "tiny")
    newest = study.newest()
    path = f"tiny/{name}"
    if newest is None or path not in newest.files:
        return None
    return study.store.read(study.key(path, newest.at.get(path, newest.by)))


def foreign_run(store: Path, age: float, place: str = "runs/000009-abcdef01.json") -> None:
    """The claim of a run on another machine, renewed so many seconds ago."""
    owner = {"host": "elsewhere", "pid": 7, "started": 0.0, "since": "2026-01-01T00:00:00"}
    claim = store / "tiny" / place
    claim.parent.mkdir(parents=True, exist_ok=True)
    claim.write_text(json.dumps({"owner": owner} if "runs" in place else owner))
    os.utime(claim, (time.time() - age,) * 2)


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
        write(results, "trials_0_last__pt", "state 1")
        wait_for(lambda: pushed(url, "trials/0/last.pt") == b"state 1")
        assert pushed(url, "trials/0/result.json") == b"epoch 1" and pushed(url, "optuna.journal") == b"1"
        (results / "tiny/trials/0/last.pt").unlink()
        wait_for(lambda: pushed(url, "trials/0/last.pt") is None)
    names = {key.split("/", 3)[-1] for key in store.list_files("tiny")}
    assert names - {next(iter(RemoteStudy(store, "tiny").claims())) + ".json"} == {
        "tiny/optuna.journal", "tiny/trials/0/result.json", "files.json",
    }  # fmt: skip


def test_every_moment_of_the_store_has_lines_for_its_checkpoints_and_checkpoints_for_its_journal(machine, tmp_path):
    machine("a")
    url = f"file://{tmp_path}/store"
    seen = set()
    with mirrored(url, ["tiny"], lambda text: None) as results:
        (run,) = (tmp_path / "store/tiny/runs").glob("*.json")
        there = StudyFolder(run.with_suffix("") / "tiny")
        trial = StudyFolder(results / "tiny").trial(0)
        lines = ""
        begun = time.monotonic()
        epoch = 0
        while (passed := time.monotonic() - begun) < 3 or (len(seen) <= 5 and passed < 60):
            epoch += 1
            content = f"state {epoch}"
            lines += json.dumps({"epoch": epoch, DIGEST: hashlib.sha256(content.encode()).hexdigest()}) + "\n"
            replace(trial.epochs, lines)
            replace(trial.last, content)
            replace(results / "tiny/optuna.journal", "".join(f"{one}\n" for one in range(1, epoch + 1)))
            journal = there.journal.read_text().splitlines()[-1] if there.journal.exists() else "0"
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
    assert pushed(url, "optuna.journal") == b"1\n2"


def test_a_store_that_was_emptied_is_filled_again_and_empties_nothing_here(url, machine):
    machine("a")
    run(url, optuna__journal="1")
    store = open_store(url)
    for key in store.list_files("tiny"):
        store.delete(key)
    assert contents(run(url)) == {"optuna.journal": "1"}
    assert pushed(url, "optuna.journal") == b"1"


def test_two_sides_that_both_moved_on_are_refused_and_nothing_is_lost(url, machine):
    machine("a")
    here = run(url, optuna__journal="1")
    machine("b")
    run(url, optuna__journal="1\nb")
    machine("a")
    (here / "optuna.journal").write_text("1\na")
    first, second = RemoteStudy(open_store(url), "tiny").claims()
    with pytest.raises(StudyFolderError) as refusal:
        run(url)
    assert str(refusal.value) == (
        f"{shown(url)}/tiny: has moved on to push 1 of {second}, and so has the working copy {here} since push 1 of "
        f"{first}; move that folder away to continue from the URL, or use another --name"
    )
    assert (here / "optuna.journal").read_text() == "1\na"
    assert pushed(url, "optuna.journal") == b"1\nb"
    assert [*RemoteStudy(open_store(url), "tiny").claims()] == [first, second]
    here.rename(here.with_name("away"))
    assert contents(run(url)) == {"optuna.journal": "1\nb"}


@pytest.mark.parametrize("place", ["runs/000009-abcdef01.json", "running.json"], ids=["now", "before runs"])
def test_a_study_that_another_machine_runs_is_refused_and_a_silent_run_is_taken_over(place, machine, tmp_path):
    machine("a")
    url = f"file://{tmp_path}/store"
    (tmp_path / "store/tiny").mkdir(parents=True)
    (tmp_path / "store/tiny/study.toml").write_text("one")
    foreign_run(tmp_path / "store", 50, place)
    with pytest.raises(StudyFolderError) as refusal:
        run(url)
    assert str(refusal.value) == (
        f"{url}/tiny: process 7 on elsewhere, since 2026-01-01T00:00:00 runs this study; "
        "wait for it, end it, or take another --name"
    )
    assert "process 7 on elsewhere" in str(holder(StudyFolder(reading(url) / "tiny")))
    foreign_run(tmp_path / "store", 70, place)
    assert holder(StudyFolder(reading(url) / "tiny")) is None
    run(url)


def test_a_reader_whose_clock_is_ahead_of_the_stores_sees_a_run_that_lives(machine, tmp_path, monkeypatch):
    machine("a")
    (tmp_path / "store/tiny").mkdir(parents=True)
    foreign_run(tmp_path / "store", 1)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 3600)
    assert owner_at(f"file://{tmp_path}/store", "tiny").host == "elsewhere"


def test_a_run_that_was_taken_over_ends_as_by_ctrl_c_and_its_results_are_kept_and_named(machine, tmp_path):
    machine("a")
    url = f"file://{tmp_path}/store"
    ended = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: ended.set())
    try:
        with pytest.raises(LostStudyError) as lost:
            with mirrored(url, ["tiny"], lambda text: None) as results:
                write(results, "optuna__journal", "a")
                (mine,) = RemoteStudy(open_store(url), "tiny").claims()
                foreign_run(tmp_path / "store", 0)
                assert ended.wait(20)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert str(lost.value) == (
        f"{url}/tiny: process 7 on elsewhere, since 2026-01-01T00:00:00 has taken this study over; the results of this "
        f"run are kept in {url}/tiny/runs/{mine}; run the same command again to continue the newer ones"
    )
    assert (tmp_path / "store/tiny/runs" / mine / "tiny/optuna.journal").read_text() == "a"


def test_a_run_that_wakes_up_only_to_end_is_told_that_it_was_taken_over(machine, tmp_path, monkeypatch):
    machine("a")
    monkeypatch.setattr(mirror, "PUSH_SECONDS", 60)  # it sleeps until its study is over
    with pytest.raises(LostStudyError, match="has taken this study over"):
        with mirrored(f"file://{tmp_path}/store", ["tiny"], lambda text: None) as results:
            write(results, "optuna__journal", "a")
            foreign_run(tmp_path / "store", 0)


def test_a_late_push_of_a_run_that_was_taken_over_is_named_and_costs_neither_side_anything(url, machine, tmp_path):
    """The laptop slept, the workstation finished the study and ended, the laptop woke up between check and write."""
    machine("laptop")
    results = tmp_path / "laptop"
    asleep = Mirror(open_store(url), "tiny", results)
    asleep.claim()
    asleep.fetch()
    write(results, "optuna__journal", "1\n")
    asleep.push()
    asleep.run = dataclasses.replace(asleep.run, owner=None)  # another machine cannot know whether it is gone
    asleep.renew()
    machine("workstation")
    with monkeypatched_stale():
        run(url, optuna__journal="1\nworkstation\n")
    write(results, "optuna__journal", "1\nlaptop\n")
    asleep.push()
    with pytest.raises(LostStudyError):
        asleep.renew()
    asleep.release()
    assert pushed(url, "optuna.journal") == b"1\nworkstation\n"
    said: list[str] = []
    with mirrored(url, ["tiny"], said.append) as there:
        assert (there / "tiny/optuna.journal").read_text() == "1\nworkstation\n"
    fork = asleep.run.id
    assert said[0] == (
        f"{shown(url)}/tiny: a run pushed after it had been taken over; its results are kept in "
        f"{shown(url)}/tiny/runs/{fork} and do not count"
    )
    assert open_store(url).read(f"tiny/runs/{fork}/tiny/optuna.journal") == b"1\nlaptop\n"


@pytest.mark.parametrize("whole", [True, False], ids=["all", "some"])
def test_a_cleared_cache_empties_nothing_in_the_store_and_ends_the_run(whole, machine, tmp_path):
    machine("a")
    url = f"file://{tmp_path}/store"
    run(url, study__toml="one", optuna__journal="1\n", trials_0_best__pt="best", replicates_trainings_k_w="weights")
    ended = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: ended.set())
    try:
        with pytest.raises(LostStudyError) as lost:
            with mirrored(url, ["tiny"], lambda text: None) as results:
                if whole:
                    shutil.rmtree(tmp_path / "a")
                else:
                    (results / "tiny/optuna.journal").unlink()
                write(results, "trials_1_result__json", "epoch 1")  # as a run that goes on would
                assert ended.wait(20)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert str(lost.value) == (
        f"{results}/tiny/optuna.journal: was removed or replaced while the study ran; {url}/tiny keeps what was pushed "
        "before; run the same command again"
    )
    machine("b")
    assert contents(run(url)) == {
        "study.toml": "one", "optuna.journal": "1\n", "trials/0/best.pt": "best", "replicates/trainings/k/w": "weights",
    }  # fmt: skip


@given(kept=sets(sampled_from(["study.toml", "optuna.journal", "trials/0/best.pt", "trials/0/result.json"])))
@settings(deadline=None, max_examples=16)
def test_a_working_copy_that_lacks_files_gets_them_from_the_store(kept):
    with tempfile.TemporaryDirectory() as place, pytest.MonkeyPatch.context() as patch:
        patch.setenv("HW2TUNE_CACHE", f"{place}/a")
        url = f"file://{place}/store"
        files = {"study__toml": "1", "optuna__journal": "1\n", "trials_0_best__pt": "b", "trials_0_result__json": "r"}
        here = run(url, **files)
        whole = contents(here)
        for name in whole.keys() - kept:
            (here / name).unlink()
        assert contents(run(url)) == whole
        patch.setenv("HW2TUNE_CACHE", f"{place}/b")
        assert contents(run(url)) == whole


def test_a_study_set_aside_with_fresh_keeps_its_files_in_the_store_and_the_new_one_begins_without_them(url, machine):
    machine("a")
    run(url, optuna__journal="old\n", trials_0_result__json="old", trials_0_best__pt="old")
    with mirrored(url, ["tiny"], lambda text: None) as results:
        write(results, "trials_1_result__json", "old")
        wait_for(lambda: pushed(url, "trials/1/result.json"))
        aside = results / "set-aside/tiny.2026-01-01-000000"
        aside.mkdir(parents=True)
        for name in ("trials", "optuna.journal"):
            (results / "tiny" / name).rename(aside / name)
        write(results, "optuna__journal", "new\n")
    machine("b")
    assert contents(run(url)) == {"optuna.journal": "new\n"}
    assert contents(results / "set-aside") == {
        f"tiny.2026-01-01-000000/{name}": "old\n" if name == "optuna.journal" else "old"
        for name in ("optuna.journal", "trials/0/result.json", "trials/0/best.pt", "trials/1/result.json")
    }


def test_a_study_set_aside_while_a_push_looks_at_it_is_not_pushed_as_the_new_one(machine, tmp_path, monkeypatch):
    machine("a")
    store, here = open_store(f"file://{tmp_path}/store"), tmp_path / "work"
    mirror = Mirror(store, "tiny", here)
    mirror.claim()
    mirror.fetch()
    write(here, "optuna__journal", "old\n")
    mirror.push()
    look, aside = mirror._versions, here / "set-aside/tiny.2026-01-01-000000"

    def set_aside_first():
        if not aside.exists():
            aside.mkdir(parents=True)
            mirror.folder.journal.rename(aside / "optuna.journal")
            write(here, "optuna__journal", "new\n")
        return look()

    monkeypatch.setattr(mirror, "_versions", set_aside_first)
    mirror.push()
    mirror.push()
    assert pushed(f"file://{tmp_path}/store", "optuna.journal") == b"new\n"


def test_a_sign_of_life_between_two_generations_of_a_fresh_study_is_no_takeover(machine, tmp_path, monkeypatch):
    machine("a")
    store, here, faults = open_store(f"file://{tmp_path}/store"), tmp_path / "work", list[Exception]()
    mirror = Mirror(store, "tiny", here)
    mirror.claim()
    mirror.fetch()
    write(here, "optuna__journal", "old\n")
    mirror.push()
    aside, claim = here / "set-aside/tiny.2026-01-01-000000", mirror.claim
    aside.mkdir(parents=True)
    mirror.folder.journal.rename(aside / "optuna.journal")

    def renew() -> None:
        try:
            mirror.renew()
        except LostStudyError as error:
            faults.append(error)

    def claim_slowly() -> None:
        beats.append(threading.Thread(target=renew))
        beats[0].start()
        beats[0].join(0.2)  # it waits for the new claim, or it has looked by then
        claim()

    beats: list[threading.Thread] = []
    monkeypatch.setattr(mirror, "claim", claim_slowly)
    mirror.push()
    beats[0].join()
    assert faults == []


def test_a_record_that_is_overwritten_while_it_is_read_is_read_again(machine, tmp_path, monkeypatch):
    machine("a")
    url = f"file://{tmp_path}/store"
    with mirrored(url, ["tiny"], lambda text: None) as results:
        write(results, "optuna__journal", "1\n")
        wait_for(lambda: pushed(url, "optuna.journal") == b"1\n")
        write(results, "optuna__journal", "1\n2\n")
    whole, cut = Store.read, set[str]()

    def read(store: Store, key: str) -> bytes | None:
        content = whole(store, key)
        if key.endswith(".json") and key not in cut and content:
            cut.add(key)
            return content[:-3]
        return content

    monkeypatch.setattr(Store, "read", read)
    machine("b")
    assert contents(reading(url)) == {"tiny/optuna.journal": "1\n2\n"} and cut


def test_results_that_were_copied_there_as_they_are_are_read_and_continued_and_stay_as_they_were(url, machine):
    machine("a")
    store = open_store(url)
    store.write("tiny/study.toml", b"one")
    store.write("tiny/optuna.journal", b"1\n")
    assert contents(reading(url)) == {"tiny/study.toml": "one", "tiny/optuna.journal": "1\n"}
    assert contents(run(url, optuna__journal="1\n2\n")) == {"study.toml": "one", "optuna.journal": "1\n2\n"}
    assert store.read("tiny/optuna.journal") == b"1\n" and pushed(url, "optuna.journal") == b"1\n2\n"


def test_two_readers_at_once_disturb_one_another_in_nothing(machine, tmp_path):
    machine("a")
    url = f"file://{tmp_path}/store"
    run(url, optuna__journal="1", **{f"trials_{n}_result__json": "r" * 5000 for n in range(40)})
    found, together = contents(reading(url)), threading.Barrier(4)

    def read() -> dict[str, str]:
        together.wait()
        place = reading(url)
        return {name: (place / name).read_text() for name in found}

    for _ in range(5):
        [copy] = tmp_path.glob("a/mirrors/*/reading")
        shutil.rmtree(copy)
        with ThreadPoolExecutor(4) as readers:
            assert [one.result() for one in [readers.submit(read) for _ in range(4)]] == [found] * 4


def test_one_study_of_many_is_fetched_alone(url, machine):
    machine("a")
    store = open_store(url)
    for name in ("tiny", "other"):
        store.write(f"{name}/study.toml", b"one")
    assert contents(reading(url, "tiny")) == {"tiny/study.toml": "one"}
    with pytest.raises(StudyFolderError, match="no study `none`; it holds other, tiny"):
        reading_study(url, "none")


def test_a_dashboard_of_named_studies_fetches_these_alone(machine, tmp_path):
    machine("a")
    url = f"file://{tmp_path}/store"
    for name in ("quickstart", "mnist"):
        write_fake_study(tmp_path / "store", name, trials=2, seeds=0)
    shown = ShownFolders(url, ["quickstart"])
    shown.refuse_none()
    assert [folder.name for folder in shown()] == ["quickstart"]
    assert [path.name for path in reading(url, "quickstart").iterdir()] == ["quickstart"]
    with pytest.raises(StudyFolderError, match="no study `none`; it holds mnist, quickstart"):
        ShownFolders(url, ["none"]).refuse_none()


@contextmanager
def monkeypatched_stale():
    """Within, a run that gave a sign of life just now counts as silent."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "STALE_SECONDS", -60.0)
        yield


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
    assert pushed(url, "optuna.journal") == b"1"


def test_readers_get_no_checkpoints_and_follow_what_changes(url, machine):
    machine("a")
    run(url, study__toml="one", trials_0_last__pt="state", optuna__journal="1")
    machine("b")
    assert contents(reading(url)) == {"tiny/study.toml": "one", "tiny/optuna.journal": "1"}
    machine("a")
    run(url, optuna__journal="1\n2")
    machine("b")
    assert contents(reading(url, "tiny")) == {"tiny/study.toml": "one", "tiny/optuna.journal": "1\n2"}


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("s3://key:secret@nowhere/x{}", "s3://nowhere/x: cannot be reached (no bucket `nowhere`); check"),
        pytest.param(  # asked again for six seconds
            "s3://key:secret@bucket/x?endpoint_override=127.0.0.1:9&scheme=http",
            "s3://bucket/x: cannot be reached (", marks=pytest.mark.matrix,
        ),
    ],
)  # fmt: skip
def test_a_missing_bucket_and_a_dead_server_are_one_line(s3, url, reason):
    with pytest.raises(StoreError) as refusal:
        reading(url.format(s3[1]))
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
