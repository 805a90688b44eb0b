"""Which requests a retry means: those of a status, of a class of error, or those that answer some rows."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from sm_async_nb.core.columns import BoolArray, IntArray
from sm_async_nb.core.ledger import Ledger, Status
from sm_async_nb.core.problems import label
from sm_async_nb.core.verdict import ErrorClass
from sm_async_nb.errors import RequestError
from sm_async_nb.job.papers import Papers
from sm_async_nb.job.reports import Reports

_RETRYABLE = (Status.FAILED, Status.EXPIRED, Status.REJECTED, Status.CANCELLED)
# What was completed is not sent again, though it cannot be read.
_CLASSES = [str(kind) for kind in ErrorClass if kind != ErrorClass.UNREADABLE]
_BAD = (Status.FAILED, Status.EXPIRED, Status.REJECTED)


def chosen(papers: Papers, ledger: Ledger, reports: Reports, *, status: Any, error_class: Any, rows: Any) -> IntArray:
    """The requests to send again; without a wish, all that ended badly.

    Raises
    ------
    RequestError
        If a status or a class is none, or a row is unknown or did not end badly.
    """
    if rows is not None:
        if status is not None or error_class is not None:
            raise RequestError("rows= names the requests itself; leave status= and error_class= out.")
        return _of_rows(papers, ledger, rows)
    statuses = _BAD if status is None else _statuses(status)
    requests = ledger.where(*statuses)
    if error_class is None:
        return requests
    wanted = _words(error_class, _CLASSES, "error_class")
    reports.load_failures()
    return requests[np.isin(reports.error_classes(requests).astype(str), wanted)]


def _of_rows(papers: Papers, ledger: Ledger, rows: Any) -> IntArray:
    index = papers.batch.frame.index
    places = np.flatnonzero(_is_meant(index, rows))
    requests = papers.batch.packing.request_of(places)
    for place, request in zip(places.tolist(), requests.tolist(), strict=True):
        status = Status(ledger.status[request])
        if status not in _RETRYABLE:
            raise RequestError(
                f"Row {label(index, place)} is {status}; only rows that have failed, expired, or were rejected or"
                " cancelled can be sent again. Nothing was sent."
            )
    return np.unique(requests)


def _is_meant(index: pd.Index, rows: Any) -> BoolArray:
    """Rows are named by their labels, by a frame or an index that bears them, or by a boolean for each row."""
    wanted = rows.index if isinstance(rows, pd.DataFrame) else rows
    if isinstance(wanted, pd.Series) and wanted.dtype == bool:
        wanted = wanted.to_numpy()
    if isinstance(wanted, np.ndarray | list) and len(wanted) == len(index) and _is_boolean(wanted):
        return np.asarray(wanted, dtype=np.bool_)
    labels = [wanted] if isinstance(wanted, str | tuple) or not isinstance(wanted, Iterable) else list(wanted)
    unknown = [one for one in labels if one not in index]
    if unknown:
        raise RequestError(f"The job has no row {unknown[0]!r}. Nothing was sent.")
    return np.asarray(index.isin(labels), dtype=np.bool_)


def _is_boolean(values: Any) -> bool:
    return len(values) > 0 and all(isinstance(value, bool | np.bool_) for value in values)


def _statuses(given: Any) -> tuple[Status, ...]:
    words = _words(given, [str(status) for status in _RETRYABLE], "status")
    return tuple(Status[word.upper()] for word in words)


def _words(given: Any, known: list[str], name: str) -> list[str]:
    words = [str(word) for word in ([given] if isinstance(given, str) else given)]
    for word in words:
        if word not in known:
            close = difflib.get_close_matches(word, known, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise RequestError(f"{name}= must be one of {', '.join(known)}, got {word!r}.{hint} Nothing was sent.")
    return words
