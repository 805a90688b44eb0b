"""A SageMaker inference script as a handler.

Its functions are ``model_fn``, ``input_fn``, ``predict_fn`` and ``output_fn``, or ``transform_fn`` in place of the
last three. It is called as SageMaker's inference toolkit calls it (sagemaker-inference 1.10.1, ``transformer.py``), but
in this process and from several threads at once; a script that minds is given one request at a time by
``max_concurrent_invocations_per_instance=1``.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from sm_async_nb.errors import RequestError
from sm_async_nb.local.formats import TEXT_TYPES, decode, encode
from sm_async_nb.local.handler import DEFAULT_CONTENT_TYPE, Answer, Handler, ModelError, takes_headers

_ERROR_STATUSES = range(400, 600)
_STAGES = ("input_fn", "predict_fn", "output_fn")


def load_handler(where: str | Path, *, model_dir: str | Path | None = None) -> Handler:
    """Find a handler.

    Parameters
    ----------
    where
        ``inference.py`` is an inference script, ``inference.py:function`` and ``package.module:function`` are a
        function ``(body, content_type, accept) -> bytes``.
    model_dir
        What an inference script's ``model_fn`` is given; SM_MODEL_DIR, or the folder of the script, by default.

    Raises
    ------
    RequestError
        If there is no such file, module or function, or if it is no handler.
    """
    source, _, name = str(where).rpartition(":") if ":" in str(where) else (str(where), "", "")
    module = _load_file(Path(source)) if source.endswith(".py") else _import(source)
    if not name:
        return InferenceScript(module, model_dir or os.environ.get("SM_MODEL_DIR") or _folder(module))
    found: Any = getattr(module, name, None)
    if found is None:
        raise RequestError(f"{source} has no {name}.")
    takes_headers(found)  # refuses what is no handler
    return found  # type: ignore[no-any-return]


class InferenceScript:
    """A handler made of an inference script's functions. The model is loaded at once, and once.

    Raises
    ------
    RequestError
        If the script has no ``model_fn``, neither ``predict_fn`` nor ``transform_fn``, or both.
    """

    def __init__(self, script: ModuleType, model_dir: str | Path) -> None:
        _check(script)
        self._script = script
        self._context = SimpleNamespace(system_properties={"model_dir": str(model_dir)})
        self._default_accept = os.environ.get("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT", DEFAULT_CONTENT_TYPE)
        self._model = self._call(script.model_fn, str(model_dir))

    def __repr__(self) -> str:
        return f"<InferenceScript {self._script.__name__}>"

    def __call__(self, body: bytes, content_type: str | None, accept: str | None) -> Answer:
        wanted = accept if accept and accept != "*/*" else self._default_accept
        try:
            # The toolkit has the content type as it was sent, with its charset; a script may look for it.
            data = body.decode("utf-8") if content_type in TEXT_TYPES else body
            result = self._transform(data, content_type, wanted)
        except Exception as error:
            raise _as_toolkit_tells(error) from error
        response, response_type = result if isinstance(result, tuple) else (result, wanted)
        return Answer(_as_bytes(response), response_type)

    def _transform(self, data: str | bytes, content_type: str | None, accept: str) -> Any:
        transform = getattr(self._script, "transform_fn", None)
        if transform is not None:
            return self._call(transform, self._model, data, content_type, accept)
        read = self._call(getattr(self._script, "input_fn", decode), data, content_type)
        prediction = self._call(self._script.predict_fn, read, self._model)
        return self._call(getattr(self._script, "output_fn", encode), prediction, accept)

    def _call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        # A function may take a context as one argument more; the toolkit counts them.
        takes_context = len(inspect.signature(function).parameters) == len(arguments) + 1
        return function(*arguments, self._context) if takes_context else function(*arguments)


def _check(script: ModuleType) -> None:
    there = [name for name in ("model_fn", "transform_fn", *_STAGES) if hasattr(script, name)]
    if "model_fn" not in there:
        raise RequestError(f"{script.__name__} has no model_fn(model_dir). Name a function of it: FILE.py:function.")
    if ("transform_fn" in there) == ("predict_fn" in there):
        raise RequestError(f"{script.__name__} needs either predict_fn or transform_fn, it has {', '.join(there)}.")
    if "transform_fn" in there and set(there) & set(_STAGES):
        raise RequestError(f"{script.__name__} has a transform_fn, which replaces {', '.join(_STAGES)}.")


def _as_toolkit_tells(error: Exception) -> Exception:
    """The toolkit answers with the message and the traceback as text, and with the status that its own errors have."""
    if isinstance(error, ModelError):
        return error
    status = getattr(error, "status_code", None)
    known = status if isinstance(status, int) and status in _ERROR_STATUSES else 500
    return ModelError(str(error), status=known, body=f"{error}\n{''.join(traceback.format_exception(error))}")


def _as_bytes(response: Any) -> bytes:
    if isinstance(response, str):
        return response.encode()
    if isinstance(response, (bytes, bytearray, memoryview)):
        return bytes(response)
    raise TypeError(f"output_fn returns bytes or str, got {type(response).__name__}.")


def _load_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise RequestError(f"There is no file {path}.")
    name = path.stem
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # The files beside it can be imported, as /opt/ml/model/code can in a container; and pickles find its classes.
    sys.path.insert(0, str(path.resolve().parent))
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _import(name: str) -> ModuleType:
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        raise RequestError(f"There is no module {name}. A script is named by its file: FILE.py.") from error


def _folder(module: ModuleType) -> Path:
    return Path(module.__file__ or ".").resolve().parent
