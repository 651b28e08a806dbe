"""Reading and writing what `records.replicates.records` describes."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hw2tune.records.atomic import write_atomically
from hw2tune.records.damaged import read_record
from hw2tune.records.replicates.records import Array, Current, Gallery, Race, Replicate, ReplicatesFolder
from hw2tune.text.plain import strict_json


def write_replicate(folder: ReplicatesFolder, replicate: Replicate, arrays: bytes) -> None:
    """Writes one replicate, its record last: a record without arrays is then no kill's doing.

    `arrays` is an .npz file with

        labels, predicted            (N,) uint8     the test split at the chosen epoch (uint16 above 256 classes)
        confidence                   (N,) float32   probability of the predicted class
        last_predicted               (N,)           the same at the last epoch
        weights/<parameter>          float32        at the last epoch, e.g. weights/conv1.weight
        initial_norms/<parameter>    ()  float32    L2 norm before training
        features/<layer>             (F, C, H, W) float32   first and last convolution, last epoch, first F images
    """
    place = folder.replicate(replicate.variant, replicate.seed)
    write_atomically(place / "arrays.npz", arrays)
    write_json(place / "replicate.json", asdict(replicate))


def write_current(folder: ReplicatesFolder, keys: Iterable[str], race: Race | None = None) -> None:
    """Says which replicates count, by their keys, and after which race, before the first of them is written."""
    write_json(folder.current, asdict(Current(keys=sorted(keys), race=race)))
    if race is not None:
        folder.race.unlink(missing_ok=True)  # of an earlier race, where it had a file of its own


def read_replicates(folder: ReplicatesFolder) -> list[Replicate]:
    """The replicates that count, by variant and by seed."""
    current = read_record(folder.current, Current)
    return [one for one in every_replicate(folder) if current is None or one.key in current.keys]


def every_replicate(folder: ReplicatesFolder) -> list[Replicate]:
    """Also those of an earlier winner or a larger number of seeds."""
    read = [(path.parent, read_record(path, Replicate)) for path in folder.records()]
    return [one for place, one in read if one and folder.replicate(one.variant, one.seed) == place]


def read_arrays(folder: ReplicatesFolder, variant: str, seed: int) -> dict[str, Array] | None:
    """The arrays of one replicate; None where the file is missing or damaged."""
    return read_npz(folder.replicate(variant, seed) / "arrays.npz")


def write_shared(folder: ReplicatesFolder, gallery: Gallery, pixel_counts: NDArray[np.int64]) -> None:
    """Writes what all replicates share."""
    write_atomically(folder.gallery, npz(asdict(gallery)))
    write_atomically(folder.pixels, npz({"counts": pixel_counts}))


def read_gallery(folder: ReplicatesFolder) -> Gallery | None:
    """The test images for figures; None where the file is missing or damaged."""
    arrays = read_npz(folder.gallery) or {}
    known = {name: arrays[name] for name in Gallery.__dataclass_fields__ if name in arrays}
    return Gallery(**known) if len(known) == len(Gallery.__dataclass_fields__) else None


def read_pixel_counts(folder: ReplicatesFolder) -> NDArray[np.int64] | None:
    """(C, 256) counts of raw values in the training images; None where the file is missing or damaged."""
    arrays = read_npz(folder.pixels)
    return arrays.get("counts") if arrays else None


def read_race(folder: ReplicatesFolder) -> Race | None:
    """How the tuned configuration was chosen; None before that."""
    current = read_record(folder.current, Current)
    return current.race if current and current.race else read_record(folder.race, Race)


def npz(arrays: Mapping[str, Array]) -> bytes:
    """Arrays as a compressed .npz file."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Writes a JSON file whole or not at all."""
    write_atomically(path, strict_json(content, indent=1) + "\n", durable=True)


def read_npz(path: Path) -> dict[str, Array] | None:
    """The arrays of an .npz file; None where it is missing or damaged."""
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, KeyError):
        return None
    except Exception as error:  # zipfile and zlib raise their own on a damaged file
        if type(error).__module__ in ("zipfile", "zlib"):
            return None
        raise
