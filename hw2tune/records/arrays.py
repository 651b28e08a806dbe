"""Files of named arrays: .npz, read without trust."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hw2tune.records.atomic import replacing

Array = NDArray[Any]


def npz(arrays: Mapping[str, Array]) -> bytes:
    """Return arrays as an .npz file."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def write_npz(path: Path, arrays: Mapping[str, Array], *, compressed: bool = True, durable: bool = False) -> None:
    """Write arrays, or numbers, as an .npz file, of which 16 MB are in memory at a time. Raises NotWritableError.

    Weights hardly become smaller by compression, which takes seconds for 100 MB.
    """
    with replacing(path, sum(np.asarray(array).nbytes for array in arrays.values()), durable=durable) as file:
        save = np.savez_compressed if compressed else np.savez
        save(file, allow_pickle=False, **arrays)


def read_npz(path: Path) -> dict[str, Array] | None:
    """The arrays of an .npz file; None if it is missing or damaged."""
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, KeyError):
        return None
    except Exception as error:  # zipfile and zlib raise their own on a damaged file
        if type(error).__module__ in ("zipfile", "zlib"):
            return None
        raise
