"""A trained network between preprocessing and softmax, as the content of a file, and the predictions of that file."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hw2tune.data.dataset import Split
from hw2tune.errors import Hw2tuneError, ModelError
from hw2tune.export.trained import TrainedModel
from hw2tune.loggers import silenced
from hw2tune.text.plain import first_line
from hw2tune.train.device import on_device
from hw2tune.train.loop import predict
from hw2tune.train.models import own_name

Probabilities = NDArray[np.float32]  # (N, K)
Predict = Callable[[NDArray[Any]], Probabilities]  # of pixels (N, C, H, W)


class Classifier(nn.Module):
    """Pixels (N, C, H, W) to probabilities (N, K); mean and std are those of pixels divided by `unit`."""

    scale: Tensor
    shift: Tensor

    def __init__(self, network: nn.Module, mean: Sequence[float], std: Sequence[float], unit: int) -> None:
        super().__init__()
        self.network = network
        scale = torch.tensor([1 / (unit * s) for s in std], dtype=torch.float32)
        shift = torch.tensor([-m / s for m, s in zip(mean, std, strict=True)], dtype=torch.float32)
        self.register_buffer("scale", scale.view(-1, 1, 1), persistent=False)
        self.register_buffer("shift", shift.view(-1, 1, 1), persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Probabilities (N, K)."""
        images = pixels.float() * self.scale + self.shift
        # In the usual order, as the weights: a network with a `view` over channels and pixels takes no other.
        return torch.softmax(self.network(images.clone(memory_format=torch.contiguous_format)), 1)


def classifier(model: TrainedModel, network: nn.Module) -> Classifier:
    """Return a network with the preprocessing of the model's images, in evaluation mode."""
    return Classifier(network, model.images.mean, model.images.std, model.unit).eval()


def evaluated(model: TrainedModel, images: NDArray[Any]) -> Tensor:
    """Return probabilities (N, K) of images (N, H, W, C), uint8 or float32, as replicates are evaluated.

    A single image goes in twice: a network with a `squeeze()` trains well, and would drop the batch axis of one image.
    """
    several = np.ascontiguousarray(images if len(images) > 1 else np.repeat(images, 2, axis=0))
    split = Split(images=several, labels=np.zeros(len(several), np.int64))
    logits = predict(model.network(), on_device(split, model.info, torch.device("cpu")), model.seed)
    return logits[: len(images)].softmax(1)


def metadata(model: TrainedModel) -> dict[str, str]:
    """Return the metadata inside the file: the classes as JSON, the study, and the training in it."""
    return {
        "classes": json.dumps(model.images.classes),
        "study": model.data.name,
        "model": model.study.model,
        "training": f"{model.name}, epoch {model.epoch}",
    }


def _pt2(model: TrainedModel) -> tuple[bytes, Predict]:
    buffer, program = io.BytesIO(), _exported(model)
    with _quiet():
        torch.export.save(program, buffer, extra_files=metadata(model))
        return buffer.getvalue(), _torch(torch.export.load(io.BytesIO(buffer.getvalue())).module())


def _onnx(model: TrainedModel) -> tuple[bytes, Predict | None]:
    with _needed():
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    program = _exported(model)
    with _quiet():
        written = torch.onnx.export(
            program, dynamo=True, verbose=False, input_names=["pixels"], output_names=["probabilities"]
        )
        assert written is not None, "with dynamo it returns the program"
        written.model.metadata_props.update(metadata(model))
        content = written.model_proto.SerializeToString()
    try:
        import onnxruntime  # type: ignore[import-untyped]
    except ImportError:
        return content, None
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return content, lambda pixels: session.run(None, {"pixels": pixels})[0]


def _safetensors(model: TrainedModel) -> tuple[bytes, None]:
    """The weights of the bare network, by their names in its state_dict; the module beside them predicts."""
    with _needed():
        from safetensors.numpy import save
    named = {own_name(name): np.ascontiguousarray(array) for name, array in model.weights.items()}
    return save(named, metadata(model)), None


def _exported(model: TrainedModel) -> torch.export.ExportedProgram:
    """Return the graph, for batches of any size. Raises ModelError if the network's code does not allow it."""
    height, width, channels = model.images.image_shape
    whole = classifier(model, model.network()).requires_grad_(False).to(memory_format=torch.contiguous_format)
    example = torch.zeros(2, channels, height, width, dtype=torch.uint8 if model.unit == 255 else torch.float32)
    try:
        with _quiet(), torch.no_grad():
            return torch.export.export(whole, (example,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    except Exception as error:  # torch.export raises many types, and the user's code any
        raise ModelError(
            f"{model.study.model}: torch.export cannot follow its code ({type(error).__name__}: {first_line(error)}); "
            "--to model.safetensors exports its weights with the code that they belong to"
        ) from error


def _torch(module: nn.Module) -> Predict:
    def predict(pixels: NDArray[Any]) -> Probabilities:
        with torch.no_grad():
            found: Probabilities = module(torch.from_numpy(pixels)).numpy()
            return found

    return predict


@contextlib.contextmanager
def _needed() -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        package = (error.name or "").partition(".")[0]
        raise Hw2tuneError(
            f"exporting to this format needs {package}: pip install '.[export]' in hw2tune's checkout"
        ) from None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence loggers, warnings and stdout of PyTorch's exporters; their errors still come through."""
    loggers = [name for name in logging.root.manager.loggerDict if name.startswith(("torch", "onnx"))]
    with warnings.catch_warnings(), silenced("torch", *loggers), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


# By the file's suffix: its content, and the predictions of that content, loaded as others would load it.
FORMATS: dict[str, Callable[[TrainedModel], tuple[bytes, Predict | None]]] = {
    ".pt2": _pt2, ".onnx": _onnx, ".safetensors": _safetensors,
}  # fmt: skip
