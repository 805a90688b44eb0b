"""What was asked for: the arguments of a submit, kept with the job and read again in another kernel.

It is kept exactly, custom attributes too, since the manifest lies in the user's own bucket beside the payloads. The one
thing that cannot be kept is a function: only its name is.
"""

from __future__ import annotations

import datetime as dt
import decimal
import difflib
import uuid
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, fields, replace
from importlib.metadata import version
from typing import Any, NoReturn

import numpy as np
import pandas as pd

from sm_async_nb.core.batch import Batch
from sm_async_nb.core.build import RequestArguments
from sm_async_nb.core.content import is_serializer
from sm_async_nb.core.sources import Column, Constant
from sm_async_nb.core.values import as_python
from sm_async_nb.errors import PayloadLostError, RequestError

_ARGUMENTS = tuple(field.name for field in fields(RequestArguments))
_OWN = ("retries", "max_failures")
_MADE_BY = "made_by"

# These say how a payload travels, how often the same is sent, and how long it may take, which no answer depends on.
_NEVER_DIFFER = {"inline", "deduplicate", "request_ttl_seconds", "invocation_timeout_seconds"}

_LONGEST_SHOWN = 200
_MOST_LINES = 12
_MOST_LABELS = 8


@dataclass(frozen=True)
class Asked:
    """The arguments of a submit, as far as another kernel needs them; make one with :func:`asked_of`.

    ``retries`` is how often a request is sent again by itself, ``max_failures`` how many may fail, as a count or a
    fraction, before the job stops.
    """

    arguments: RequestArguments
    retries: int = 0
    max_failures: float | None = None

    @property
    def payload_is_lost(self) -> bool:
        """Whether payloads were made by a function or a serializer of which only the name was kept."""
        return isinstance(self.arguments.payload, LostPayload)

    def to_json(self) -> dict[str, Any]:
        """Plain values, for JSON; what was not said is left out.

        Raises
        ------
        RequestError
            If a column's label is of a type that cannot be kept.
        """
        given = {name: as_python(getattr(self.arguments, name)) for name in _ARGUMENTS}
        given["columns"] = _labels(self.arguments.columns)
        given["payload"] = _payload_to_json(self.arguments.payload)
        given.update({name: as_python(getattr(self, name)) for name in _OWN})
        given[_MADE_BY] = _this_version()
        return {name: value for name, value in given.items() if value is not None}

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Asked:
        """The inverse of :meth:`to_json`.

        Raises
        ------
        RequestError
            If a newer version has kept something that this one does not know, or it is damaged.
        """
        made_by = str(kept.get(_MADE_BY, "another version"))
        unknown = sorted(kept.keys() - {*_ARGUMENTS, *_OWN, _MADE_BY})
        if unknown:
            _refuse_newer(", ".join(unknown), made_by)
        if "endpoint_name" not in kept:
            raise RequestError("What the job was asked for is damaged: it names no endpoint. Nothing was sent.")
        given = {name: kept[name] for name in _ARGUMENTS if name in kept}
        if "columns" in given:
            given["columns"] = [_label_from_json(label, made_by) for label in given["columns"]]
        if "payload" in given:
            given["payload"] = LostPayload.from_json(given["payload"])
        return cls(RequestArguments(**given), **{name: kept[name] for name in _OWN if name in kept})


class LostPayload:
    """In place of a function that was not kept: it can be built a batch with, and makes no payload."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"<payload={self.name}, which is not kept with a job>"

    def __call__(self, _row: Any) -> NoReturn:
        """Say what is missing."""
        raise PayloadLostError(f"its payload is made by payload={self.name}, and a function is not kept with a job.")

    @staticmethod
    def from_json(kept: Mapping[str, str]) -> LostPayload:
        """A serializer keeps its content type too, since it decides it."""
        name = kept["name"]
        return LostSerializer(name, kept["content_type"]) if "content_type" in kept else LostPayload(name)


class LostSerializer(LostPayload):
    """The same in place of a serializer."""

    def __init__(self, name: str, content_type: str) -> None:
        super().__init__(name)
        self.CONTENT_TYPE = content_type  # as the SageMaker SDK spells it

    def serialize(self, data: Any) -> NoReturn:
        """Say what is missing."""
        self(data)


def asked_of(
    arguments: RequestArguments, batch: Batch, *, retries: int = 0, max_failures: float | None = None
) -> Asked:
    """What was asked for, with what follows from the frame written out: its columns, and the content type.

    So a column that is added to the frame later is noticed, before every row is sent again because of it.
    """
    source = batch.sources.get("content_type")
    if batch.content is not None and isinstance(source, Constant):
        arguments = replace(arguments, content_type=source.value)
    columns = _columns_of(arguments, batch)
    return Asked(replace(arguments, columns=columns), as_python(retries), as_python(max_failures))


def differences(old: Asked, new: Asked) -> list[str]:
    """What would be asked for otherwise than before, a text for each argument, for people to read.

    What says how fast the job goes, how it is watched and when it gives up is no difference, nor is how a payload
    travels; and a function is told by its name, since the payloads themselves tell what it does.
    """
    before, after = _compared(old.arguments), _compared(new.arguments)
    return [_told(name, before[name], after[name]) for name in before if before[name] != after[name]]


def _columns_of(arguments: RequestArguments, batch: Batch) -> list[Hashable] | None:
    if arguments.template is not None or arguments.input_location is not None:
        return None
    if arguments.payload is not None and not is_serializer(arguments.payload):
        return None
    if batch.content is not None:
        return list(batch.content.columns)
    source = batch.sources["input_location"]  # one column, whose cells turned out to be S3 URIs
    return [source.name] if isinstance(source, Column) else None


def _refuse_newer(what: str, made_by: str) -> NoReturn:
    raise RequestError(
        f"The job was asked for with {what}, which {_this_version()} does not know; {made_by} has written it."
        " Update sm-async-nb. Nothing was sent."
    )


def _this_version() -> str:
    return f"sm-async-nb {version('sm-async-nb')}"


# Functions


def _name_of(payload: Any) -> str:
    if isinstance(payload, LostPayload):
        return payload.name
    named = payload if hasattr(payload, "__qualname__") else type(payload)
    return f"{named.__module__}.{named.__qualname__}"


def _payload_to_json(payload: Any) -> dict[str, str] | None:
    if payload is None:
        return None
    kept = {"name": _name_of(payload)}
    return {**kept, "content_type": str(payload.CONTENT_TYPE)} if is_serializer(payload) else kept


# Labels of columns


def _labels(columns: Any) -> list[Any] | None:
    if columns is None:
        return None
    several = columns if isinstance(columns, list | pd.Index | pd.Series | np.ndarray) else [columns]
    return [_label_to_json(as_python(label)) for label in several]


def _label_to_json(label: Any) -> Any:
    """A text is itself; anything else is a text with its kind."""
    if isinstance(label, str):
        return str(label)
    if isinstance(label, tuple):
        return {"kind": "tuple", "value": [_label_to_json(as_python(part)) for part in label]}
    if isinstance(label, pd.Interval):
        ends = [_label_to_json(as_python(end)) for end in (label.left, label.right)]
        return {"kind": f"interval {label.closed}", "value": ends}
    for kind, (of, write, _) in _KINDS.items():
        if type(label) is of:
            return {"kind": kind, "value": write(label)}
    raise RequestError(
        f"The column {label!r} has a label of type {type(label).__name__}, which cannot be kept with a job; rename it."
        " Nothing was sent."
    )


def _label_from_json(kept: Any, made_by: str) -> Any:
    if isinstance(kept, str):
        return kept
    kind, value = kept["kind"], kept["value"]
    if kind == "tuple":
        return tuple(_label_from_json(part, made_by) for part in value)
    if kind.startswith("interval "):
        left, right = (_label_from_json(end, made_by) for end in value)
        return pd.Interval(left, right, closed=kind.removeprefix("interval "))
    if kind not in _KINDS:
        _refuse_newer(f"a column label of kind {kind!r}", made_by)
    return _KINDS[kind][2](value)


def _timestamp_to_text(label: pd.Timestamp) -> str:
    """With the zone's name behind it, if it has one: an offset alone would be another zone in summer."""
    zone = getattr(label.tzinfo, "key", None) or getattr(label.tzinfo, "zone", None)
    return f"{label.isoformat()} {zone or ''}".rstrip()


def _timestamp_from_text(text: str) -> pd.Timestamp:
    instant, _, zone = text.partition(" ")
    return pd.Timestamp(instant).tz_convert(zone) if zone else pd.Timestamp(instant)


def _period_from_text(text: str) -> Any:
    value, _, frequency = text.rpartition(" ")
    return pd.Period(value, freq=frequency)


_Kind = tuple[type, Callable[[Any], str], Callable[[str], Any]]

_KINDS: Mapping[str, _Kind] = {
    "bool": (bool, str, lambda text: text == "True"),
    "int": (int, str, int),
    "float": (float, repr, float),
    "none": (type(None), str, lambda _: None),
    "missing": (type(pd.NA), str, lambda _: pd.NA),
    "no time": (type(pd.NaT), str, lambda _: pd.NaT),
    "timestamp": (pd.Timestamp, _timestamp_to_text, _timestamp_from_text),
    "timedelta": (pd.Timedelta, pd.Timedelta.isoformat, pd.Timedelta),
    "period": (pd.Period, lambda label: f"{label} {label.freqstr}", _period_from_text),
    "datetime": (dt.datetime, dt.datetime.isoformat, dt.datetime.fromisoformat),
    "date": (dt.date, dt.date.isoformat, dt.date.fromisoformat),
    "time": (dt.time, dt.time.isoformat, dt.time.fromisoformat),
    "decimal": (decimal.Decimal, str, decimal.Decimal),
    "uuid": (uuid.UUID, str, uuid.UUID),
    "bytes": (bytes, bytes.hex, bytes.fromhex),
}


# What differs


def _compared(arguments: RequestArguments) -> dict[str, Any]:
    found = {name: as_python(getattr(arguments, name)) for name in _ARGUMENTS if name not in _NEVER_DIFFER}
    found["columns"] = _labels(arguments.columns)
    found["payload"] = None if arguments.payload is None else _name_of(arguments.payload)
    if not arguments.terms.packed:
        found["rows_per_request"] = None  # 1, and nothing said, are the same
    return found


def _told(name: str, before: Any, after: Any) -> str:
    if name == "template" and before is not None and after is not None:
        return f"template:\n{_diff(before, after)}"
    if name == "columns" and before is not None and after is not None:
        return f"columns: {_columns_told(before, after)}"
    shown, now = _shown(name, before), _shown(name, after)
    return f"{name}: {shown} -> {'another ' if shown == now else ''}{now}"


def _shown(name: str, value: Any) -> str:
    if value is None:
        return "not given"
    if name == "custom_attributes":
        return f"<{len(value)} characters, not shown>"
    shown = str(value) if name == "payload" else repr(_names(value) if name == "columns" else value)
    return shown if len(shown) <= _LONGEST_SHOWN else f"{shown[:_LONGEST_SHOWN]}…"


def _columns_told(before: list[Any], after: list[Any]) -> str:
    arrow = f"{_names(before)} -> {_names(after)}"
    if len(arrow) <= _LONGEST_SHOWN:
        return arrow
    told = [_some(after, before, "added"), _some(before, after, "left out")]
    return "; ".join(filter(None, told)) or "in another order"


def _some(labels: list[Any], others: list[Any], what: str) -> str:
    found = [label for label in labels if label not in others]
    shown = ", ".join(map(repr, _names(found[:_MOST_LABELS])))
    return f"{shown}{', …' if len(found) > _MOST_LABELS else ''} {what}" if found else ""


def _names(labels: Any) -> list[Any]:
    return [_label_from_json(label, "") for label in labels]


def _diff(before: str, after: str) -> str:
    lines = list(difflib.unified_diff(before.splitlines(), after.splitlines(), n=1, lineterm=""))[2:]
    shown = [f"  {line}" for line in lines[:_MOST_LINES]]
    return "\n".join([*shown, *([f"  … {len(lines) - _MOST_LINES} more lines"] if len(lines) > _MOST_LINES else [])])
