"""Template of a study file: commented, complete, and without a fault for `check`."""

import contextlib
import os
import re
from pathlib import Path

from hw2tune.errors import PathError, StudyFileError
from hw2tune.paths import expand
from hw2tune.study.file import parse_study, read_text
from hw2tune.study.names import shipped_studies
from hw2tune.study.schema import NAME_PATTERN

_OWN = """# {name}: a study of your own. `hw2tune check {name}.toml` looks it over,
# `hw2tune study {name}.toml --summarize` runs it and writes the report.
# Every key is explained in docs/study-file.md.
name = "{name}"
dataset = {dataset}
{shares}model = {model}
max_epochs = 10
trials = 20

[pruner]
name = "halving"                 # stops unpromising trials; "none" stops none
min_epochs = 2
reduction_factor = 3

[training]                       # the same for every trial
schedule = "cosine"              # constant, cosine, one_cycle
augment = "none"                 # none, flip, crop, cutout, joined by +

[space]                          # what is searched
learning_rate = {{ low = 1e-4, high = 1e-1, log = true }}
batch_size = [32, 64, 128]
optimizer = ["sgd", "adamw"]
momentum = {{ low = 0.0, high = 0.99, when = {{ optimizer = "sgd" }} }}
weight_decay = {{ low = 1e-6, high = 1e-1, log = true, or_zero = true }}
# model.width = [16, 32]         # an argument of your network's

[references.plain]               # what you would have taken without a search: the first trial
learning_rate = 0.001
batch_size = 64
optimizer = "adamw"
weight_decay = 0.0

[[claims]]                       # what is tested, on seeds that chose nothing else and on test images never read before
sentence = "tuning"
a = "tuned"
b = "plain"
"""
_TEST = "test_share = 0.2                 # kept for the test\n"
_VALIDATION = "validation_size = 0.1            # a share of the training images, or their number\n"
_NET = '''"""A network for {name}.toml: it takes images (N, C, H, W) and returns logits (N, classes)."""

from torch import nn


class Net(nn.Module):
    """Two convolutions and a linear layer; `width` may be searched as model.width."""

    def __init__(self, input_shape, num_classes, width=16):
        super().__init__()
        channels = input_shape[0]
        self.conv1 = nn.Conv2d(channels, width, 3, padding=1)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, 2 * width, 3, padding=1)
        self.norm2 = nn.BatchNorm2d(2 * width)
        self.pool = nn.MaxPool2d(2)
        self.head = nn.Linear(2 * width, num_classes)

    def forward(self, x):
        x = self.pool(self.norm1(self.conv1(x)).relu())
        x = self.pool(self.norm2(self.conv2(x)).relu())
        return self.head(x.mean((2, 3)))
'''


def new_files(
    name: str, *, like: str | None = None, images: str | None = None, model: str | None = None
) -> dict[str, str]:
    """Return the files of a new study by name: a study file, and a network if none is named. Raises StudyFileError.

    `like` is a study that hw2tune ships, `images` a folder, `model` what the study file shall name.
    """
    from hw2tune.data.own import split_folders

    if not re.fullmatch(NAME_PATTERN, name):
        raise StudyFileError(
            f"{name}: a name is of 1 to 64 letters, digits, `.`, `_` or `-`, the first a letter or digit"
        )
    if like is not None:
        if images or model:
            raise StudyFileError("--from takes data and network over; leave --images and --model out, or --from")
        shipped = shipped_studies()
        if like not in shipped:
            raise StudyFileError(f"--from {like}: hw2tune ships {', '.join(shipped)}")
        text = read_text(shipped[like]).partition("\n")[2]  # its first line is the place of its schema
        return {f"{name}.toml": re.sub(r'^name = ".*"$', f'name = "{name}"', text, count=1, flags=re.MULTILINE)}
    module = f"{'_' if name[0].isdigit() else ''}{re.sub('[.-]', '_', name)}_net.py"
    dataset, shares = '"digits"                # or a folder of images by its path, or data.py:load', _VALIDATION
    if images is not None:
        dataset = _quoted(images if "/" in images or images.startswith(".") else f"./{images}")
        folder, parts = expand(images, "--images"), {}
        with contextlib.suppress(OSError):  # `check` says what is wrong with the folder
            parts = split_folders(folder) if folder.is_dir() else {}
        shares = ("" if "test" in parts else _TEST) + ("" if "validation" in parts else _VALIDATION)
    network = _quoted(model) if model else f'"{module}:Net"       # in the file beside this one'
    text = _OWN.format(name=name, dataset=dataset, shares=shares, model=network)
    parse_study(text, f"{name}.toml", missing_code_ok=True)
    return {f"{name}.toml": text} | ({} if model else {module: _NET.format(name=name)})


def _quoted(text: str) -> str:
    import tomli_w

    return tomli_w.dumps({"text": text}).removeprefix("text = ").rstrip("\n")


def new_study(name: str, *, like: str | None = None, images: str | None = None, model: str | None = None) -> list[str]:
    """Write the files of `new_files` into the current folder and return their names.

    Raises StudyFileError, and PathError if a file exists or cannot be written.
    """
    files = new_files(name, like=like, images=images, model=model)
    for name in files:
        if os.path.lexists(name):
            raise PathError(f"{name}: is there already; take another name, or move it away")
    for name, text in files.items():
        try:
            Path(name).write_text(text, encoding="utf-8")
        except OSError as error:
            raise PathError(f"{name}: cannot be written ({error.strerror})") from None
    return list(files)
