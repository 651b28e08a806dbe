"""The temporary folder of one command: short enough for sockets, gone at the end, and after a kill by the next."""

import subprocess
import sys
from pathlib import Path

import pytest

from hw2tune.errors import ResourceError
from hw2tune.execution import scratch as module
from hw2tune.execution.scratch import remove_if_abandoned, scratch


@pytest.fixture
def short(monkeypatch):
    """A temporary folder as short as people's are."""
    import shutil
    import tempfile

    place = Path(tempfile.mkdtemp(prefix="s", dir="/tmp"))
    for name in ("RAY_TMPDIR", "TEMP", "TMP"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TMPDIR", str(place))
    yield place
    shutil.rmtree(place)


def test_it_lies_where_tmpdir_says_and_leaves_nothing(short):
    with scratch() as folder:
        assert folder.parent == short and folder.stat().st_mode & 0o777 == 0o700
        (folder / "session" / "logs").mkdir(parents=True)
    assert list(short.iterdir()) == []


def test_what_ray_opens_to_every_user_lies_below_a_folder_that_is_the_users_alone(short, monkeypatch):
    from ray._common.utils import try_to_create_directory

    from hw2tune.execution import starting

    monkeypatch.setattr(starting.ray, "init", lambda *_, _temp_dir, **__: try_to_create_directory(_temp_dir))
    with scratch() as folder:
        starting.start(folder, print)
        open_to_all = [path for path in short.rglob("*") if path.stat().st_mode & 0o022]
        assert open_to_all == [folder / "r"]
        assert folder.stat().st_mode & 0o777 == 0o700 and (folder / "lock").exists()


def test_a_path_that_is_too_long_for_sockets_gives_way_to_a_short_place(short, monkeypatch):
    deep = short / "scratch.0123456789" / "job.4711" / "tmp"
    deep.mkdir(parents=True)
    monkeypatch.setenv("TMPDIR", str(deep))
    with scratch() as folder:
        assert folder.parent == Path("/tmp")
        longest = folder / "r" / "session_2026-11-25_14-26-49_123456_4194304" / "sockets" / "plasma_store"
        assert len(str(longest)) <= 107


def test_a_place_that_is_not_there_gives_way_too(short, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(short / "gone"))
    with scratch() as folder:
        assert folder.parent == Path("/tmp")


def test_where_no_place_does_each_is_named_with_its_reason(short, monkeypatch):
    deep = short / ("d" * 40)
    deep.mkdir()
    monkeypatch.setenv("TMPDIR", str(deep))
    monkeypatch.setattr(module, "ELSEWHERE", (str(short / "gone"),))
    with pytest.raises(ResourceError) as refused, scratch():
        pass
    assert str(refused.value) == (
        f"no temporary folder can take Ray's sockets: {deep} (TMPDIR: {len(str(deep))} bytes, and 24 are the most that "
        f"leaves room for a socket's name); {short}/gone (No such file or directory); name a short folder with room in "
        "TMPDIR"
    )


def test_a_full_place_is_named_with_its_room(short, monkeypatch):
    monkeypatch.setattr(module, "FREE_BYTES", 10**18)
    monkeypatch.setattr(module, "ELSEWHERE", ())
    with pytest.raises(
        ResourceError, match=r"MB free, 1000000000000 MB wanted\); name a short folder with room in TMP"
    ):
        with scratch():
            pass


def test_what_a_killed_command_left_is_removed_and_what_a_living_one_has_is_not(short):
    code = (
        "import sys; from hw2tune.execution.scratch import scratch\n"
        "with scratch() as folder: print(folder, flush=True); sys.stdin.read()"
    )
    others = [
        subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    killed, living = (Path(other.stdout.readline().strip()) for other in others)
    others[0].kill()
    others[0].wait()
    (short / "hw2tune-foreign").mkdir()  # without a lock: not ours to judge
    study = short / "hw2tune-study"  # a study of such a name: it has a lock as well
    for file in (study / "lock", study / "study.toml"):
        study.mkdir(exist_ok=True)
        file.touch()
    assert [folder for folder in short.iterdir() if remove_if_abandoned(folder)] == [killed]
    assert sorted(path.name for path in short.iterdir()) == sorted([living.name, "hw2tune-foreign", "hw2tune-study"])
    others[1].communicate("")
    assert sorted(path.name for path in short.iterdir()) == ["hw2tune-foreign", "hw2tune-study"]
    others[0].stdin.close()
    others[0].stdout.close()
