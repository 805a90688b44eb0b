"""From the arguments of a call to the requests they mean, refusing what they cannot mean."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from sm_async_nb.core.batch import Batch, check_columns
from sm_async_nb.core.content import (
    Content,
    FromColumns,
    check_callable,
    from_callable,
    from_serializer,
    from_template,
    is_serializer,
)
from sm_async_nb.core.payload import Options, is_raw
from sm_async_nb.core.request import Field
from sm_async_nb.core.sources import Column, Constant, Source, source_of
from sm_async_nb.core.terms import Terms
from sm_async_nb.core.values import as_python
from sm_async_nb.errors import RequestError

DEFAULT_CONTENT_TYPE = "application/json"

# The first botocore that knows a field, for those that are newer than the oldest SDK this package works with.
_SINCE = {"s3_output_path_extension": "1.42.54", "filename": "1.42.54"}

# Two rows with the same of these could not be told apart.
_OF_ONE_ROW = {"input_location", "inference_id", "filename"}

_FIELDS = (
    "content_type",
    "accept",
    "custom_attributes",
    "inference_id",
    "request_ttl_seconds",
    "invocation_timeout_seconds",
    "s3_output_path_extension",
    "filename",
    "input_location",
)


@dataclass(frozen=True, kw_only=True)
class RequestArguments:
    """What a caller may say about the requests; ``df.sm_async.submit`` tells what each means."""

    endpoint_name: str
    columns: Sequence[Hashable] | Hashable | None = None
    template: str | None = None
    payload: Any = None
    input_location: str | None = None
    content_type: str | None = None
    accept: str | None = None
    custom_attributes: str | None = field(default=None, repr=False)
    inference_id: str | None = None
    request_ttl_seconds: int | str | None = None
    invocation_timeout_seconds: int | str | None = None
    s3_output_path_extension: str | None = None
    filename: str | None = None
    nan: str = "null"
    bare: bool = False
    wrap: str = "array"
    rows_per_request: int | None = None
    max_payload_bytes: int | None = None
    inline: str = "never"
    deduplicate: bool = False

    @property
    def terms(self) -> Terms:
        """How rows become requests."""
        return Terms(
            rows_per_request=as_python(self.rows_per_request),
            max_payload_bytes=as_python(self.max_payload_bytes),
            inline=self.inline,
            deduplicate=as_python(self.deduplicate),
        )


def build_batch(frame: pd.DataFrame, arguments: RequestArguments, known_fields: Mapping[str, Field]) -> Batch:
    """The requests for the rows of a frame. They are not checked row by row yet; :meth:`Batch.check` does that.

    Raises
    ------
    RequestError
        If an argument is wrong whatever the rows are.
    """
    _check_names(frame)
    _check_endpoint_name(arguments.endpoint_name, known_fields)
    _check_one_way(arguments)
    sources = _sources(frame, arguments, known_fields)
    content = _content(frame, arguments, sources)
    _check_content_type(sources, known_fields)
    return Batch(
        frame,
        endpoint_name=arguments.endpoint_name,
        content=content,
        sources=sources,
        known_fields=known_fields,
        terms=arguments.terms,
    )


def _check_names(frame: pd.DataFrame) -> None:
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise RequestError(f"The frame has two columns named {twice!r}; rename one. Nothing was sent.")


def _check_endpoint_name(endpoint_name: str, known_fields: Mapping[str, Field]) -> None:
    problem = known_fields["endpoint_name"].problem(endpoint_name)
    if problem:
        raise RequestError(f"{problem} Nothing was sent.")


def _check_one_way(arguments: RequestArguments) -> None:
    """A payload is made in one way."""
    ways = [name for name in ("template", "payload", "input_location") if getattr(arguments, name) is not None]
    if arguments.columns is not None and not (ways == ["payload"] and is_serializer(arguments.payload)):
        ways = ["columns", *ways]
    if len(ways) > 1:
        listed = f"{', '.join(f'{way}=' for way in ways[:-1])} and {ways[-1]}="
        raise RequestError(f"{listed} each say what a payload is made of; give one of them. Nothing was sent.")
    if arguments.input_location is not None:
        _check_inputs_in_s3(arguments, "With input_location= the inputs")
    elif ways and ways != ["columns"] and (arguments.nan != "null" or arguments.bare):
        raise RequestError(
            f"nan= and bare= say how columns are written, and have no meaning with {ways[-1]}=. Nothing was sent."
        )


def _check_inputs_in_s3(arguments: RequestArguments, inputs: str) -> None:
    if arguments.terms.packed or arguments.inline == "always":
        raise RequestError(
            f"{inputs} are in S3 already, one for each row; rows_per_request, max_payload_bytes"
            " and inline='always' have no meaning then. Nothing was sent."
        )


def _sources(frame: pd.DataFrame, arguments: RequestArguments, known_fields: Mapping[str, Field]) -> dict[str, Source]:
    sources: dict[str, Source] = {}
    problems: list[str] = []
    for name in _FIELDS:
        given = as_python(getattr(arguments, name))
        if given is None:
            continue
        if name not in known_fields:
            problems.append(f"{name}= needs a newer SDK: botocore knows it since {_SINCE[name]}. Update boto3.")
            continue
        source = source_of(name, given, frame)
        if isinstance(source, Constant):
            problems += filter(None, [_constant_problem(known_fields[name], given, len(frame))])
        sources[name] = source
    if problems:
        raise RequestError(f"{' '.join(problems)} Nothing was sent.")
    return sources


def _constant_problem(field: Field, given: Any, rows: int) -> str | None:
    problem = field.problem(given)
    if problem and isinstance(given, str) and (field.type == "integer" or field.name == "input_location"):
        return f"{problem} The frame has no column of that name either."
    if not problem and field.name in _OF_ONE_ROW and rows > 1:
        return f"{field.name}= must differ from row to row: give a column's name or a template, got {given!r}."
    return problem


def _content(frame: pd.DataFrame, arguments: RequestArguments, sources: dict[str, Source]) -> Content | None:
    """What the payloads are made of; adds the content type that follows from it to ``sources``."""
    if arguments.input_location is not None:
        return None
    content_type = _content_type(arguments, sources)
    options = Options(nan=arguments.nan, bare=arguments.bare, wrap=arguments.wrap, packed=arguments.terms.packed)
    if arguments.template is not None:
        return from_template(arguments.template, frame, content_type, options)
    if arguments.payload is None or is_serializer(arguments.payload):
        columns = check_columns(frame, _as_list(arguments.columns, frame))
        if arguments.payload is not None:
            return from_serializer(arguments.payload, columns, content_type, options)
        if is_raw(content_type) and len(columns) == 1 and _all_in_s3(frame[columns[0]]):
            _check_inputs_in_s3(arguments, f"The inputs of column {columns[0]!r}")
            sources["input_location"] = Column(columns[0])
            return None
        return FromColumns(columns, content_type, options)
    check_callable(arguments.payload)
    return from_callable(arguments.payload, frame, content_type, options)


def _check_content_type(sources: Mapping[str, Source], known_fields: Mapping[str, Field]) -> None:
    """It may be a serializer's own."""
    source = sources.get("content_type")
    problem = known_fields["content_type"].problem(source.value) if isinstance(source, Constant) else None
    if problem:
        raise RequestError(f"{problem} Nothing was sent.")


def _content_type(arguments: RequestArguments, sources: dict[str, Source]) -> str:
    own = arguments.payload.CONTENT_TYPE if is_serializer(arguments.payload) else DEFAULT_CONTENT_TYPE
    source = sources.setdefault("content_type", Constant(own))
    if isinstance(source, Constant):
        return str(source.value)
    if arguments.payload is None or is_serializer(arguments.payload):
        raise RequestError(
            "content_type decides how rows are written, so it is one for all of them; it may differ from row to row"
            " with payload= a function, or with input_location=. Nothing was sent."
        )
    return "application/octet-stream"  # the function makes the bytes, and nothing here has to know of what


def _all_in_s3(column: pd.Series) -> bool:
    return len(column) > 0 and all(isinstance(cell, str) and cell.startswith("s3://") for cell in column)


def _as_list(columns: Sequence[Hashable] | Hashable | None, frame: pd.DataFrame) -> Sequence[Hashable]:
    """One column name is a list of one; a tuple is one name, since frames with two header lines have such names."""
    if columns is None:
        return list(frame.columns)
    if isinstance(columns, list | pd.Index | pd.Series | np.ndarray):
        return [as_python(name) for name in columns]
    if isinstance(columns, Iterator):
        raise RequestError(
            f"columns= takes a column's name or a list of names, got a value of type {type(columns).__name__}."
            " Nothing was sent."
        )
    return [columns]
