"""Going through every row of a batch once, before anything is sent, so that whatever cannot be sent is told at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from sm_async_nb.core.columns import IntArray
from sm_async_nb.core.content import Content
from sm_async_nb.core.fingerprint import Fingerprints, fingerprints_of, marks_of, no_fingerprints, same_as, told_of
from sm_async_nb.core.packing import Packing, pack
from sm_async_nb.core.problems import Problems, label, sentence
from sm_async_nb.core.request import Field
from sm_async_nb.core.sources import Source
from sm_async_nb.core.terms import MAX_INPUT_BYTES, Terms
from sm_async_nb.errors import RequestError

BLOCK = 512

# Given twice, these would make two requests indistinguishable, or one output overwrite the other.
_UNIQUE = {"inference_id", "filename"}

_ALIKE = "sort the frame so that rows with the same are together, or send one row a request"


class Checked(NamedTuple):
    """How the rows are packed, how many bytes each request's payload has, and what each row sends.

    ``fingerprints`` are None where several rows share a request, since those cost a second encoding.
    """

    packing: Packing
    payload_bytes: IntArray
    fingerprints: Fingerprints | None


class Check:
    """The checks of one batch; :meth:`run` does them all and adds what it finds to ``problems``."""

    def __init__(
        self,
        frame: pd.DataFrame,
        content: Content | None,
        varying: Mapping[str, Source],
        known_fields: Mapping[str, Field],
        terms: Terms,
    ) -> None:
        self.problems = Problems(frame.index)
        self._frame = frame
        self._content = content
        self._varying = varying
        self._known_fields = known_fields
        self._terms = terms

    def run(self) -> Checked:
        """Check the fields of each row, pack the rows, check the payload of each request.

        Raises
        ------
        RequestError
            If the rows cannot be packed as asked. What is wrong with single rows is in ``problems``.
        """
        values = {name: self._values(name) for name in self._varying}
        told = told_of(values)
        fingerprints = self._fingerprints(told) if self._terms.deduplicate else None
        packing = self._packed(fingerprints)
        for name, column in values.items():
            self._check_field(name, column, packing)
            self._check_agreement(name, column, packing)
        if fingerprints is not None or self._terms.packed:
            return Checked(packing, self._payload_bytes(packing), fingerprints)
        fingerprints = no_fingerprints(len(self._frame))
        return Checked(packing, self._payload_bytes(packing, told, fingerprints), fingerprints)

    def fingerprints(self) -> Fingerprints:
        """What each row sends, each encoded alone."""
        values = {name: self._values(name) for name in self._varying}
        return self._fingerprints(told_of(values))

    # Fields

    def _values(self, name: str) -> list[Any]:
        """The field's value for each row; None, and a problem, where it cannot be made."""
        found: list[Any] = []
        for first in range(0, len(self._frame), BLOCK):
            rows = self._frame.iloc[first : first + BLOCK]
            found += self._each(rows, first, self._values_of(name))
        return found

    def _values_of(self, name: str) -> Callable[[pd.DataFrame], list[Any]]:
        def make(rows: pd.DataFrame) -> list[Any]:
            try:
                return self._varying[name].values(rows)
            except (TypeError, ValueError) as error:
                raise ValueError(f"{self._known_fields[name].member}: {error}") from None

        return make

    def _check_field(self, name: str, values: Sequence[Any], packing: Packing) -> None:
        field = self._known_fields[name]
        begins = np.zeros(len(values), dtype=np.bool_)  # whether a row is the first of its request
        begins[packing.slots[packing.bounds[:-1]]] = True
        first_row: dict[Any, int] = {}
        for row, value in enumerate(values):
            if value is None:
                if name == "input_location":
                    self.problems.add(row, "it has no input location.")
            elif problem := field.problem(value):
                self.problems.add(row, problem)
            elif name in _UNIQUE and begins[row] and (other := first_row.setdefault(value, row)) != row:
                same = label(self._frame.index, other)
                self.problems.add(row, f"{field.member} {value!r} is that of row {same} too; it must be unique.")

    def _check_agreement(self, name: str, values: Sequence[Any], packing: Packing) -> None:
        """Rows that share a request share its fields."""
        if not self._terms.packed or not len(packing):
            return
        codes = pd.factorize(np.array([repr(value) for value in values], dtype=object))[0][packing.slots]
        starts = packing.bounds[:-1]
        differ = np.maximum.reduceat(codes, starts) != np.minimum.reduceat(codes, starts)
        for request in np.flatnonzero(differ).tolist():
            member = self._known_fields[name].member
            self.problems.add(
                int(packing.rows_of(request)[0]), f"{member} differs among the rows of its request; {_ALIKE}."
            )

    # Packing

    def _packed(self, fingerprints: Fingerprints | None) -> Packing:
        terms, content = self._terms, self._content
        sizes = None
        if terms.max_payload_bytes is not None and content is not None:
            sizes = self._sizes(content)
        return pack(
            len(self._frame),
            rows_per_request=terms.rows_at_most,
            max_payload_bytes=terms.max_payload_bytes,
            sizes=sizes,
            same_as=None if fingerprints is None else same_as(fingerprints),
            overhead=content.overhead if content else 0,
        )

    def _fingerprints(self, told: Sequence[bytes] | None) -> Fingerprints:
        found = no_fingerprints(len(self._frame))
        for first in range(0, len(self._frame), BLOCK):
            rows = self._frame.iloc[first : first + BLOCK]
            self._mark(found, first, rows, self._row_payloads(rows, first), told)
        return found

    def _row_payloads(self, rows: pd.DataFrame, first: int) -> list[bytes | None]:
        content = self._content
        if content is None:
            return [b""] * len(rows)
        return self._each(rows, first, lambda part: content.encode(part, range(len(part) + 1)))

    def _mark(
        self,
        found: Fingerprints,
        first: int,
        rows: pd.DataFrame,
        payloads: Sequence[bytes | None],
        told: Sequence[bytes] | None,
    ) -> None:
        """Put down the fingerprints of some rows by their payloads; one without a payload is like no other."""
        good = [place for place, payload in enumerate(payloads) if payload is not None]
        if len(good) < len(rows):
            found[first : first + len(rows)] = fingerprints_of([b"%d" % row for row in range(first, first + len(rows))])
            rows = rows.iloc[good]
        marks = marks_of(self._content, rows, [payload for payload in payloads if payload is not None])
        places = first + np.array(good, dtype=np.int64)
        found[places] = fingerprints_of(marks, told and [told[place] for place in places.tolist()])

    def _sizes(self, content: Content) -> IntArray:
        sizes: list[int] = []
        for first in range(0, len(self._frame), BLOCK):
            rows = self._frame.iloc[first : first + BLOCK]
            sizes += [size or 0 for size in self._each(rows, first, lambda part: _known_sizes(content, part))]
        return np.array(sizes, dtype=np.int64)

    # Payloads

    def _payload_bytes(
        self, packing: Packing, told: Sequence[bytes] | None = None, fingerprints: Fingerprints | None = None
    ) -> IntArray:
        """The sizes; and the fingerprints, if there is a place for them and each request is one row."""
        sizes = np.zeros(len(packing), dtype=np.int64)
        for first in range(0, len(packing), BLOCK):
            requests = range(first, min(first + BLOCK, len(packing)))
            payloads = self._payloads(self._content, packing, requests)
            sizes[first : requests.stop] = [len(payload or b"") for payload in payloads]
            self._check_sizes(packing, requests, sizes[first : requests.stop])
            if fingerprints is not None:
                self._mark(fingerprints, first, self._frame.iloc[first : requests.stop], payloads, told)
        return _narrow(sizes)

    def _payloads(self, content: Content | None, packing: Packing, requests: range) -> list[bytes | None]:
        if content is None:
            return [b""] * len(requests)
        rows, bounds = packing.taken(self._frame, requests)
        try:
            return list(content.encode(rows, bounds))
        except (TypeError, ValueError) as error:
            payloads = [self._payload(content, packing, request) for request in requests]
            if None not in payloads:  # each is good alone, but they are made together
                self.problems.add(int(packing.rows_of(requests[0])[0]), sentence(error))
            return payloads

    def _payload(self, content: Content, packing: Packing, request: int) -> bytes | None:
        """One request's payload; where it cannot be made, the row that is to blame."""
        rows, bounds = packing.taken(self._frame, range(request, request + 1))
        try:
            return content.encode(rows, bounds)[0]
        except (TypeError, ValueError) as error:
            members = packing.rows_of(request).tolist()
            for row in members:
                self._each(self._frame.iloc[row : row + 1], row, lambda part: content.encode(part, (0, 1)))
            if not any(row in self.problems for row in members):
                self.problems.add(members[0], sentence(error))
            return None

    def _check_sizes(self, packing: Packing, requests: range, sizes: IntArray) -> None:
        most, of = self._largest_payload()
        for place in np.flatnonzero(sizes > most).tolist():
            row = int(packing.rows_of(requests[place])[0])
            self.problems.add(row, f"its payload has {sizes[place]:,} bytes, and {of} {most:,} at most.")

    def _largest_payload(self) -> tuple[int, str]:
        limits = [(MAX_INPUT_BYTES, "the service takes")]
        if self._terms.inline == "always":
            limits.append((self._known_fields["body"].maximum or 0, "a request carries"))
        if self._terms.max_payload_bytes is not None:
            limits.append((self._terms.max_payload_bytes, "max_payload_bytes allows"))
        return min(limits)

    def _each(self, rows: pd.DataFrame, first: int, make: Callable[[pd.DataFrame], Sequence[Any]]) -> list[Any]:
        """What ``make`` makes of the rows; if it cannot, row by row, with a problem for each that is to blame."""
        try:
            return list(make(rows))
        except RequestError:
            raise  # it is about the call, whatever the rows are
        except (TypeError, ValueError) as error:
            if len(rows) == 1:
                self.problems.add(first, sentence(error))
                return [None]
        starts = range(len(rows))
        return [self._each(rows.iloc[start : start + 1], first + start, make)[0] for start in starts]


def _narrow(sizes: IntArray) -> IntArray:
    """In half the memory, unless there is a payload of 2 GB, which is refused."""
    kind: Any = np.int32 if sizes.max(initial=0) <= np.iinfo(np.int32).max else np.int64
    return sizes.astype(kind)


def _known_sizes(content: Content, rows: pd.DataFrame) -> list[int]:
    sizes = content.sizes(rows)
    if sizes is None:
        raise RequestError(
            "max_payload_bytes needs a type whose rows add up: JSON, JSON Lines, CSV, libsvm or text."
            " Use rows_per_request instead. Nothing was sent."
        )
    return sizes
