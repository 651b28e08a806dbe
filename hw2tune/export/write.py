"""`hw2tune export`: a file that others load, with its card, a script and, for bare weights, the code."""

from __future__ import annotations

import hashlib
import inspect
import os
import re
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from string import Template

from hw2tune.data.image_file import FORMATS as IMAGES
from hw2tune.errors import PathError
from hw2tune.export.card import accuracy_words, card
from hw2tune.export.check import Check, checked, predict_beside
from hw2tune.export.trained import TrainedModel, find_model
from hw2tune.paths import expand, refuse_unwritable
from hw2tune.records.atomic import write_atomically
from hw2tune.study.names import MODELS
from hw2tune.user_code.files import CodeReference, code_reference
from hw2tune.user_code.importer import callers_modules_kept

# By format: name, packages, and lines: imports, then from `pixels` (1, C, H, W) to `probabilities` (K,) and `classes`.
_FORMATS = {
    ".pt2": ("torch.export", "torch, numpy and Pillow", "import numpy as np, torch", """\
extra = {"classes": ""}
model = torch.export.load(Path(__file__).with_name("$file"), extra_files=extra).module()
probabilities, classes = model(torch.from_numpy(pixels))[0].numpy(), json.loads(extra["classes"])"""),
    ".safetensors": ("safetensors", "torch, safetensors, numpy and Pillow", """\
import numpy as np, torch
from safetensors import safe_open
from $module import load""", """\
classes = json.loads(safe_open(Path(__file__).with_name("$file"), "np").metadata()["classes"])
probabilities = load()(torch.from_numpy(pixels))[0].detach().numpy()"""),
    ".onnx": ("ONNX", "onnxruntime, numpy and Pillow", "import numpy as np, onnxruntime", """\
model = onnxruntime.InferenceSession(Path(__file__).with_name("$file"))
probabilities = model.run(None, {"pixels": pixels})[0][0]
classes = json.loads(model.get_modelmeta().custom_metadata_map["classes"])"""),
}  # fmt: skip
_SCRIPT = '''"""Predicts with $file, without hw2tune: python $script $argument  (needs $needs)."""
import json, sys
from pathlib import Path
{imports}
{pixels}
{predict}
for k in probabilities.argsort()[::-1][:3]:
    print(f"{{classes[k]}}  {{100 * probabilities[k]:.2f}} %")
'''
_FROM_IMAGE = """\
from PIL import Image, ImageOps
image = ImageOps.exif_transpose(Image.open(sys.argv[1], formats=$formats))
image = image.convert("RGBA") if image.mode[0] not in "IF" else sys.exit("convert it to 8 bits a channel first")
image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("$mode").resize(($width, $height), 2)
pixels = np.array(image, "$dtype").reshape(1, $height, $width, $channels).transpose(0, 3, 1, 2)$scaled"""  # noqa: E501
_FROM_ARRAY = """\
pixels = np.load(sys.argv[1]).reshape(1, $channels, $height, $width).astype("$dtype")"""

_NETWORK = Template('''"""The network of $file, without hw2tune: `load()` takes pixels and gives probabilities."""


from __future__ import annotations

import contextlib
import random
${imports}from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional


$seeded

$network

$classifier

def load() -> Classifier:
    """Takes pixels (N, C, H, W) from $black to $white, returns probabilities (N, K)."""
    with seeded($seed):  # of the training: what the network draws and its weights do not hold is the same again
        network = $call
    network = getattr(network, "_orig_mod", network)  # without torch.compile
    network.load_state_dict(load_file(Path(__file__).with_name("$file")))
    return Classifier(network, $mean, $std, $unit).eval()
''')


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
    arm: str | None = None,
    results_dir: str | Path = "ray_results",
    data_dir: Path | None = None,
    force: bool = False,
) -> ExportedModel:
    """Write a network of study `name` to a .pt2, .safetensors or .onnx file.

    Without `variant` and `trial` it is the race's winner on its first seed, without replicates the best trial; of a
    study with arms that of `arm`. The
    graph of .pt2 and .onnx takes pixels (N, C, H, W), uint8, or float32 if the study's images are, and
    returns probabilities (N, K); a .safetensors file has weights, and the module next to it does the same. The file
    is loaded again and compared with hw2tune's own evaluation before anything is written. Raises Hw2tuneError.
    """
    target = _target(to)
    model = find_model(results_dir, name, variant=variant, seed=seed, trial=trial, arm=arm, data_dir=data_dir)
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
    text = script(model, target, name=program.name, module=module.stem)
    files: dict[Path, bytes | str] = {target: content, program: text, **code}
    by_name = {path.relative_to(target.parent).as_posix(): content for path, content in files.items()}
    if code:
        predict = partial(predict_beside, model, target, by_name, module.stem)
    check = None if predict is None else checked(model, predict, target)
    checksums = {name: _digest(content) for name, content in by_name.items()}
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
    if target.suffix not in _FORMATS or not target.stem:
        known = ", ".join(f"model{suffix} ({name})" for suffix, (name, *_) in _FORMATS.items())
        raise PathError(f"--to {target}: the suffix says the format, and `{target.suffix}` is none; write {known}")
    refuse_unwritable(target.parent, "--to")
    return target


def _refuse_existing(paths: list[Path], *, force: bool) -> None:
    for path in paths:
        if os.path.lexists(path) and (not force or path.is_dir()):
            way = "it is a folder; move it away" if path.is_dir() else "--force replaces it"
            raise PathError(f"{path}: is there already; {way}, or take another name for --to")


def _digest(content: bytes | str) -> str:
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()


def script(model: TrainedModel, file: Path, *, name: str, module: str) -> str:
    """Return a program of at most 15 lines that loads `file`, in its folder, and predicts an image.

    `name` is the program's, `module` that of `network_module`. Images of two channels, of more than three, or with
    values below 0 are not in image files: the program reads them from an .npy file.
    """
    height, width, channels = model.images.image_shape
    white = f"{model.images.black_and_white[1]:g}"
    _, _, imports, predict = _FORMATS[file.suffix]
    pixels = _FROM_IMAGE if model.takes_files else _FROM_ARRAY
    return Template(_SCRIPT.format(imports=imports, pixels=pixels, predict=predict)).substitute(
        file=file.name, script=name, module=module, needs=needs(model, file.suffix), formats=IMAGES,
        argument=model.argument, height=height, width=width, channels=channels,
        mode="L" if channels == 1 else "RGB", dtype="uint8" if model.unit == 255 else "float32",
        scaled="" if model.unit == 255 else " / 255" if white == "1" else f" / 255 * {white}",
    )  # fmt: skip


def needs(model: TrainedModel, suffix: str) -> str:
    """Return the packages that a file of this format needs, in words."""
    reference = _reference(model)
    package = reference.module.partition(".")[0]  # that an own network is imported from
    imported = suffix == ".safetensors" and model.study.model not in MODELS and reference.file is None
    return _FORMATS[suffix][1] + (f", and {package}" if imported and package != "torch" else "")


def module_name(stem: str) -> str:
    """Return a file's stem as the name of a module."""
    word = re.sub(r"\W", "_", stem, flags=re.ASCII)
    return word if word[:1].isalpha() or word[:1] == "_" else f"_{word}"


def network_module(model: TrainedModel, file: Path, *, code: str) -> str:
    """Return a module whose `load` gives the network of `file` between preprocessing and softmax.

    The module has the source of a shipped network; the user's own is in the folder `code` next to it, and an installed
    network is imported.
    """
    from hw2tune.export.formats import Classifier
    from hw2tune.train.draws import loaded, seeded
    from hw2tune.train.models import Dropout, arguments

    reference = _reference(model)
    factory = loaded(f"{reference.place}:{reference.name}", model.study.code)
    given = ", ".join(f"{name}={value!r}" for name, value in arguments(factory, model.blueprint).items())
    black, white = model.images.black_and_white
    beside = f'sys.path.insert(0, str(Path(__file__).with_name("{code}")))\n' if reference.file else ""
    if model.study.model in MODELS:
        shipped = getattr(import_module(reference.module), reference.name)
        network = f"{inspect.getsource(Dropout)}\n\n{inspect.getsource(shipped)}"
    else:
        network = f"{beside}with seeded(0):\n    from {reference.module} import {reference.name}\n"
    return _NETWORK.substitute(
        file=file.name, imports="import sys\n" if beside else "", network=network, black=f"{black:g}",
        seeded=inspect.getsource(seeded), seed=model.seed,
        classifier=inspect.getsource(Classifier), call=f"{reference.name}({given})", white=f"{white:g}",
        mean=list(model.images.mean), std=list(model.images.std), unit=model.unit,
    )  # fmt: skip


def _reference(model: TrainedModel) -> CodeReference:
    shipped = MODELS.get(model.study.model)
    return code_reference(shipped.factory if shipped else model.study.model)


def uses_hw2tune(model: TrainedModel) -> bool:
    """Return whether the user's own code imports hw2tune, which its safetensors file then needs."""
    return any(re.search(r"^\s*(from|import)\s+hw2tune\b", text, re.MULTILINE) for text in model.study.code.values())
