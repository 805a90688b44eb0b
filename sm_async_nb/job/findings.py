"""Facts that were learned and are not written down yet, gathered into columns."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sm_async_nb.core.ledger import Fact, Learned

_Noted = tuple[float, Mapping[str, str]]


class Findings:
    """What came in since the last :meth:`take`. Facts about one request are taken in the order of :class:`Fact`."""

    def __init__(self) -> None:
        self._noted: dict[Fact, dict[int, _Noted]] = {}

    def __bool__(self) -> bool:
        return bool(self._noted)

    def __len__(self) -> int:
        return sum(map(len, self._noted.values()))

    def add(self, fact: Fact, request: int, at: float, **details: str) -> None:
        """Note one fact about one request; told twice, by a look and a notification, it is noted once."""
        self._noted.setdefault(fact, {}).setdefault(request, (at, details))

    def take(self) -> list[Learned]:
        """All that was noted, which is forgotten here."""
        noted, self._noted = self._noted, {}
        return [_learned(fact, noted[fact]) for fact in sorted(noted)]


def _learned(fact: Fact, noted: Mapping[int, _Noted]) -> Learned:
    told = [details for _, details in noted.values()]
    names = dict.fromkeys(name for details in told for name in details)
    return Learned(
        fact=fact,
        requests=np.array(list(noted), dtype=np.int64),
        at=np.array([at for at, _ in noted.values()]),
        details={name: [details.get(name) for details in told] for name in names},
    )
