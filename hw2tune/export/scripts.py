"""Files next to an exported network, for its use without hw2tune: a script, and the network's code."""

from __future__ import annotations

import inspect
import re
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from hw2tune.data.image_file import FORMATS
from hw2tune.study.names import MODELS
from hw2tune.user_code.files import CodeReference, code_reference

if TYPE_CHECKING:
    from hw2tune.export.trained import TrainedModel

NEEDS = {
    ".pt2": "torch, numpy and Pillow",
    ".safetensors": "torch, safetensors, numpy and Pillow",
    ".onnx": "onnxruntime, numpy and Pillow",
}

_SCRIPT = '''"""{title}: python {script} {argument}  (needs {needs})."""
import json, sys
from pathlib import Path
{imports}
{pixels}
{predict}
for k in probabilities.argsort()[::-1][:3]:
    print(f"{{classes[k]}}  {{100 * probabilities[k]:.2f}} %")
'''

# By format: its imports, and from `pixels` (1, C, H, W) and the file's `path` to `probabilities` (K,) and `classes`.
_IMPORTS = {
    ".pt2": "import numpy as np, torch",
    ".safetensors": "import numpy as np, torch\nfrom safetensors import safe_open\nfrom {module} import load",
    ".onnx": "import numpy as np, onnxruntime",
}
_PREDICT = {
    ".pt2": """\
extra = {{"classes": ""}}
model = torch.export.load(Path(__file__).with_name("{file}"), extra_files=extra).module()
probabilities, classes = model(torch.from_numpy(pixels))[0].numpy(), json.loads(extra["classes"])""",
    ".safetensors": """\
classes = json.loads(safe_open(Path(__file__).with_name("{file}"), "np").metadata()["classes"])
probabilities = load()(torch.from_numpy(pixels))[0].detach().numpy()""",
    ".onnx": """\
model = onnxruntime.InferenceSession(Path(__file__).with_name("{file}"))
probabilities = model.run(None, {{"pixels": pixels}})[0][0]
classes = json.loads(model.get_modelmeta().custom_metadata_map["classes"])""",
}
_FROM_IMAGE = """\
image = ImageOps.exif_transpose(Image.open(sys.argv[1], formats={formats}))
image = image.convert("RGBA") if image.mode[0] not in "IF" else sys.exit("convert it to 8 bits a channel first")
image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("{mode}").resize({size}, 2)
pixels = np.array(image, "{dtype}").reshape(1, {height}, {width}, {channels}).transpose(0, 3, 1, 2){scaled}"""
_FROM_ARRAY = """\
pixels = np.load(sys.argv[1]).reshape(1, {channels}, {height}, {width}).astype("{dtype}")"""


def script(model: TrainedModel, file: Path, *, name: str, module: str) -> str:
    """Return a program of at most 15 lines that loads `file`, in its folder, and predicts an image.

    `name` is the program's, `module` that of `network_module`. Images of two channels, of more than three, or with
    values below 0 are not in image files: the program reads them from an .npy file.
    """
    height, width, channels = model.images.image_shape
    from_image, dtype = model.takes_files, "uint8" if model.unit == 255 else "float32"
    white = f"{model.images.black_and_white[1]:g}"
    shape = {"height": height, "width": width, "channels": channels, "dtype": dtype}
    pixels = (_FROM_IMAGE if from_image else _FROM_ARRAY).format(
        **shape,
        formats=FORMATS,
        mode="L" if channels == 1 else "RGB",
        size=(width, height),
        scaled="" if dtype == "uint8" else " / 255" if white == "1" else f" / 255 * {white}",
    )
    imports = _IMPORTS[file.suffix].format(module=module) + ("\nfrom PIL import Image, ImageOps" if from_image else "")
    return _SCRIPT.format(
        title=f"Predicts with {file.name}, without hw2tune", script=name, needs=needs(model, file.suffix),
        argument="IMAGE" if from_image else "PIXELS.npy", imports=imports, pixels=pixels,
        predict=_PREDICT[file.suffix].format(file=file.name),
    )  # fmt: skip


def needs(model: TrainedModel, suffix: str) -> str:
    """Return the packages that a file of this format needs, in words."""
    reference = _reference(model)
    package = reference.module.partition(".")[0]  # that an own network is imported from
    imported = suffix == ".safetensors" and model.study.model not in MODELS and reference.file is None
    return NEEDS[suffix] + (f", and {package}" if imported and package != "torch" else "")


def module_name(stem: str) -> str:
    """Return a file's stem as the name of a module."""
    word = re.sub(r"\W", "_", stem, flags=re.ASCII)
    return word if word[:1].isalpha() or word[:1] == "_" else f"_{word}"


def network_module(model: TrainedModel, file: Path, *, code: str) -> str:
    """Return a module whose `load` gives the network of `file` between preprocessing and softmax.

    The module has the source of a shipped network; the user's own is in the folder `code` next to it, and an installed
    network is imported.
    """
    from hw2tune.export.graph import Classifier
    from hw2tune.train.models import arguments
    from hw2tune.user_code.importer import load

    reference = _reference(model)
    given = arguments(load(_factory(model), model.study.code), model.blueprint)
    black, white = model.images.black_and_white
    called = ", ".join(f"{name}={value!r}" for name, value in given.items())
    parts = [
        f'"""The network of {file.name}, without hw2tune: `load()` takes pixels and gives probabilities."""\n',
        _imports(beside=reference.file is not None),
        _network_source(model, code),
        inspect.getsource(Classifier),
        f'''def load() -> Classifier:
    """Takes pixels (N, C, H, W) from {black:g} to {white:g}, returns probabilities (N, K)."""
    network = {reference.name}({called})
    network.load_state_dict(load_file(Path(__file__).with_name("{file.name}")))
    return Classifier(network, {list(model.images.mean)}, {list(model.images.std)}, {model.unit}).eval()
''',
    ]
    return "\n\n".join(part.strip("\n") + "\n" for part in parts)


def _imports(*, beside: bool) -> str:
    return (
        f"from __future__ import annotations\n\n{'import sys' + chr(10) if beside else ''}from collections.abc import "
        "Sequence\nfrom pathlib import Path\n\nimport torch\nfrom safetensors.torch import load_file\n"
        "from torch import Tensor, nn\nfrom torch.nn import functional\n"
    )


def _network_source(model: TrainedModel, code: str) -> str:
    """Return the source of a shipped network, or the import of another one."""
    reference = _reference(model)
    if model.study.model in MODELS:
        from hw2tune.train.models import Dropout

        network = getattr(import_module(reference.module), reference.name)
        return "\n\n".join(inspect.getsource(one) for one in (Dropout, network))
    beside = f'sys.path.insert(0, str(Path(__file__).with_name("{code}")))\n' if reference.file else ""
    return f"{beside}from {reference.module} import {reference.name}  # noqa: E402\n"


def _factory(model: TrainedModel) -> str:
    return MODELS[model.study.model].factory if model.study.model in MODELS else model.study.model


def _reference(model: TrainedModel) -> CodeReference:
    return code_reference(_factory(model))


def uses_hw2tune(model: TrainedModel) -> bool:
    """Return whether the user's own code imports hw2tune, which its safetensors file then needs."""
    return any(re.search(r"^\s*(from|import)\s+hw2tune\b", text, re.MULTILINE) for text in model.study.code.values())
