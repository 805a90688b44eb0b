"""Going through what a job does as it does it, in a plain loop or an asynchronous one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Both(Generic[Item]):
    """What can be gone through with ``for`` and with ``async for``, from the start each time."""

    def __init__(self, items: Callable[[], Iterator[Item]], items_async: Callable[[], AsyncIterator[Item]]) -> None:
        self._items = items
        self._items_async = items_async

    def __iter__(self) -> Iterator[Item]:
        return self._items()

    def __aiter__(self) -> AsyncIterator[Item]:
        return self._items_async()
