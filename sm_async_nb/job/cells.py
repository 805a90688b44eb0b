"""A cell of any kind as JSON text, and back.

What JSON has a word for is written as that. Anything else that a payload, a template or a function of the row may care
about is an object with one key that no cell is likely to have, ``$``, which says what it is; what is in neither list
becomes its ``str``. Nothing is ever pickled: reading a cell runs nobody's code.
"""

from __future__ import annotations

import base64
import datetime as dt
import decimal
import enum
import importlib
import json
import pathlib
import re
import uuid
import zoneinfo
from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np
import pandas as pd

_MARK = "$"
_FIXED = re.compile(r"fixed/(-?[\d.]+)")


def to_text(value: object) -> str:
    """One cell as JSON text."""
    try:
        # Not orjson: the standard library writes integers of any size, NaN, and escapes lone surrogates.
        return json.dumps(_marked(value), separators=(",", ":"))
    except (
        TypeError,
        ValueError,
        OverflowError,
        RecursionError,
    ):  # ten thousand digits, or a list that contains itself
        return json.dumps(_shown(value))


def from_text(text: str) -> Any:
    """The cell that :func:`to_text` wrote."""
    return json.loads(text, object_hook=_unmarked)


def zone_name(zone: dt.tzinfo) -> str | None:
    """What a time zone is called, with whose it is, since pandas tells them apart; None if it has no name."""
    if zone is dt.UTC:
        return "utc"
    if isinstance(zone, zoneinfo.ZoneInfo):
        return f"zoneinfo/{zone.key}" if zone.key else None
    if isinstance(zone, dt.timezone):
        return f"fixed/{zone.utcoffset(None).total_seconds()}"
    module = type(zone).__module__.partition(".")[0]
    if module == "pytz" and getattr(zone, "zone", None):
        return f"pytz/{zone.zone}"  # type: ignore[attr-defined]
    return None


def zone_of(name: str) -> dt.tzinfo:
    """The zone that :func:`zone_name` named; that of the standard library where pytz is not installed."""
    fixed = _FIXED.fullmatch(name)
    if fixed:
        return dt.timezone(dt.timedelta(seconds=float(fixed[1])))
    library, _, key = name.partition("/")
    if library == "pytz":
        try:
            pytz = importlib.import_module("pytz")
        except ImportError:
            return zoneinfo.ZoneInfo(key)
        return cast(dt.tzinfo, pytz.timezone(key))
    return dt.UTC if name == "utc" else zoneinfo.ZoneInfo(key)


# Writing


def _marked(value: Any) -> Any:
    """The cell in words that JSON has."""
    kind = type(value)
    if value is None or kind in {bool, int, float, str}:
        return value
    write = _WRITERS.get(kind)
    if write is None:
        write = next((write for types, write in _OF_KIND if isinstance(value, types)), _shown)
    return write(value)


def _shown(value: Any) -> str:
    try:
        return str(value)
    except ValueError:  # Python refuses to write a number of thousands of digits
        return hex(value)


def _mark(kind: str, value: Any) -> dict[str, Any]:
    return {_MARK: kind, "of": value}


def _dict(value: Mapping[Any, Any]) -> dict[str, Any]:
    if all(type(key) is str for key in value) and _MARK not in value:
        return {key: _marked(item) for key, item in value.items()}
    return _mark("dict", [[_marked(key), _marked(item)] for key, item in value.items()])


def _list(value: Any) -> list[Any]:
    return [_marked(item) for item in value]


def _array(value: np.ndarray[Any, Any]) -> dict[str, Any]:
    if value.dtype.hasobject:
        return _mark("objects", [list(value.shape), _list(value.ravel().tolist())])
    if isinstance(value, np.ma.MaskedArray):
        return _mark("masked", [_array(value.data), _array(np.ma.getmaskarray(value))])
    return _mark("array", [np.lib.format.dtype_to_descr(value.dtype), list(value.shape), _base64(value.tobytes())])


def _base64(value: Any) -> str:
    return base64.b64encode(value).decode()


def _datetime(value: dt.datetime) -> dict[str, Any]:
    """As the clock on the wall shows it, which may be an hour that does not exist; but pytz counts from UTC."""
    name = None
    if value.tzinfo is not None:
        name = zone_name(value.tzinfo) or f"fixed/{_seconds(value.utcoffset())}"
        if name.startswith("pytz/"):
            value = value.astimezone(dt.UTC)
    return _mark("datetime", [value.replace(tzinfo=None).isoformat(), name, value.fold])


def _timestamp(value: pd.Timestamp) -> dict[str, Any]:
    name = None
    if value.tzinfo is not None:
        name = zone_name(value.tzinfo) or f"fixed/{_seconds(value.utcoffset())}"
    return _mark("Timestamp", [int(value.asm8.view(np.int64)), value.unit, name])


def _seconds(offset: dt.timedelta | None) -> float:
    return offset.total_seconds() if offset else 0.0


_WRITERS: Mapping[type, Callable[[Any], Any]] = {
    list: _list,
    dict: _dict,
    tuple: lambda value: _mark("tuple", _list(value)),
    type(pd.NA): lambda _: _mark("NA", None),
    type(pd.NaT): lambda _: _mark("NaT", None),
}

# The first that fits counts: an IntEnum is an int too, a Timestamp a datetime, a datetime a date.
_OF_KIND: tuple[tuple[type | tuple[type, ...], Callable[[Any], Any]], ...] = (
    (enum.Enum, lambda value: _marked(value.value)),
    (np.ndarray, _array),
    (np.generic, lambda value: _mark("scalar", _array(np.asarray(value))["of"])),
    (pd.Timestamp, _timestamp),
    (pd.Timedelta, lambda value: _mark("Timedelta", [int(value.asm8.view(np.int64)), value.unit])),
    (pd.Period, lambda value: _mark("Period", [value.ordinal, value.freqstr])),
    (pd.Interval, lambda value: _mark("Interval", [_marked(value.left), _marked(value.right), value.closed])),
    (bool, bool),
    (int, int),
    (float, float),
    (complex, lambda value: _mark("complex", [value.real, value.imag])),
    (str, str),
    (bytes, lambda value: _mark("bytes", _base64(value))),
    (bytearray, lambda value: _mark("bytearray", _base64(value))),
    (memoryview, lambda value: _mark("bytes", _base64(bytes(value)))),
    (decimal.Decimal, lambda value: _mark("Decimal", str(value))),
    (uuid.UUID, lambda value: _mark("UUID", str(value))),
    (pathlib.PurePath, lambda value: _mark("Path", str(value))),
    (dt.datetime, _datetime),
    (dt.date, lambda value: _mark("date", value.isoformat())),
    (dt.time, lambda value: _mark("time", [value.isoformat(), value.fold])),
    (dt.timedelta, lambda value: _mark("timedelta", [value.days, value.seconds, value.microseconds])),
    (dict, _dict),
    (tuple, lambda value: _mark("tuple", _list(value))),
    (list, _list),
    (frozenset, lambda value: _mark("frozenset", _list(value))),
    (set, lambda value: _mark("set", _list(value))),
)


# Reading


def _unmarked(value: dict[str, Any]) -> Any:
    """What an object of JSON stands for; those inside it have been read already."""
    return _READERS[value[_MARK]](value["of"]) if _MARK in value else value


def _read_array(of: list[Any]) -> np.ndarray[Any, Any]:
    descr, shape, data = of
    dtype = np.lib.format.descr_to_dtype(descr)
    return np.frombuffer(base64.b64decode(data), dtype=dtype).reshape(shape).copy()


def _read_objects(of: list[Any]) -> np.ndarray[Any, Any]:
    shape, values = of
    array = np.empty(len(values), dtype=object)
    for place, value in enumerate(values):
        array[place] = value
    return array.reshape(shape)


def _read_datetime(of: list[Any]) -> dt.datetime:
    text, name, fold = of
    value = dt.datetime.fromisoformat(text).replace(fold=fold)
    if name is None:
        return value
    if name.startswith("pytz/"):
        return value.replace(tzinfo=dt.UTC).astimezone(zone_of(name))
    return value.replace(tzinfo=zone_of(name))


def _read_timestamp(of: list[Any]) -> pd.Timestamp:
    number, unit, zone = of
    value = pd.Timestamp(np.datetime64(number, unit))
    return value if zone is None else value.tz_localize("UTC").tz_convert(zone_of(zone))


_READERS: Mapping[str, Callable[[Any], Any]] = {
    "dict": dict,
    "tuple": tuple,
    "NA": lambda _: pd.NA,
    "NaT": lambda _: pd.NaT,
    "array": _read_array,
    "objects": _read_objects,
    "masked": lambda of: np.ma.MaskedArray(of[0], of[1]),
    "scalar": lambda of: _read_array(of)[()],
    "Timestamp": _read_timestamp,
    "Timedelta": lambda of: pd.Timedelta(np.timedelta64(of[0], of[1])),
    "Period": lambda of: pd.Period(ordinal=of[0], freq=of[1]),
    "Interval": lambda of: pd.Interval(*of),
    "complex": lambda of: complex(*of),
    "bytes": base64.b64decode,
    "bytearray": lambda of: bytearray(base64.b64decode(of)),
    "Decimal": decimal.Decimal,
    "UUID": uuid.UUID,
    "Path": pathlib.Path,
    "datetime": _read_datetime,
    "date": dt.date.fromisoformat,
    "time": lambda of: dt.time.fromisoformat(of[0]).replace(fold=of[1]),
    "timedelta": lambda of: dt.timedelta(*of),
    "frozenset": frozenset,
    "set": set,
}
