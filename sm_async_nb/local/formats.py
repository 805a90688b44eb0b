"""What SageMaker's inference toolkit makes of JSON, CSV and NPY when a script brings no function of its own.

Source: sagemaker-inference 1.10.1, ``decoder.py`` and ``encoder.py``. Two differences: NPY is read without pickle,
since a pickle that is sent is code that is run; and NPZ, a SciPy matrix, is not read.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

JSON = "application/json"
CSV = "text/csv"
NPY = "application/x-npy"

# The toolkit gives these to input_fn as text, all others as bytes.
TEXT_TYPES = (JSON, CSV)


def decode(data: str | bytes, content_type: str | None) -> Any:
    """An array; JSON and CSV are text by now."""
    if content_type not in _DECODERS:
        raise ValueError(f"Content type {content_type} is not supported by this framework.")
    return _DECODERS[content_type](data)


def encode(prediction: Any, accept: str) -> tuple[str | bytes, str]:
    """The prediction, and which of the accepted types it is in now."""
    for content_type in accept.replace(" ", "").split(","):
        if content_type in _ENCODERS:
            return _ENCODERS[content_type](prediction), content_type
    raise ValueError(f"Content type {accept} is not supported by this framework.")


def _from_json(text: Any) -> Any:
    return np.array(json.loads(text))


def _from_csv(text: Any) -> Any:
    return np.genfromtxt(io.StringIO(text), dtype=None, delimiter=",", encoding="utf-8")


def _from_npy(data: Any) -> Any:
    return np.load(io.BytesIO(data), allow_pickle=False)


def _to_json(prediction: Any) -> str:
    def plain(value: Any) -> Any:
        if hasattr(value, "tolist"):
            return value.tolist()
        raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")

    return json.dumps(prediction, default=plain)


def _to_csv(prediction: Any) -> str:
    stream = io.StringIO()
    np.savetxt(stream, prediction, delimiter=",", fmt="%s")
    return stream.getvalue()


def _to_npy(prediction: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, prediction, allow_pickle=False)
    return stream.getvalue()


_DECODERS: Mapping[str | None, Callable[[Any], Any]] = {JSON: _from_json, CSV: _from_csv, NPY: _from_npy}
_ENCODERS: Mapping[str, Callable[[Any], str | bytes]] = {JSON: _to_json, CSV: _to_csv, NPY: _to_npy}
