"""Facts that were learned and are not written down yet, gathered into columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from sm_async_nb.core.ledger import Fact, Learned


@dataclass
class _Column:
    requests: list[int] = field(default_factory=list)
    at: list[float] = field(default_factory=list)
    details: list[Mapping[str, str]] = field(default_factory=list)


class Findings:
    """What came in since the last :meth:`take`. Facts about one request are taken in the order of :class:`Fact`."""

    def __init__(self) -> None:
        self._columns: dict[Fact, _Column] = {}

    def __len__(self) -> int:
        return sum(len(column.requests) for column in self._columns.values())

    def add(self, fact: Fact, request: int, at: float, **details: str) -> None:
        """Note one fact about one request."""
        column = self._columns.setdefault(fact, _Column())
        column.requests.append(request)
        column.at.append(at)
        column.details.append(details)

    def take(self) -> list[Learned]:
        """All that was noted, which is forgotten here."""
        columns, self._columns = self._columns, {}
        return [_learned(fact, columns[fact]) for fact in sorted(columns)]


def _learned(fact: Fact, column: _Column) -> Learned:
    names = dict.fromkeys(name for details in column.details for name in details)
    return Learned(
        fact=fact,
        requests=np.array(column.requests, dtype=np.int64),
        at=np.array(column.at),
        details={name: [details.get(name) for details in column.details] for name in names},
    )
