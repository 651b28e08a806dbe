"""Workarounds for matplotlib 3.11: it is imported and draws the same, whatever variables and files are around.

On import matplotlib reads MPLBACKEND (a notebook's names a backend that is not installed here: colabtools#5148) and the
first `matplotlibrc` of the current folder, MATPLOTLIBRC and the user's settings; what it cannot use there ends the
import. Where its cache cannot be written it makes a temporary folder, names it in MPLCONFIGDIR and warns on stderr.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

FONT = "DejaVu Sans"  # comes with matplotlib: the same picture on every machine


def import_matplotlib() -> None:
    """Imports matplotlib, and leaves it with the settings and the backend that the user asked for.

    Where the caller has imported it, its settings, backend and figures stay as they are.
    """
    if "matplotlib" not in sys.modules:
        with _plain_import():
            import matplotlib as mpl
        with undisturbed():
            _take_the_users_settings()
            mpl.rcParamsOrig = mpl.rcParams.copy()
    with undisturbed():  # the fonts are listed on import, and the list is kept in the cache
        importlib.import_module("matplotlib.backends.backend_agg")
        _find_own_font()


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """While it lasts matplotlib says nothing, and makes no temporary folder where its cache cannot be written."""
    import matplotlib as mpl

    log = logging.getLogger("matplotlib")
    level, folders = log.level, (mpl.get_cachedir, mpl.get_configdir)
    log.setLevel(logging.CRITICAL + 1)
    mpl.get_cachedir, mpl.get_configdir = (lambda: _folder("CACHE")), (lambda: _folder("CONFIG"))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", mpl.MatplotlibDeprecationWarning)
            yield
    finally:
        mpl.get_cachedir, mpl.get_configdir = folders
        log.setLevel(level)


@contextlib.contextmanager
def fonts_of_glyphs_alone() -> Iterator[None]:
    """Embed fonts in PDF files without the tables by which a text's glyphs are chosen and placed.

    A PDF has its glyphs chosen and placed, but fontTools would parse these tables anew for every font of every figure:
    a fifth of a report's time.
    """
    from fontTools import subset

    original = subset.load_font
    subset.load_font = lambda file, options: original(io.BytesIO(_outlines(file, options.font_number)), options)
    try:
        yield
    finally:
        subset.load_font = original


@cache
def _outlines(file: str, number: int) -> bytes:
    """Return font `number` of a file without the characters, names and places of its glyphs."""
    from fontTools.ttLib import TTFont

    buffer = io.BytesIO()
    with TTFont(file, fontNumber=number, recalcTimestamp=False, lazy=True) as font:
        for table in {"GSUB", "GPOS", "GDEF", "MATH", "kern"} & set(font.keys()):
            del font[table]
        for characters in font["cmap"].tables:
            characters.cmap = {}
        font["post"].formatType = 3.0
        font.save(buffer, reorderTables=False)
    return buffer.getvalue()


@contextlib.contextmanager
def _plain_import() -> Iterator[None]:
    """While it lasts an import of matplotlib finds its own settings and none else."""
    spec = find_spec("matplotlib")
    assert spec is not None and spec.origin is not None  # a dependency
    own = Path(spec.origin).with_name("mpl-data")
    before = {name: os.environ.pop(name, None) for name in ("MPLBACKEND", "MATPLOTLIBRC")}
    os.environ["MATPLOTLIBRC"] = str(own / "matplotlibrc")
    try:
        # A file in the current folder comes before every variable.
        with contextlib.chdir(own) if Path("matplotlibrc").is_file() else contextlib.nullcontext():
            yield
    finally:
        os.environ.pop("MATPLOTLIBRC")
        os.environ.update({name: value for name, value in before.items() if value is not None})


def _take_the_users_settings() -> None:
    """What the import would have set by itself, as far as it can be used: a notebook goes on with its own backend."""
    import matplotlib as mpl

    backend: object = None
    with contextlib.suppress(Exception):  # the kinds of errors of a broken file are many
        settings = dict(mpl.rc_params())
        backend = settings.pop("backend")  # apart: to assign "as it fits" imports pyplot
        mpl.rcParams.update(settings)
    with contextlib.suppress(ValueError):
        if isinstance(backend := os.environ.get("MPLBACKEND") or backend, str):
            mpl.rcParams["backend"] = backend


def _find_own_font() -> None:
    """The font's files as they come with matplotlib, where a damaged list of fonts in the cache has others or none."""
    from matplotlib import font_manager

    fonts, manager = Path(font_manager.__file__).with_name("mpl-data") / "fonts" / "ttf", font_manager.fontManager
    wanted = [fonts / f"{FONT.replace(' ', '')}{weight}.ttf" for weight in ("", "-Bold")]
    if [_found(weight) for weight in ("normal", "bold")] != [os.fspath(path) for path in wanted]:
        manager.ttflist = [entry for entry in manager.ttflist if entry.name != FONT]
        for path in wanted:
            manager.addfont(path)


def _found(weight: str) -> str | None:
    from matplotlib.font_manager import FontProperties, findfont

    try:
        font = findfont(FontProperties(FONT, weight=weight), fallback_to_default=False, rebuild_if_missing=False)
    except Exception:  # whatever stands in the damaged list
        return None
    return os.fspath(font)


def _folder(kind: str) -> str:
    """Where matplotlib keeps its CACHE or CONFIG, made where it can be; the path of a file in vain is no fault."""
    before = os.environ.get("MPLCONFIGDIR")
    try:
        base = os.environ.get(f"XDG_{kind}_HOME") or Path.home() / {"CACHE": ".cache", "CONFIG": ".config"}[kind]
        default = Path.home() / ".matplotlib" if sys.platform == "darwin" else Path(base, "matplotlib")
        folder = Path(before) if before else default
        if kind == "CACHE":
            folder.mkdir(parents=True, exist_ok=True)
    except RuntimeError:  # nobody knows a home
        return os.devnull
    except OSError:
        pass
    return str(folder)
