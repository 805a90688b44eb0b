"""The requests of a job: rows of a frame in; for each request, its payload and its fields out.

Nothing is encoded before it is needed, and nothing is kept for long: a request's payload is made together with its
neighbours', a block at a time, so a million rows cost what one block costs.
"""

from __future__ import annotations

import difflib
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from sm_async_nb.core.locations import JobLayout
from sm_async_nb.core.payload import Codec, codec_for
from sm_async_nb.core.request import Field
from sm_async_nb.errors import ColumnNotFoundError, RequestError

# The service's limits on an input in S3, and its defaults for the two times, in seconds.
MAX_INPUT_BYTES = 1_000_000_000
DEFAULT_REQUEST_TTL_SECONDS = 21_600
DEFAULT_INVOCATION_TIMEOUT_SECONDS = 900

_BLOCK = 512
_PROBLEMS_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class RequestFields:
    """What every request of a job has in common, in the service's own words; None is not sent.

    The service's default for ``request_ttl_seconds`` is 21,600 and for ``invocation_timeout_seconds`` 900.
    """

    endpoint_name: str
    content_type: str = "application/json"
    accept: str | None = None
    custom_attributes: str | None = None
    request_ttl_seconds: int | None = None
    invocation_timeout_seconds: int | None = None

    def given(self) -> dict[str, str | int]:
        """Those that are sent."""
        return {name: value for name, value in vars(self).items() if value is not None}

    @property
    def allowance(self) -> int:
        """Seconds that the service allows for an answer, from acceptance on."""
        ttl = self.request_ttl_seconds or DEFAULT_REQUEST_TTL_SECONDS
        return ttl + (self.invocation_timeout_seconds or DEFAULT_INVOCATION_TIMEOUT_SECONDS)


class Batch:
    """The requests made of a frame's rows, one row each.

    Parameters
    ----------
    frame
        The rows. It is not copied here; its owner promises not to change it.
    columns
        Which columns make the payload, in this order; all of them by default.
    fields
        What every request has in common.
    known_fields
        The request's fields as the installed SDK knows them, from :func:`~sm_async_nb.core.request.read_fields`.

    Raises
    ------
    ColumnNotFoundError, RequestError
        If a column, a field or the content type is not as it must be.
    """

    def __init__(
        self,
        frame: pd.DataFrame,
        *,
        columns: Sequence[Hashable] | None,
        fields: RequestFields,
        known_fields: Mapping[str, Field],
    ) -> None:
        self.frame = frame
        self.columns = check_columns(frame, frame.columns.tolist() if columns is None else columns)
        self.fields = fields
        self.known_fields = known_fields
        _check_fields(fields, known_fields)
        self.codec: Codec = codec_for(fields.content_type)
        self._block_number = -1
        self._block: list[bytes] = []

    def __len__(self) -> int:
        return len(self.frame)

    def __repr__(self) -> str:
        return f"<Batch of {len(self)} requests to {self.fields.endpoint_name}, {self.fields.content_type}>"

    def payload(self, request: int) -> bytes:
        """The bytes of one request."""
        block, place = divmod(request, _BLOCK)
        if block != self._block_number:
            self._block = self.codec.encode(self._rows(block * _BLOCK, (block + 1) * _BLOCK))
            self._block_number = block
        return self._block[place]

    def fields_of(self, request: int, attempt: int, layout: JobLayout) -> dict[str, str | int]:
        """The fields of one request, without its input."""
        fields = {**self._common_fields, "inference_id": layout.inference_id(request, attempt)}
        if self.has_own_output_path:
            fields["s3_output_path_extension"] = layout.s3_output_path_extension(request)
            fields["filename"] = layout.filename(request, attempt)
        return fields

    @property
    def has_own_output_path(self) -> bool:
        """Whether the installed SDK can ask for an output path and file name of our choice."""
        return {"s3_output_path_extension", "filename"} <= self.known_fields.keys()

    def check(self) -> None:
        """Encode every row once, so that what cannot be sent is known before anything is.

        Raises
        ------
        RequestError
            Counting the rows that cannot, with the first few by index label and the reason.
        """
        problems: list[str] = []
        wrong = 0
        for start in range(0, len(self), _BLOCK):
            for label, problem in self._problems(start, start + _BLOCK):
                wrong += 1
                if len(problems) < _PROBLEMS_SHOWN:
                    problems.append(f"  row {label!r}: {problem}")
        if wrong:
            rows = "1 row" if wrong == 1 else f"{wrong} of {len(self)} rows"
            more = f"\n  and {wrong - len(problems)} more" if wrong > len(problems) else ""
            listed = "\n".join(problems)
            raise RequestError(f"{rows} cannot be sent:\n{listed}{more}\nNothing was sent.")

    @cached_property
    def _common_fields(self) -> dict[str, str | int]:
        return self.fields.given()

    def _rows(self, start: int, stop: int) -> pd.DataFrame:
        return self.frame.iloc[start:stop].loc[:, self.columns]

    def _problems(self, start: int, stop: int) -> list[tuple[Hashable, str]]:
        rows = self._rows(start, stop)
        try:
            payloads = self.codec.encode(rows)
        except (TypeError, ValueError):
            return self._problems_one_by_one(rows)
        labels = rows.index
        return [
            (labels[place], f"its payload has {len(payload):,} bytes, the service takes {MAX_INPUT_BYTES:,}.")
            for place, payload in enumerate(payloads)
            if len(payload) > MAX_INPUT_BYTES
        ]

    def _problems_one_by_one(self, rows: pd.DataFrame) -> list[tuple[Hashable, str]]:
        problems: list[tuple[Hashable, str]] = []
        for place in range(len(rows)):
            try:
                self.codec.encode(rows.iloc[place : place + 1])
            except (TypeError, ValueError) as error:
                problems.append((rows.index[place], f"{error}."))
        return problems


def check_columns(frame: pd.DataFrame, columns: Sequence[Hashable]) -> list[Hashable]:
    """The columns as a list, each of them in the frame.

    Raises
    ------
    ColumnNotFoundError
        With the nearest name that the frame has.
    """
    if not len(columns):
        raise RequestError("There is no column, so there is nothing to make a payload of. Nothing was sent.")
    for column in columns:
        if column not in frame.columns:
            raise ColumnNotFoundError(f"The frame has no column {column!r}.{_nearest(column, frame)} Nothing was sent.")
    _refuse_equal_names(columns)
    return list(columns)


def _refuse_equal_names(columns: Sequence[Hashable]) -> None:
    """In a payload a column's name is text, and no two may have the same."""
    first: dict[str, Hashable] = {}
    for column in columns:
        if str(column) in first:
            both = f"{first[str(column)]!r} and {column!r}"
            raise RequestError(f"The columns {both} would have one name in a payload. Nothing was sent.")
        first[str(column)] = column


def _nearest(column: Hashable, frame: pd.DataFrame) -> str:
    names = {str(name): name for name in frame.columns}
    close = difflib.get_close_matches(str(column), names, n=1)
    if close:
        return f" Did you mean {names[close[0]]!r}?"
    shown = ", ".join(repr(name) for name in list(frame.columns)[:8])
    return f" It has {shown or 'no columns'}{', …' if len(frame.columns) > 8 else ''}."  # noqa: PLR2004


def _check_fields(fields: RequestFields, known: Mapping[str, Field]) -> None:
    problems = [known[name].problem(value) for name, value in fields.given().items()]
    found = [problem for problem in problems if problem]
    if found:
        raise RequestError(f"{' '.join(found)} Nothing was sent.")
