"""The comparison of an exported network with hw2tune's own evaluation, before it is written."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hw2tune.errors import ModelError
from hw2tune.export.trained import TrainedModel
from hw2tune.records.atomic import write_atomically
from hw2tune.records.replicates import ReplicatesFolder, read_arrays

if TYPE_CHECKING:
    from hw2tune.export.formats import Predict

TOLERANCE = 1e-4  # of a probability: rounding makes less than 1e-5
OF_DEVICES = 1e-2  # the same, where another kind of device may have computed one of them
RANDOM_IMAGES = 64

_BESIDE = Template("""\
import sys
sys.path.insert(0, "")
import numpy, torch
from $module import load
probabilities = load()(torch.from_numpy(numpy.load("pixels.npy"))).detach().numpy()
numpy.save("probabilities.npy", probabilities)
""")


@dataclass(frozen=True, kw_only=True)
class Check:
    """Comparison of the file with hw2tune's own evaluation: `same` of `images` of a kind have the same class.

    `difference` is the largest difference of a probability.
    """

    images: int
    kind: str
    same: int
    difference: float

    @property
    def sentence(self) -> str:
        """The comparison as a phrase."""
        which = f"all of {self.images:,}" if self.same == self.images else f"{self.same:,} of {self.images:,}"
        return f"the same class as hw2tune's own evaluation for {which} {self.kind}, and probabilities " + (
            f"within {self.difference:.1g}" if self.difference else "equal to the last digit"
        )


def checked(model: TrainedModel, predict: Predict, target: Path) -> Check:
    """Compare the file with hw2tune's own evaluation, and with the test of a replicate.

    Raises ModelError if they differ by more than rounding.
    """
    from hw2tune.export.formats import evaluated

    images, kind = _examples(model)
    ours = evaluated(model, images).numpy()
    theirs = predict(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
    difference = float(np.abs(ours - theirs).max())
    if not difference <= TOLERANCE:
        raise ModelError(
            f"{target}: not written, as its probabilities differ from hw2tune's own by up to {difference:.2g} on "
            f"{len(images)} {kind}; does {model.study.model} draw random numbers when it predicts?"
        )
    if (kept := _tested(model, images)) is not None:
        folder, predicted, confidence = kept
        difference_from_test = float(np.abs(theirs[np.arange(len(images)), predicted] - confidence).max())
        if not difference_from_test <= OF_DEVICES:
            raise ModelError(
                f"{target}: not written, as its probabilities differ by up to {difference_from_test:.2g} from those of "
                f"the test, which are kept in {folder}; an earlier version tested it with other random numbers, or its "
                f"code or a package is another now: remove that folder and run `hw2tune summarize {model.data.name}`, "
                "which tests the weights again"
            )
    return Check(
        images=len(images), kind=kind, difference=difference, same=int((ours.argmax(1) == theirs.argmax(1)).sum())
    )


def predict_beside(
    model: TrainedModel, target: Path, files: Mapping[str, bytes | str], module: str, pixels: NDArray[Any]
) -> NDArray[Any]:
    """Return probabilities (N, K) of bare weights by the module beside them, in a folder and a process of their own.

    Raises ModelError if the module fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        for name, content in files.items():
            write_atomically(place / name, content)
        np.save(place / "pixels.npy", pixels)
        ran = subprocess.run(
            [sys.executable, "-c", _BESIDE.substitute(module=module)], cwd=place, capture_output=True, text=True,
            errors="replace", check=False,
        )  # fmt: skip
        if ran.returncode == 0:
            found: NDArray[Any] = np.load(place / "probabilities.npy")
            return found
    error = (ran.stderr.strip().splitlines() or [f"exit code {ran.returncode}"])[-1]
    raise ModelError(
        f"{target}: not written, as the module beside it fails on {model.study.model} ({error}); --to "
        f"{target.stem}.pt2 exports the graph, which needs no code"
    )


def _examples(model: TrainedModel) -> tuple[NDArray[Any], str]:
    """Return images (N, H, W, C) to compare predictions on: test images if the replicates kept some, else noise."""
    gallery, shape = model.data.gallery, tuple(model.images.image_shape)
    if gallery is not None and gallery.images.shape[1:] == shape and len(gallery.images):
        levels, kind = gallery.images, "test images"
    else:
        levels = np.random.default_rng(0).integers(0, 256, (RANDOM_IMAGES, *shape), dtype=np.uint8)
        kind = "images of noise"
    return model.pixels_of(levels), kind


def _tested(model: TrainedModel, images: NDArray[Any]) -> tuple[Path, NDArray[Any], NDArray[Any]] | None:
    """Return the folder of a replicate, and the class (N,) and its probability (N,) that it predicted for `images`.

    None if these are no test images, or levels of float images, which are rounded.
    """
    gallery, one = model.data.gallery, model.replicate
    if gallery is None or one is None or images is not gallery.images:
        return None
    place = ReplicatesFolder.of(model.data.overview.folder)
    arrays = read_arrays(place, one.variant, one.seed) or {}
    if not {"predicted", "confidence"} <= arrays.keys() or len(arrays["predicted"]) <= gallery.indices.max():
        return None
    predicted, confidence = (arrays[name][gallery.indices] for name in ("predicted", "confidence"))
    return place.replicate(one.variant, one.seed), predicted, confidence
