"""The requests of a job: rows of a frame in; for each request, its payload and its fields out.

Nothing is encoded before it is needed, and nothing is kept for long: a request's payload is made together with its
neighbours', a block at a time, so a million rows cost what one block costs. :meth:`Batch.check` goes through all of
them once, before anything is sent, and remembers the sizes only.
"""

from __future__ import annotations

import difflib
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from sm_async_nb.core.check import BLOCK, Check
from sm_async_nb.core.columns import FloatArray, IntArray
from sm_async_nb.core.content import Content
from sm_async_nb.core.fingerprint import Fingerprints, fingerprints_of, marks_of, told_of
from sm_async_nb.core.locations import JobLayout, S3Location
from sm_async_nb.core.packing import Packing, one_row_each
from sm_async_nb.core.problems import Problems, label, sentence
from sm_async_nb.core.request import Field
from sm_async_nb.core.sources import Constant, Source
from sm_async_nb.core.terms import DEFAULT_INVOCATION_TIMEOUT_SECONDS, DEFAULT_REQUEST_TTL_SECONDS, Terms
from sm_async_nb.errors import ColumnNotFoundError, PayloadLostError, RequestError

# To encode so many takes some ten milliseconds.
_ROWS_A_BLOCK = 5_000

_HOW_TO_GO_ON = "It was not sent. Run submit again under the job's name, with what it is made of."


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """One request, ready to go: its fields, and the input to upload first, if there is one.

    Its repr tells the location only: payloads and custom attributes are sensitive.
    """

    fields: dict[str, Any] = field(repr=False)
    location: S3Location | None = None
    payload: bytes = field(default=b"", repr=False)


@dataclass
class _Block:
    """The payloads of some requests in a row, or why they cannot be made again."""

    number: int = -1
    payloads: list[bytes | PayloadLostError] = field(default_factory=list, repr=False)


@dataclass
class _FieldBlock:
    """The fields of some requests in a row."""

    number: int = -1
    fields: dict[str, list[Any]] = field(default_factory=dict, repr=False)


class Batch:
    """The requests made of a frame's rows.

    Parameters
    ----------
    frame
        The rows. It is not copied here; its owner promises not to change it.
    endpoint_name
        Whom they go to.
    content
        What payloads are made of; None if the inputs lie in S3 already (then ``sources`` has ``input_location``).
    sources
        Where the fields' values come from, by field name.
    known_fields
        The request's fields as the installed SDK knows them, from :func:`~sm_async_nb.core.request.read_fields`.
    terms
        How rows become requests.
    """

    def __init__(
        self,
        frame: pd.DataFrame,
        *,
        endpoint_name: str,
        content: Content | None,
        sources: Mapping[str, Source],
        known_fields: Mapping[str, Field],
        terms: Terms | None = None,
    ) -> None:
        self.frame = frame
        self.endpoint_name = endpoint_name
        self.content = content
        self.sources = dict(sources)
        self.known_fields = known_fields
        self.terms = terms or Terms()
        self.packing: Packing = one_row_each(len(frame))
        self.payload_bytes: IntArray = np.zeros(0, dtype=np.int64)
        self._constants = {name: s.value for name, s in self.sources.items() if isinstance(s, Constant)}
        self._varying = {name: s for name, s in self.sources.items() if not isinstance(s, Constant)}
        self._block = _Block()
        self._field_block = _FieldBlock()
        self._fingerprints: Fingerprints | None = None
        self._asked: Fingerprints | None = None
        self._numbers: IntArray | None = None
        self.terms.check_ability(known_fields)

    def __len__(self) -> int:
        """How many requests there are; they are known once :meth:`check` has been called."""
        return len(self.packing)

    def __repr__(self) -> str:
        return f"<Batch of {len(self)} requests for {len(self.frame)} rows to {self.endpoint_name}>"

    def prepare(self, request: int, attempt: int, layout: JobLayout, *, is_up: bool = False) -> Prepared:
        """One request with all its fields.

        ``is_up`` says that its input lies in S3 already; then no payload is made, and there is none to upload.

        Raises
        ------
        PayloadLostError
            If the payload cannot be made any more, or, in a batch that was restored, would be another one.
        """
        number = self.number_of(request)
        fields = {"endpoint_name": self.endpoint_name, **self.fields_of(request)}
        fields.setdefault("inference_id", layout.inference_id(number, attempt))
        if self.has_own_output_path:
            fields.setdefault("s3_output_path_extension", layout.s3_output_path_extension(number))
            if attempt or "filename" not in fields:
                # A name of the caller's is for the first attempt: what that left there would answer the next one.
                fields["filename"] = layout.filename(number, attempt)
        if self.content is None:
            return Prepared(fields=fields)
        location = layout.input_location(number, self.content.suffix)
        if is_up:
            return Prepared(fields={**fields, "input_location": str(location)})
        payload = self.payload(request)
        if self._goes_inline(len(payload)):
            return Prepared(fields={**fields, "body": payload})
        return Prepared(fields={**fields, "input_location": str(location)}, location=location, payload=payload)

    def number_of(self, request: int) -> int:
        """The number of a request for ever, which its names are made of, by its place in this batch."""
        return request if self._numbers is None else int(self._numbers[request])

    def payload(self, request: int) -> bytes:
        """The bytes of one request.

        Raises
        ------
        PayloadLostError
            As :meth:`prepare` does.
        """
        payload = self._block_of(request).payloads[request % self._block_size]
        if isinstance(payload, PayloadLostError):
            raise payload.with_traceback(None)
        return payload

    def fields_of(self, request: int) -> dict[str, Any]:
        """The fields that the caller has given for one request; what is None is not sent."""
        place = request % self._block_size
        varying = self._fields_near(request) if self._varying else {}
        own = {name: values[place] for name, values in varying.items() if values[place] is not None}
        return {**self._constants, **own}

    def input_location(self, request: int, layout: JobLayout) -> str:
        """Where the input of a request lies in S3; empty if it goes inside the request."""
        if self.content is None:
            return str(self.fields_of(request).get("input_location", ""))
        if self._goes_inline(int(self.payload_bytes[request])):
            return ""
        return str(layout.input_location(self.number_of(request), self.content.suffix))

    @property
    def inline_requests(self) -> int:
        """How many requests carry their payload themselves."""
        if self.content is None or self.terms.inline == "never" or "body" not in self.known_fields:
            return 0
        return int((self.payload_bytes <= self._body_bytes).sum())

    @property
    def has_own_output_path(self) -> bool:
        """Whether the installed SDK can ask for an output path and file name of our choice."""
        return {"s3_output_path_extension", "filename"} <= self.known_fields.keys()

    def described_sources(self) -> dict[str, Any]:
        """Each field's constant, unless it is sensitive, or in words where its values come from."""
        constants = {
            name: self.known_fields[name].shown(value) if self.known_fields[name].sensitive else value
            for name, value in self._constants.items()
        }
        return {**{name: str(source) for name, source in self._varying.items()}, **constants}

    def accept_of(self, request: int) -> str | None:
        """What a request asks for, None where nothing is asked for."""
        return self.fields_of(request).get("accept") if "accept" in self.sources else None

    @property
    def allowance(self) -> float | FloatArray:
        """Seconds that the service allows for an answer from acceptance on, for all or for each request."""
        ttl = self._seconds("request_ttl_seconds", DEFAULT_REQUEST_TTL_SECONDS)
        return ttl + self._seconds("invocation_timeout_seconds", DEFAULT_INVOCATION_TIMEOUT_SECONDS)

    def check(self) -> None:
        """Go through every row once, and pack them, so that what cannot be sent is known before anything is.

        Raises
        ------
        RequestError
            Counting the rows that cannot, with the first few by index label, the value and the rule.
        """
        self.find_problems().refuse()

    def find_problems(self) -> Problems:
        """The same check, for those who want to see the problems and not to be refused."""
        check = self._check()
        self.packing, self.payload_bytes, self._fingerprints = check.run()
        return check.problems

    @property
    def fingerprints(self) -> Fingerprints:
        """What each row sends, in sixteen bytes; see :mod:`~sm_async_nb.core.fingerprint`. Known after :meth:`check`.

        Where several rows share a request, each is encoded once more, alone, when this is first asked for.
        """
        if self._fingerprints is None:
            check = self._check()
            found = check.fingerprints()
            check.problems.refuse()
            self._fingerprints = found
        return self._fingerprints

    # Going on with a job that was there before

    def restore(
        self,
        packing: Packing,
        payload_bytes: IntArray,
        fingerprints_of_slots: Fingerprints,
        *,
        numbers: IntArray | None = None,
    ) -> None:
        """Take over how the rows were packed when they were checked, and encode nothing.

        From now on a payload is made only if it is what was asked for then.

        Parameters
        ----------
        packing, payload_bytes
            As they were; the bytes of each request.
        fingerprints_of_slots
            What each slot of ``packing`` has to send.
        numbers
            The number of each request, if they are not its places.
        """
        self._take(packing, numbers)
        self.payload_bytes = payload_bytes
        self._asked = fingerprints_of_slots
        self._fingerprints = fingerprints_of_slots[packing.slot_of_row]

    def continue_with(self, packing: Packing, payload_bytes: IntArray, *, numbers: IntArray) -> None:
        """Take over how :mod:`~sm_async_nb.core.continuation` has packed the rows, once they are checked.

        Where ``payload_bytes`` is negative, as it is for new requests, it is found out.
        """
        rows_bytes = None if self.terms.packed else self.payload_bytes[self.packing.slot_of_row]
        self._take(packing, numbers)
        self.payload_bytes = payload_bytes.copy()
        unknown = np.flatnonzero(payload_bytes < 0)
        if rows_bytes is not None:
            self.payload_bytes[unknown] = rows_bytes[packing.slots[packing.bounds[unknown]]]
        elif self.content is None:
            self.payload_bytes[unknown] = 0
        else:
            self.payload_bytes[unknown] = [len(self.payload(request)) for request in unknown.tolist()]

    def pack_new(self, rows: IntArray) -> Packing:
        """How some of the rows are packed among themselves, in places of ``rows``.

        Raises
        ------
        RequestError
            If they can be sent together with the others only.
        """
        if not self.terms.packed:
            return one_row_each(len(rows))
        some = Batch(
            self.frame.iloc[rows],
            endpoint_name=self.endpoint_name,
            content=self.content,
            sources=self.sources,
            known_fields=self.known_fields,
            terms=replace(self.terms, deduplicate=False),
        )
        some.check()
        return some.packing

    # What is sent

    def _check(self) -> Check:
        return Check(self.frame, self.content, self._varying, self.known_fields, self.terms)

    def _take(self, packing: Packing, numbers: IntArray | None) -> None:
        self.packing, self._numbers = packing, numbers
        self._block, self._field_block = _Block(), _FieldBlock()

    def _encoded(self, requests: range) -> list[bytes | PayloadLostError]:
        """The payloads of consecutive requests. One that cannot be made must not take its neighbours with it."""
        if self.content is None:
            return [b""] * len(requests)
        try:
            return self._encoded_together(self.content, requests)
        except (TypeError, ValueError) as error:
            if len(requests) == 1:
                return [self._lost(requests[0], error)]
        return [payload for request in requests for payload in self._encoded(range(request, request + 1))]

    def _encoded_together(self, content: Content, requests: range) -> list[bytes | PayloadLostError]:
        rows, bounds = self.packing.taken(self.frame, requests)
        payloads = content.encode(rows, bounds)
        if self._asked is None:
            return list(payloads)
        alone = content.encode(rows, range(len(rows) + 1)) if self.terms.packed else payloads
        told = told_of({name: source.values(rows) for name, source in self._varying.items()})
        first = int(self.packing.bounds[requests.start])
        other = fingerprints_of(marks_of(content, rows, alone), told) != self._asked[first : first + len(rows)]
        are_others = np.logical_or.reduceat(other, bounds[:-1]).tolist()
        return [
            self._lost(request) if is_other else payload
            for request, payload, is_other in zip(requests, payloads, are_others, strict=True)
        ]

    def _lost(self, request: int, error: Exception | None = None) -> PayloadLostError:
        rows = self.packing.rows_of(request)
        others = f" and {len(rows) - 1} more of its request" if len(rows) > 1 else ""
        row = f"Row {label(self.frame.index, int(rows[0]))}{others}"
        if error is None:
            return PayloadLostError(f"{row}: what would be sent now is not what was checked at first. {_HOW_TO_GO_ON}")
        if isinstance(error.__cause__, PayloadLostError):
            return PayloadLostError(f"{row}: {error.__cause__} {_HOW_TO_GO_ON}")
        return PayloadLostError(f"{row}: its payload cannot be made again: {sentence(error)} {_HOW_TO_GO_ON}")

    def _goes_inline(self, size: int) -> bool:
        return self.terms.inline != "never" and "body" in self.known_fields and size <= self._body_bytes

    @property
    def _body_bytes(self) -> int:
        body = self.known_fields.get("body")
        return body.maximum or 0 if body else 0

    def _seconds(self, name: str, default: int) -> float | FloatArray:
        source = self._varying.get(name)
        if source is None:
            return float(self._constants.get(name, default))
        firsts = self.frame.iloc[self.packing.slots[self.packing.bounds[:-1]]]
        return np.array([default if value is None else value for value in source.values(firsts)], dtype=np.float64)

    def _block_of(self, request: int) -> _Block:
        # Read once: the engine and whoever looks at a table share it, and each must get the block of its own request.
        block = self._block
        number = request // self._block_size
        if number != block.number:
            block = self._block = _Block(number, self._encoded(self._requests_near(request)))
        return block

    def _fields_near(self, request: int) -> dict[str, list[Any]]:
        block = self._field_block
        number = request // self._block_size
        if number != block.number:
            rows, bounds = self.packing.taken(self.frame, self._requests_near(request))
            firsts = rows.iloc[bounds[:-1]]
            fields = {name: source.values(firsts) for name, source in self._varying.items()}
            block = self._field_block = _FieldBlock(number, fields)
        return block.fields

    def _requests_near(self, request: int) -> range:
        first = request - request % self._block_size
        return range(first, min(first + self._block_size, len(self)))

    @property
    def _block_size(self) -> int:
        """How many requests are encoded together: fewer where each has many rows, since an event loop waits for it."""
        return min(BLOCK, max(1, _ROWS_A_BLOCK * len(self.packing) // max(len(self.packing.slots), 1)))


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
        _check_name(column)
        if column not in frame.columns:
            raise ColumnNotFoundError(f"The frame has no column {column!r}.{_nearest(column, frame)} Nothing was sent.")
    _refuse_broken_names(columns)
    _refuse_equal_names(columns)
    return list(columns)


def _check_name(column: object) -> None:
    try:
        hash(column)
    except TypeError:
        raise RequestError(
            f"columns= takes a column's name or a list of names, got a value of type {type(column).__name__}."
            " Nothing was sent."
        ) from None


def _refuse_broken_names(columns: Sequence[Hashable]) -> None:
    for column in columns:
        try:
            str(column).encode()
        except UnicodeEncodeError:
            raise RequestError(
                f"The column {column!r} has a lone surrogate in its name, which no payload can carry; rename it."
                " Nothing was sent."
            ) from None


def _refuse_equal_names(columns: Sequence[Hashable]) -> None:
    """In a payload a column's name is text, and no two may have the same."""
    first: dict[str, Hashable] = {}
    for column in columns:
        if str(column) in first:
            both = f"{first[str(column)]!r} and {column!r}"
            raise RequestError(f"The columns {both} would have one name in a payload. Nothing was sent.")
        first[str(column)] = column


def _nearest(column: Hashable, frame: pd.DataFrame) -> str:
    if isinstance(column, tuple) and all(name in frame.columns for name in column):
        return " A tuple is one name; give several names as a list."
    names = {str(name): name for name in frame.columns}
    close = difflib.get_close_matches(str(column), names, n=1)
    if close:
        return f" Did you mean {names[close[0]]!r}?"
    shown = ", ".join(repr(name) for name in list(frame.columns)[:8])
    return f" It has {shown or 'no columns'}{', …' if len(frame.columns) > 8 else ''}."  # noqa: PLR2004
