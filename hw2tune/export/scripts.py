"""Files next to an exported network, for its use without hw2tune: a script, and the network's code."""

from __future__ import annotations

import inspect
import re
from importlib import import_module
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from hw2tune.data.image_file import FORMATS
from hw2tune.study.names import MODELS
from hw2tune.user_code.files import CodeReference, code_reference

if TYPE_CHECKING:
    from hw2tune.export.trained import TrainedModel

# By format: its packages, and lines: imports, then from `pixels` (1, C, H, W) to `probabilities` (K,) and `classes`.
_FORMATS = {
    ".pt2": ("torch, numpy and Pillow", "import numpy as np, torch", """\
extra = {"classes": ""}
model = torch.export.load(Path(__file__).with_name("$file"), extra_files=extra).module()
probabilities, classes = model(torch.from_numpy(pixels))[0].numpy(), json.loads(extra["classes"])"""),
    ".safetensors": ("torch, safetensors, numpy and Pillow", """\
import numpy as np, torch
from safetensors import safe_open
from $module import load""", """\
classes = json.loads(safe_open(Path(__file__).with_name("$file"), "np").metadata()["classes"])
probabilities = load()(torch.from_numpy(pixels))[0].detach().numpy()"""),
    ".onnx": ("onnxruntime, numpy and Pillow", "import numpy as np, onnxruntime", """\
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

${imports}from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional


$network

$classifier

def load() -> Classifier:
    """Takes pixels (N, C, H, W) from $black to $white, returns probabilities (N, K)."""
    network = $call
    network.load_state_dict(load_file(Path(__file__).with_name("$file")))
    return Classifier(network, $mean, $std, $unit).eval()
''')


def script(model: TrainedModel, file: Path, *, name: str, module: str) -> str:
    """Return a program of at most 15 lines that loads `file`, in its folder, and predicts an image.

    `name` is the program's, `module` that of `network_module`. Images of two channels, of more than three, or with
    values below 0 are not in image files: the program reads them from an .npy file.
    """
    height, width, channels = model.images.image_shape
    white = f"{model.images.black_and_white[1]:g}"
    _, imports, predict = _FORMATS[file.suffix]
    pixels = _FROM_IMAGE if model.takes_files else _FROM_ARRAY
    return Template(_SCRIPT.format(imports=imports, pixels=pixels, predict=predict)).substitute(
        file=file.name, script=name, module=module, needs=needs(model, file.suffix), formats=FORMATS,
        argument="IMAGE" if model.takes_files else "PIXELS.npy", height=height, width=width, channels=channels,
        mode="L" if channels == 1 else "RGB", dtype="uint8" if model.unit == 255 else "float32",
        scaled="" if model.unit == 255 else " / 255" if white == "1" else f" / 255 * {white}",
    )  # fmt: skip


def needs(model: TrainedModel, suffix: str) -> str:
    """Return the packages that a file of this format needs, in words."""
    reference = _reference(model)
    package = reference.module.partition(".")[0]  # that an own network is imported from
    imported = suffix == ".safetensors" and model.study.model not in MODELS and reference.file is None
    return _FORMATS[suffix][0] + (f", and {package}" if imported and package != "torch" else "")


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
    from hw2tune.train.models import Dropout, arguments
    from hw2tune.user_code.importer import load

    reference = _reference(model)
    factory = load(f"{reference.place}:{reference.name}", model.study.code)
    given = ", ".join(f"{name}={value!r}" for name, value in arguments(factory, model.blueprint).items())
    black, white = model.images.black_and_white
    beside = f'sys.path.insert(0, str(Path(__file__).with_name("{code}")))\n' if reference.file else ""
    if model.study.model in MODELS:
        shipped = getattr(import_module(reference.module), reference.name)
        network = f"{inspect.getsource(Dropout)}\n\n{inspect.getsource(shipped)}"
    else:
        network = f"{beside}from {reference.module} import {reference.name}  # noqa: E402\n"
    return _NETWORK.substitute(
        file=file.name, imports="import sys\n" if beside else "", network=network, black=f"{black:g}",
        classifier=inspect.getsource(Classifier), call=f"{reference.name}({given})", white=f"{white:g}",
        mean=list(model.images.mean), std=list(model.images.std), unit=model.unit,
    )  # fmt: skip


def _reference(model: TrainedModel) -> CodeReference:
    shipped = MODELS.get(model.study.model)
    return code_reference(shipped.factory if shipped else model.study.model)


def uses_hw2tune(model: TrainedModel) -> bool:
    """Return whether the user's own code imports hw2tune, which its safetensors file then needs."""
    return any(re.search(r"^\s*(from|import)\s+hw2tune\b", text, re.MULTILINE) for text in model.study.code.values())
