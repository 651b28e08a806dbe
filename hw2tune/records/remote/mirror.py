"""Studies in a store that can neither append nor lock: a working copy here, whose changed files are pushed there.

    <cache>/mirrors/<digest of the URL>/work/     the working copies of this machine's runs
    <cache>/mirrors/<digest of the URL>/reading/  what `status` and the like fetched, without checkpoints

The order of a push makes each moment of the store one that a kill could have left on a disk: lines know more than
checkpoints, and these more than the journal. What knows least is read first and written last.

`mirror.json` says who pushed last, in the store, and here what the working copy and the store last synced on. A store
that nobody else has pushed to since is behind the working copy; one that moved on is fetched; if both moved on nobody
but the user can say which counts.

The store's `running.json` keeps other machines off: every push writes it anew, and an old one is of a dead run.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from hw2tune.data.roots import cache_dir
from hw2tune.errors import Hw2tuneError, StoreError
from hw2tune.printable import without_secrets
from hw2tune.records.atomic import write_atomically
from hw2tune.records.layout import StudyFolder
from hw2tune.records.lock import Owner, owner_of, parse_owner
from hw2tune.records.remote.store import is_url, open_store
from hw2tune.records.remote.working_copy import PUSH_SECONDS, Mirror, fetch, fresh_note, read_by_readers

Say = Callable[[str], None]


def reading(results: str | Path, name: str | None = None) -> Path:
    """A results folder to read: a path as it is; of a URL a copy of study `name`, or of all, without checkpoints."""
    if not is_url(results):
        return Path(results)
    store, here = open_store(str(results)), _copies(str(results)) / "reading"
    fetch(store, name or "", here, read_by_readers)
    for folder in [name] if name else [path.name for path in here.glob("*") if path.is_dir()]:
        note = here / folder / "running.json"
        note.unlink(missing_ok=True)
        if running := fresh_note(store, folder):
            write_atomically(note, running)
    return here


def reading_checkpoints(results: str | Path, name: str, trial: int) -> Path:
    """A results folder as `reading` gave it; of a URL with the checkpoints of one trial of study `name` besides."""
    if not is_url(results):
        return Path(results)
    store, here = open_store(str(results)), _copies(str(results)) / "reading"
    fetch(store, f"{name}/trials/{trial}", here, lambda key: key.endswith(".pt"))
    return here


def owner_at(results: str | Path, name: str) -> Owner | None:
    """Who runs study `name` now, in a results folder or behind a URL; None where nobody does."""
    if not is_url(results):
        return owner_of(StudyFolder(Path(results) / name))
    owner = parse_owner(fresh_note(open_store(str(results)), name) or "")
    return None if owner is None or owner.is_gone else owner


@contextlib.contextmanager
def mirrored(results: str | Path, names: Sequence[str], say: Say) -> Iterator[Path]:
    """A results folder in which studies `names` can be run: a path as it is, of a URL the working copies.

    These are pushed while the `with` lasts and once more at its end. Raises StoreError where the store cannot be
    reached at either, and StudyFolderError where another process runs a study or both sides have moved on.
    """
    if not is_url(results):
        yield Path(results)
        return
    store, here = open_store(str(results)), _copies(str(results)) / "work"
    with contextlib.ExitStack() as stack:
        for name in names:
            stack.enter_context(_pushed(Mirror(store, name, here, say), say))
        say(f"{store.url}: pushed there every {PUSH_SECONDS:g} s; the working copy is {here}")
        yield here


@contextlib.contextmanager
def _pushed(mirror: Mirror, say: Say) -> Iterator[None]:
    mirror.claim()
    try:
        mirror.fetch()
        ended, whole = threading.Event(), False
        pusher = threading.Thread(target=_keep_pushing, args=(mirror, ended, say), daemon=True)
        pusher.start()
        try:
            yield
            whole = True
        finally:
            ended.set()
            pusher.join()
            try:
                mirror.push()
            except (Hw2tuneError, OSError) as error:
                kept = f"{error}; everything is kept in {mirror.folder.root}, and the same command continues"
                if whole:
                    raise StoreError(kept) from None
                say(kept)  # beside what ended the run
    finally:
        with contextlib.suppress(StoreError):
            mirror.release()


def _keep_pushing(mirror: Mirror, ended: threading.Event, say: Say) -> None:
    said = False
    while not ended.wait(PUSH_SECONDS):
        try:
            mirror.push()
        except (Hw2tuneError, OSError) as error:  # a folder may vanish while it is listed; the next push sees
            if not said:
                say(f"{error}; results are kept in {mirror.folder.root}, pushing is tried again")
            said = True


def _copies(url: str) -> Path:
    """One folder a URL: keys that change leave it the same."""
    return cache_dir() / "mirrors" / hashlib.sha256(without_secrets(url).encode()).hexdigest()[:16]
