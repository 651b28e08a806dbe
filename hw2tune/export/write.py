"""`hw2tune export`: a file that others load, with its card, a script and, for bare weights, the code."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hw2tune.errors import ModelError, PathError
from hw2tune.export.card import Check, accuracy_words, card
from hw2tune.export.scripts import module_name, needs, network_module, script, uses_hw2tune
from hw2tune.export.trained import TrainedModel, find_model
from hw2tune.paths import expand, refuse_unwritable
from hw2tune.records.atomic import write_atomically
from hw2tune.user_code.importer import callers_modules_kept

if TYPE_CHECKING:
    from hw2tune.export.formats import Predict

FORMATS = {".pt2": "torch.export", ".safetensors": "safetensors", ".onnx": "ONNX"}
TOLERANCE = 1e-4  # of a probability: rounding makes less than 1e-5
RANDOM_IMAGES = 64


@dataclass(frozen=True, kw_only=True)
class ExportedModel:
    """The written files: the network, its card, a script, and for bare weights the network's code."""

    model: TrainedModel
    file: Path
    card: Path
    script: Path
    code: tuple[Path, ...]
    check: Check | None
    notes: tuple[str, ...]

    @property
    def accuracy(self) -> str:
        """The accuracy on one line."""
        return accuracy_words(self.model)


@callers_modules_kept()
def export_model(
    name: str,
    to: str | Path,
    *,
    variant: str | None = None,
    seed: int | None = None,
    trial: int | None = None,
    results_dir: str | Path = "ray_results",
    data_dir: Path | None = None,
    force: bool = False,
) -> ExportedModel:
    """Write a network of study `name` to a .pt2, .safetensors or .onnx file.

    Without `variant` and `trial` it is the race's winner on its first seed, without replicates the best trial. The
    graph of .pt2 and .onnx takes pixels (N, C, H, W), uint8, or float32 if the study's images are, and
    returns probabilities (N, K); a .safetensors file has weights, and the module next to it does the same. The file
    is loaded again and compared with hw2tune's own evaluation before anything is written. Raises Hw2tuneError.
    """
    target = _target(to)
    model = find_model(results_dir, name, variant=variant, seed=seed, trial=trial, data_dir=data_dir)
    # Every name is of the file and its format: several formats may be in one folder.
    stem, suffix = module_name(target.stem), target.suffix
    program, card_file = target.with_name(f"{stem}_{suffix[1:]}.py"), target.with_name(f"{target.name}.md")
    module, folder = target.with_name(f"{stem}_network.py"), target.with_name(f"{stem}_code")
    code: dict[Path, str] = {}
    if suffix == ".safetensors":
        code = {module: network_module(model, target, code=folder.name)}
        code |= {folder / name: source for name, source in model.study.code.items()}
    _refuse_existing([target, card_file, program, *code], force=force)
    from hw2tune.export import formats

    content, predict = formats.FORMATS[suffix](model)
    check = None if predict is None else _checked(model, predict, target)
    text = script(model, target, name=program.name, module=module.stem)
    files: dict[Path, bytes | str] = {target: content, program: text, **code}
    checksums = {path.relative_to(target.parent).as_posix(): _digest(text) for path, text in files.items()}
    files[card_file] = card(
        model, file=target.name, script=program.name, needs=needs(model, suffix), check=check, checksums=checksums
    )
    for path, written in files.items():
        write_atomically(path, written)
    notes = [f"{model.study.model}: its code imports hw2tune, and so does what lies beside the weights"]
    return ExportedModel(
        model=model, file=target, card=card_file, script=program, code=tuple(code), check=check,
        notes=tuple(notes) if code and uses_hw2tune(model) else (),
    )  # fmt: skip


def _target(to: str | Path) -> Path:
    target = expand(to, "--to")
    if target.suffix not in FORMATS or not target.stem:
        known = ", ".join(f"model{suffix} ({name})" for suffix, name in FORMATS.items())
        raise PathError(f"--to {target}: the suffix says the format, and `{target.suffix}` is none; write {known}")
    refuse_unwritable(target.parent, "--to")
    return target


def _refuse_existing(paths: list[Path], *, force: bool) -> None:
    for path in paths:
        if os.path.lexists(path) and (not force or path.is_dir()):
            way = "it is a folder; move it away" if path.is_dir() else "--force replaces it"
            raise PathError(f"{path}: is there already; {way}, or take another name for --to")


def _checked(model: TrainedModel, predict: Predict, target: Path) -> Check:
    """Compare the file with hw2tune's own evaluation. Raises ModelError if they differ by more than rounding."""
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
    return Check(
        images=len(images), kind=kind, difference=difference, same=int((ours.argmax(1) == theirs.argmax(1)).sum())
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


def _digest(content: bytes | str) -> str:
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()
