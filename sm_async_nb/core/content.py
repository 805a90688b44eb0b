"""What a payload is made of: columns, a template, or the user's own function; the same three questions to each."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Hashable, Sequence
from itertools import pairwise
from typing import Any, Protocol

import pandas as pd

from sm_async_nb.core.codecs import Codec
from sm_async_nb.core.codecs.json import ENVELOPES
from sm_async_nb.core.payload import Options, codec_for, mime_type
from sm_async_nb.core.sources import plain_rows
from sm_async_nb.core.template import Template
from sm_async_nb.core.values import JSON, TEXT, plain, to_json
from sm_async_nb.errors import RequestError

_LINES = {"application/jsonlines", "text/csv", "text/libsvm", "text/x-libsvm", "text/plain"}
_JSON = "application/json"
_BINARY = {"application/x-npy", "application/x-parquet"}
_SHOWN_CHARACTERS = 120


class Content(Protocol):
    """Rows to payload bytes.

    ``columns`` are those it reads. ``encode`` and ``sizes`` are those of :class:`~sm_async_nb.core.codecs.Codec`.
    """

    columns: list[Hashable]
    suffix: str
    overhead: int

    def encode(self, rows: pd.DataFrame, bounds: Sequence[int]) -> list[bytes]: ...

    def sizes(self, rows: pd.DataFrame) -> list[int] | None: ...


class FromColumns:
    """Records, lines or arrays of some columns, as the MIME type has it."""

    def __init__(self, columns: list[Hashable], content_type: str, options: Options) -> None:
        self.columns = columns
        self._codec: Codec = codec_for(content_type, options)
        self.suffix = self._codec.suffix
        self.overhead = self._codec.overhead
        if self._codec.one_column and len(columns) != 1:
            kind = "bare value" if options.bare else f"payload of {content_type}"
            raise RequestError(
                f"A {kind} is made of exactly one column, got {len(columns)};"
                " choose it with columns=. Nothing was sent."
            )

    def encode(self, rows: pd.DataFrame, bounds: Sequence[int]) -> list[bytes]:
        return self._codec.encode(rows.loc[:, self.columns], bounds)

    def sizes(self, rows: pd.DataFrame) -> list[int] | None:
        return self._codec.sizes(rows.loc[:, self.columns])


class FromItems:
    """A piece of text or bytes for each row, by a template or a function; several rows are joined as the type does."""

    def __init__(
        self,
        make: Callable[[pd.DataFrame], list[bytes]],
        columns: Sequence[Hashable],
        content_type: str,
        options: Options,
    ) -> None:
        self.columns = list(columns)
        self._make = make
        self._mime = mime_type(content_type)
        self._envelope = ENVELOPES[options.wrap]
        self._packed = options.packed
        self.suffix = _suffix(content_type)
        self.overhead = sum(map(len, self._envelope)) - 1 if self._is_array else 0
        if options.packed and not self._is_array and self._mime not in _LINES:
            raise RequestError(
                f"Several rows of {content_type} cannot be put into one request, since nothing says how;"
                " leave rows_per_request at 1. Nothing was sent."
            )

    @property
    def _is_array(self) -> bool:
        return self._packed and self._mime == _JSON

    def encode(self, rows: pd.DataFrame, bounds: Sequence[int]) -> list[bytes]:
        items = self._items(rows)
        if not self._is_array:
            return [b"".join(items[start:stop]) for start, stop in pairwise(bounds)]
        before, after = self._envelope
        return [before + b",".join(items[start:stop]) + after for start, stop in pairwise(bounds)]

    def sizes(self, rows: pd.DataFrame) -> list[int]:
        return [len(item) + self._is_array for item in self._items(rows)]

    def _items(self, rows: pd.DataFrame) -> list[bytes]:
        items = self._make(rows)
        if self._packed and self._mime in _LINES:
            _refuse_line_breaks(items, quotes=self._mime == "text/csv")
        if self._mime in _LINES and (self._packed or self._mime == "application/jsonlines"):
            return [item if item.endswith(b"\n") else item + b"\n" for item in items]
        return items


def from_template(source: str, frame: pd.DataFrame, content_type: str, options: Options) -> FromItems:
    """Payloads rendered from a template; for JSON types values are written as JSON, and the result must be JSON."""
    _check_template(source, content_type)
    as_json = mime_type(content_type) in {_JSON, "application/jsonlines"}
    form = JSON if as_json else TEXT
    template = Template(source, frame.columns.tolist(), as_json=as_json)

    def make(rows: pd.DataFrame) -> list[bytes]:
        texts = [template.render(row) for row in plain_rows(rows, template.used, form)]
        if mime_type(content_type) == "application/jsonlines":
            texts = [text.replace("\n", " ").replace("\r", " ") for text in texts]  # between values only, in JSON
        return [text.encode() for text in texts]

    return FromItems(make, template.used, content_type, options)


def from_callable(
    payload: Callable[[dict[str, Any]], Any], frame: pd.DataFrame, content_type: str, options: Options
) -> FromItems:
    """Payloads by a function of the row, a dict of its values as they are in the frame.

    It returns bytes or text, which are sent as they are, or, for JSON types, any object, which is written as JSON.
    """
    is_json = mime_type(content_type) in {_JSON, "application/jsonlines"}

    def make(rows: pd.DataFrame) -> list[bytes]:
        return [_as_bytes(_called(payload, row), is_json=is_json) for row in rows.to_dict("records")]

    return FromItems(make, frame.columns.tolist(), content_type, options)


def from_serializer(serializer: Any, columns: list[Hashable], content_type: str, options: Options) -> FromItems:
    """Payloads by an object with ``serialize`` and ``CONTENT_TYPE``, as the SageMaker SDK's serializers have them.

    JSON gets the record, anything else the row's values as a list, or the value alone if there is one column.
    """
    wants_record = mime_type(content_type) in {_JSON, "application/jsonlines"}

    def make(rows: pd.DataFrame) -> list[bytes]:
        chosen = rows.loc[:, columns]
        data: list[Any] = chosen.to_dict("records") if wants_record else chosen.to_numpy(dtype=object).tolist()
        if len(columns) == 1 and not wants_record:
            data = [values[0] for values in data]
        return [_as_bytes(_called(serializer.serialize, item), is_json=False) for item in data]

    return FromItems(make, columns, content_type, options)


def is_serializer(payload: object) -> bool:
    """Whether it has the shape of the SageMaker SDK's serializers."""
    return (
        not isinstance(payload, type)
        and callable(getattr(payload, "serialize", None))
        and hasattr(payload, "CONTENT_TYPE")
    )


def check_callable(payload: object) -> None:
    """Refuse what can be called with no row, or not at all, before it is called a million times."""
    if not callable(payload):
        raise RequestError(
            f"payload= takes a function of the row or a serializer, got {type(payload).__name__}. Nothing was sent."
        )
    if hasattr(payload, "serialize"):
        name = getattr(payload, "__name__", type(payload).__name__)
        raise RequestError(f"payload= takes a serializer itself, got the class; write {name}(). Nothing was sent.")
    try:
        inspect.signature(payload).bind(None)
    except TypeError as error:
        raise RequestError(f"payload= takes a function of one argument, the row: {error}. Nothing was sent.") from None
    except ValueError:
        return  # a built-in without a signature


def _called(function: Callable[[Any], Any], argument: Any) -> Any:
    try:
        return function(argument)
    except Exception as error:
        said = str(error)
        shown = said if len(said) <= _SHOWN_CHARACTERS else f"{said[:_SHOWN_CHARACTERS]}…"
        raise ValueError(f"payload= raised {type(error).__name__}: {shown}") from error


def _as_bytes(made: Any, *, is_json: bool) -> bytes:
    if isinstance(made, bytes | bytearray | memoryview):
        return bytes(made)
    if isinstance(made, str):
        return str(plain(made, TEXT)).encode()
    if made is None:
        raise TypeError("payload= gave None; return the payload, or b'null' if that is meant")
    if is_json:
        return to_json(made)
    raise TypeError(f"payload= gave a value of type {type(made).__name__}; return bytes or text")


def _check_template(source: object, content_type: str) -> None:
    if not isinstance(source, str):
        raise RequestError(f"template= takes a text, got {type(source).__name__}. Nothing was sent.")
    if not source.strip():
        raise RequestError("template= is empty, so there is nothing to send. Nothing was sent.")
    if mime_type(content_type) in _BINARY:
        raise RequestError(
            f"A template writes text, which {content_type} is not; leave template= out and choose columns=."
            " Nothing was sent."
        )


def _refuse_line_breaks(items: list[bytes], *, quotes: bool) -> None:
    """A line break inside a row would make two rows of it; in CSV quotes may hold one."""
    for item in items:
        if b"\n" in item.removesuffix(b"\n") and not (quotes and b'"' in item):
            raise ValueError("a row with a line break cannot share a request with others; send one row a request")


def _suffix(content_type: str) -> str:
    try:
        return codec_for(content_type).suffix
    except RequestError:
        return ".bin"  # the user's own type, made by the user's own function
