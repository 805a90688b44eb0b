"""The fields of InvokeEndpointAsync and their limits, read from the service model that the SDK carries.

Nothing here is typed in by hand: what a field is called, where it travels on the wire, how long it may be and what
it may look like all come from the JSON that botocore ships as ``sagemaker-runtime/2017-05-13/service-2``. A newer SDK
therefore knows newer fields (``Body``, ``Filename``, ``S3OutputPathExtension``), and an older one honestly does not.

botocore itself checks only the minimum of a length or a number; the service checks the rest. So do we, beforehand.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

OPERATION = "InvokeEndpointAsync"

# Java's character classes, which the service model uses and Python's re does not know.
_CHARACTER_CLASSES = {"ASCII": r"\x00-\x7f", "Print": r"\x20-\x7e"}
# The API page asks this of CustomAttributes beyond the model, which has it in a header (RFC 7230, 3.2.6).
_VISIBLE = re.compile(r"[\x20-\x7e]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_WORD_ENDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


@dataclass(frozen=True, kw_only=True)
class Field:
    """One member of the request.

    ``location`` is where it travels: ``"uri"``, ``"header"`` (then ``header`` is its name) or ``"body"``.
    ``minimum`` and ``maximum`` bound a number, or the length of a string or blob in characters or bytes.
    """

    name: str
    member: str
    type: str
    location: str
    header: str | None = None
    required: bool = False
    sensitive: bool = False
    minimum: int | None = None
    maximum: int | None = None
    pattern: str | None = None

    def problem(self, value: object) -> str | None:
        """Say which rule ``value`` breaks, or None. The sentence names the member as the AWS page does."""
        if self.type == "integer":
            return self._number_problem(value)
        if self.type == "blob":
            return self._blob_problem(value)
        return self._text_problem(value)

    def shown(self, value: object) -> str:
        """``value`` as a message may show it; a sensitive one is only measured."""
        if isinstance(value, (str, bytes)) and self.sensitive:
            return f"<{len(value)} {'bytes' if isinstance(value, bytes) else 'characters'}, not shown>"
        if self.sensitive or not isinstance(value, (str, bytes, int, float, type(None))):
            return f"a value of type {type(value).__name__}"
        return repr(value)

    def _number_problem(self, value: object) -> str | None:
        if isinstance(value, bool) or not isinstance(value, int):
            return f"{self.member} must be a whole number, got {self.shown(value)}."
        low, high = self.minimum, self.maximum
        if (low is not None and value < low) or (high is not None and value > high):
            unit = " seconds" if self.name.endswith("_seconds") else ""
            return f"{self.member} must be {_range(low, high)}{unit}, got {value}."
        return None

    def _blob_problem(self, value: object) -> str | None:
        if not isinstance(value, bytes):
            return f"{self.member} must be bytes, got {type(value).__name__}."
        return self._length_problem(len(value), "bytes")

    def _text_problem(self, value: object) -> str | None:
        if not isinstance(value, str):
            return f"{self.member} must be text, got {self.shown(value)}."
        too_long = self._length_problem(len(value), "characters")
        if too_long:
            return too_long
        if self._regex is not None and self._regex.fullmatch(value) is None:
            return f"{self.member} must match {self.pattern}, got {self.shown(value)}."
        if self.name == "custom_attributes" and not _VISIBLE.fullmatch(value):
            return f"{self.member} must be visible US-ASCII characters, got {self.shown(value)}."
        if self.location == "header" and _CONTROL.search(value):
            return f"{self.member} must not have line breaks or other control characters, got {self.shown(value)}."
        return None

    def _length_problem(self, length: int, unit: str) -> str | None:
        low, high = self.minimum, self.maximum
        if (low is not None and length < low) or (high is not None and length > high):
            return f"{self.member} must be {_range(low, high)} {unit} long, got {length}."
        return None

    @cached_property
    def _regex(self) -> re.Pattern[str] | None:
        # A modelled pattern describes the whole value, as Java's matches() does, hence fullmatch above.
        return None if self.pattern is None else re.compile(python_pattern(self.pattern))


def read_fields(service_model: Mapping[str, Any]) -> dict[str, Field]:
    """The request's fields by their snake_case names, in the model's order.

    Parameters
    ----------
    service_model
        The parsed ``service-2`` JSON of ``sagemaker-runtime``.

    Raises
    ------
    KeyError
        If the model has no InvokeEndpointAsync, which no SDK since August 2021 lacks.
    """
    shapes = service_model["shapes"]
    request = shapes[service_model["operations"][OPERATION]["input"]["shape"]]
    required = set(request.get("required", ()))
    fields = [
        _field(member, trait, shapes[trait["shape"]], required=member in required)
        for member, trait in request["members"].items()
    ]
    return {field.name: field for field in fields}


def snake_case(member: str) -> str:
    """``RequestTTLSeconds`` becomes ``request_ttl_seconds``."""
    return _WORD_ENDS.sub("_", member).lower()


def python_pattern(pattern: str) -> str:
    r"""Rewrite a modelled pattern, which is Java's, for :mod:`re`: ``\p{ASCII}`` and ``\z`` are not Python's."""

    def known(match: re.Match[str]) -> str:
        characters = _CHARACTER_CLASSES.get(match["name"])
        if characters is None:
            raise ValueError(f"The service model uses the character class {match[0]}, which is not known here.")
        inside_brackets = pattern.count("[", 0, match.start()) > pattern.count("]", 0, match.start())
        return characters if inside_brackets else f"[{characters}]"

    return re.sub(r"\\p\{(?P<name>\w+)\}", known, pattern).replace(r"\z", r"\Z")


def _field(member: str, trait: Mapping[str, Any], shape: Mapping[str, Any], *, required: bool) -> Field:
    # A member without a location would be part of a JSON body; this operation has none, only the payload itself.
    return Field(
        name=snake_case(member),
        member=member,
        type=shape["type"],
        location=trait.get("location", "body"),
        header=trait.get("locationName"),
        required=required,
        sensitive=bool(shape.get("sensitive", False)),
        minimum=shape.get("min"),
        maximum=shape.get("max"),
        pattern=shape.get("pattern"),
    )


def _range(low: int | None, high: int | None) -> str:
    if low is None:
        return f"at most {high}"
    if high is None:
        return f"at least {low}"
    return f"{low} to {high}"
