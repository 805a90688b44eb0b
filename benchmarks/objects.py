"""The objects of the bench's own S3, sorted by key, so that a page out of a million is as fast as one out of ten."""

from __future__ import annotations

import bisect
from collections.abc import Iterator


class Objects:
    """Bodies and their content types by key.

    The keys of each folder are sorted by themselves: clients write them more or less in order, so a new one is next to
    the last, and nothing that comes after it in other folders has to move.
    """

    def __init__(self) -> None:
        self.bodies: dict[str, tuple[bytes, str]] = {}
        self._folders: dict[str, list[str]] = {}

    def put(self, key: str, body: bytes, content_type: str) -> None:
        """Write an object, or write it over."""
        if key not in self.bodies:
            bisect.insort(self._folders.setdefault(key.rpartition("/")[0], []), key)
        self.bodies[key] = (body, content_type)

    def below(self, prefix: str, after: str, most: int) -> list[str]:
        """At most so many keys that start with the prefix and come after another key, sorted."""
        found: list[str] = []
        for keys in self._near(prefix):
            at = bisect.bisect_right(keys, after) if after >= prefix else bisect.bisect_left(keys, prefix)
            found += [key for key in keys[at : at + most] if key.startswith(prefix)]
        return sorted(found)[:most]

    def directly_below(self, prefix: str) -> tuple[list[str], list[str]]:
        """The keys without a further slash, and the prefixes that those with one share."""
        every = [key for keys in self._near(prefix) for key in keys if key.startswith(prefix)]
        rest = {key: key.removeprefix(prefix) for key in every}
        folders = {f"{prefix}{name.partition('/')[0]}/" for name in rest.values() if "/" in name}
        return sorted(key for key, name in rest.items() if "/" not in name), sorted(folders)

    def _near(self, prefix: str) -> Iterator[list[str]]:
        for folder, keys in self._folders.items():
            if folder.startswith(prefix) or prefix.startswith(folder):
                yield keys
