"""A trained network as the content of a file, and the predictions of that file."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hw2tune.errors import Hw2tuneError, ModelError
from hw2tune.export.graph import Classifier, classifier
from hw2tune.export.trained import TrainedModel
from hw2tune.loggers import silenced
from hw2tune.text.plain import first_line

Probabilities = NDArray[np.float32]  # (N, K)
Predict = Callable[[NDArray[Any]], Probabilities]  # of pixels (N, C, H, W)


def metadata(model: TrainedModel) -> dict[str, str]:
    """Return the metadata inside the file: the classes as JSON, the study, and the training in it."""
    return {
        "classes": json.dumps(model.images.classes),
        "study": model.data.name,
        "model": model.study.model,
        "training": f"{model.name}, epoch {model.epoch}",
    }


def _pt2(model: TrainedModel) -> bytes:
    buffer = io.BytesIO()
    with _quiet():
        torch.export.save(_exported(model), buffer, extra_files=metadata(model))
    return buffer.getvalue()


def _onnx(model: TrainedModel) -> bytes:
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise _extra(error) from None
    program = _exported(model)
    with _quiet():
        written = torch.onnx.export(
            program, dynamo=True, verbose=False, input_names=["pixels"], output_names=["probabilities"],
        )  # fmt: skip
        assert written is not None, "with dynamo it returns the program"
        written.model.metadata_props.update(metadata(model))
        return written.model_proto.SerializeToString()  # type: ignore[no-any-return]


def _safetensors(model: TrainedModel) -> bytes:
    """The weights of the bare network, by their names in its state_dict."""
    try:
        from safetensors.numpy import save
    except ImportError as error:
        raise _extra(error) from None
    return save({name: np.ascontiguousarray(array) for name, array in model.weights.items()}, metadata(model))


def _exported(model: TrainedModel) -> torch.export.ExportedProgram:
    """Return the graph, for batches of any size. Raises ModelError if the network's code does not allow it."""
    height, width, channels = model.images.image_shape
    dtype = torch.uint8 if model.unit == 255 else torch.float32
    whole, example = classifier(model), torch.zeros(2, channels, height, width, dtype=dtype)
    try:
        with _quiet(), torch.no_grad():
            return torch.export.export(whole, (example,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    except Exception as error:  # torch.export raises many types, and the user's code any
        raise ModelError(
            f"{model.study.model}: torch.export cannot follow its code ({type(error).__name__}: {first_line(error)}); "
            "--to model.safetensors exports its weights with the code that they belong to"
        ) from error


def _predict_pt2(model: TrainedModel, content: bytes) -> Predict:
    with _quiet():
        return _torch(torch.export.load(io.BytesIO(content)).module())


def _predict_onnx(model: TrainedModel, content: bytes) -> Predict | None:
    try:
        import onnxruntime  # type: ignore[import-untyped]
    except ImportError:
        return None
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return lambda pixels: session.run(None, {"pixels": pixels})[0]


def _predict_safetensors(model: TrainedModel, content: bytes) -> Predict:
    from safetensors.torch import load

    network = model.network()
    network.load_state_dict(load(content))
    return _torch(Classifier(network, model.images.mean, model.images.std, model.unit).eval())


def _torch(module: torch.nn.Module) -> Predict:
    def predict(pixels: NDArray[Any]) -> Probabilities:
        with torch.no_grad():
            found: Probabilities = module(torch.from_numpy(pixels)).numpy()
            return found

    return predict


def _extra(error: ImportError) -> Hw2tuneError:
    return Hw2tuneError(
        f"exporting to this format needs {(error.name or '').partition('.')[0]}: pip install '.[export]' in "
        "hw2tune's checkout"
    )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence loggers, warnings and stdout of PyTorch's exporters; their errors still come through."""
    loggers = [name for name in logging.root.manager.loggerDict if name.startswith(("torch", "onnx"))]
    with warnings.catch_warnings(), silenced("torch", *loggers), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


# By the file's suffix: its content, and the predictions of that content, loaded as others would load it.
CONTENT: dict[str, Callable[[TrainedModel], bytes]] = {".pt2": _pt2, ".onnx": _onnx, ".safetensors": _safetensors}
PREDICT: dict[str, Callable[[TrainedModel, bytes], Predict | None]] = {
    ".pt2": _predict_pt2, ".onnx": _predict_onnx, ".safetensors": _predict_safetensors,
}  # fmt: skip
