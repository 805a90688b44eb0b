"""What the words of a failure tell: whose fault it was, if they say so, and the sentence to show.

A failure object is what the container answered, byte for byte, without the status it answered with. The servers that
people put into containers each write the status into the body in their own way; those ways are known here, and nothing
else is. Where none of them fits, or two of them disagree, the status stays unknown: a wrong guess would send a request
again that the model has refused for good, or not send one again that it would answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import orjson

from sm_async_nb.core.ledger import Status


class ErrorClass(StrEnum):
    """Why a request came to no good end, sorted by what helps.

    ``rejected`` is InvokeEndpointAsync's own refusal; ``model_error`` is a failure whose status is unknown;
    ``unreadable`` an answer that came and could not be decoded.
    """

    REJECTED = "rejected"
    MODEL_4XX = "model_4xx"
    MODEL_5XX = "model_5xx"
    MODEL_ERROR = "model_error"
    EXPIRED = "expired"
    UNREADABLE = "unreadable"

    @property
    def is_transient(self) -> bool:
        """Whether sending the same again may help. What the model has refused, or may have, is not sent again."""
        return self in (ErrorClass.MODEL_5XX, ErrorClass.EXPIRED)


@dataclass(frozen=True)
class Verdict:
    """What a failure says. ``http_status`` is 400 to 599, or None where it does not say."""

    http_status: int | None
    message: str


def verdict_of(text: str) -> Verdict:
    """What a failure object, or the reason in a notification, tells.

    Examples
    --------
    >>> verdict_of('{"code": 500, "type": "InternalServerException", "message": "Prediction failed"}')
    Verdict(http_status=500, message='Prediction failed')
    >>> verdict_of("CUDA is angry")
    Verdict(http_status=None, message='CUDA is angry')
    """
    body = _json(text)
    if isinstance(body, dict):
        return Verdict(_agreed(_statuses(body)), head(_message(body) or text.strip()))
    title = _TITLE.match(text)
    if title:
        return Verdict(int(title["status"] or 500), title[1])
    return Verdict(_status_in_words(text), head(text.strip()))


def error_class_of(status: Status, http_status: int | None, *, is_unreadable: bool = False) -> ErrorClass | None:
    """The class of a request's end; None where nothing is wrong, or nothing has ended."""
    if status == Status.FAILED:
        return _MODEL.get((http_status or 0) // 100, ErrorClass.MODEL_ERROR)
    if status == Status.COMPLETED and is_unreadable:
        return ErrorClass.UNREADABLE
    return _BY_STATUS.get(status)


def head(text: str, most: int = 4096) -> str:
    """The beginning of a text, with a mark where it was cut."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


_MODEL = {4: ErrorClass.MODEL_4XX, 5: ErrorClass.MODEL_5XX}
_BY_STATUS = {Status.REJECTED: ErrorClass.REJECTED, Status.EXPIRED: ErrorClass.EXPIRED}

# Werkzeug and nginx put the status line into the title, gunicorn the words of it; nothing visible may come before.
_TITLE = re.compile(
    r"(?i:\s*<(?:!doctype[^>]*>\s*)?(?:<?html[^>]*>\s*)?(?:<?head[^>]*>\s*)?(?:<meta[^>]*>\s*)*<?title>)\s*"
    r"((?P<status>[45]\d\d)(?: [A-Z][A-Za-z'-]+){1,6}|Internal Server Error)\s*(?i:</title>)"
)

# SageMaker's own words, in notifications. They must begin the text: a model may quote those of another endpoint.
_RECEIVED = re.compile(
    r"\s*(?:\w+: )?Received (?:server error \((?P<server>5\d\d)\)|client error \((?P<client>4\d\d)\))"
    r" from (?:model|primary)\b"
)

# mlflow/exceptions.py, as far as the meaning of a code has never changed.
_MLFLOW = {
    "BAD_REQUEST": 400,
    "INVALID_PARAMETER_VALUE": 400,
    "RESOURCE_ALREADY_EXISTS": 400,
    "PERMISSION_DENIED": 403,
    "ENDPOINT_NOT_FOUND": 404,
    "RESOURCE_DOES_NOT_EXIST": 404,
    "REQUEST_LIMIT_EXCEEDED": 429,
    "INTERNAL_ERROR": 500,
    "INVALID_STATE": 500,
    "TEMPORARILY_UNAVAILABLE": 503,
}

# Text Generation Inference (small letters) and Text Embeddings Inference (capitals), from their routers.
_HUGGING_FACE = {
    "generation": 424,
    "overloaded": 429,
    "validation": 422,
    "incomplete_generation": 500,
    "template_error": 422,
    "missing_template_variable": 422,
    "tool_error": 422,
    "Unhealthy": 503,
    "Backend": 424,
    "Overloaded": 429,
    "Tokenizer": 422,
    "Validation": 413,
    "Empty": 400,
}

_Body = Mapping[str, Any]


def _statuses(body: _Body) -> Iterator[int]:
    """What each known shape says that fits the body."""
    for shape in _SHAPES:
        status = shape(body)
        if isinstance(status, int) and not isinstance(status, bool) and 400 <= status <= 599:  # noqa: PLR2004
            yield status


def _agreed(statuses: Iterator[int]) -> int | None:
    different = set(statuses)
    return different.pop() if len(different) == 1 else None


def _model_server(body: _Body) -> Any:
    """Multi Model Server, TorchServe, and vLLM as it was: a code beside the message."""
    return body.get("code") if "message" in body else None


def _openai(body: _Body) -> Any:
    """An error that is an object, as vLLM and all that speak OpenAI's language have it. Its code may be a word."""
    error = body.get("error")
    return error.get("code") if isinstance(error, dict) and "message" in error else None


def _fastapi(body: _Body) -> Any:
    """The list of what is wrong with a request, which FastAPI sends with 422 and nothing else."""
    detail = body.get("detail")
    return 422 if _is_validation(detail) else None


def _mlflow(body: _Body) -> Any:
    code = body.get("error_code")
    return _MLFLOW.get(code) if isinstance(code, str) and "message" in body else None


def _hugging_face(body: _Body) -> Any:
    kind = body.get("error_type")
    return _HUGGING_FACE.get(kind) if isinstance(kind, str) and isinstance(body.get("error"), str) else None


def _said(name: str) -> Callable[[_Body], Any]:
    return lambda body: body.get(name)


_SHAPES: tuple[Callable[[_Body], Any], ...] = (
    _model_server,
    _openai,
    _fastapi,
    _mlflow,
    _hugging_face,
    *map(_said, ("status", "statusCode", "status_code")),
)


def _is_validation(detail: Any) -> bool:
    return (
        isinstance(detail, list)
        and len(detail) > 0
        and all(
            isinstance(one, dict) and isinstance(one.get("loc"), list) and {"msg", "type"} <= one.keys()
            for one in detail
        )
    )


def _message(body: _Body) -> str:
    detail = body.get("detail")
    if isinstance(detail, list) and _is_validation(detail):
        return "; ".join(f"{_place(one['loc'])}: {one['msg']}" for one in detail)
    error = body.get("error")
    inner = error.get("message") if isinstance(error, dict) else error
    told = (body.get("message"), inner, detail)
    return next((text.strip() for text in told if isinstance(text, str) and text.strip()), "")


def _place(parts: Sequence[Any]) -> str:
    return ".".join(str(part) for part in parts)


def _status_in_words(text: str) -> int | None:
    if text.strip().rstrip(".").lower() == "internal server error":
        return 500
    received = _RECEIVED.match(text)
    return int(received["server"] or received["client"]) if received else None


def _json(text: str) -> Any:
    try:
        return orjson.loads(text)
    except ValueError:  # a lone surrogate too
        return None
