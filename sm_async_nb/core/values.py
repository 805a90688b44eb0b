"""Cells as plain values: whatever a DataFrame holds, as what a payload can say.

Plain are None, bool, int, float, str, and lists and dicts of them. None stands for every kind of missing; times are
ISO 8601 texts; a Decimal, or an int beyond 64 bits, keeps all its `Digits`. What has no such form is refused
with a `TypeError` or `ValueError` that names the type and never the value.
"""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
import orjson
import pandas as pd

# orjson stops at 254 levels, some of which are the payload's own; a list that contains itself has no end at all.
_DEPTH = 200
_INT64_MIN, _UINT64_MAX = -(2**63), 2**64 - 1

Array = np.ndarray[Any, Any]


class Digits(str):
    """A number that no float or 64 bits can hold, as it is written. JSON takes it without quotes."""

    __slots__ = ()


@dataclass(frozen=True)
class Form:
    """What a value is written as: its ``name`` in messages, and whether it has a word for infinity."""

    name: str
    infinities: bool


JSON = Form("JSON", infinities=False)
TEXT = Form("text", infinities=True)


def plain(value: Any, form: Form = JSON) -> Any:
    """One cell as a plain value, and so all that it contains.

    Raises
    ------
    TypeError
        If a type in it has no plain form: bytes, sets, complex numbers, intervals, objects.
    ValueError
        If a value has none: an infinity where there is no word for it, a text with a lone surrogate, a nest too deep.
    """
    return _plain(value, form, 0)


def column_values(column: pd.Series, form: Form = JSON) -> list[Any]:
    """`plain` of every cell, a whole column at a time where the dtype allows it.

    Raises
    ------
    TypeError, ValueError
        As `plain` does.
    """
    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return _categories(column, form)
    if isinstance(dtype, pd.StringDtype):
        return _texts(column, form)
    if dtype.kind in "biu":
        return _whole_numbers(column)
    if dtype.kind == "f":
        return _floats(column, form)
    if isinstance(dtype, pd.DatetimeTZDtype) or (isinstance(dtype, np.dtype) and dtype.kind == "M"):
        return _times(column)
    return [_plain(cell, form, 0) for cell in _cells(column)]


def to_json(value: Any) -> bytes:
    """Any value that has a plain form, as compact JSON.

    Raises
    ------
    TypeError, ValueError
        As `plain` does.
    """
    return plain_to_json(plain(value))


def as_python(value: Any) -> Any:
    """One of NumPy's scalars as Python's own, inside a tuple too: 5 and not np.int64(5)."""
    if isinstance(value, tuple):
        return tuple(as_python(item) for item in value)
    return value.item() if isinstance(value, np.generic) else value


def plain_to_json(value: Any) -> bytes:
    """`to_json` for what is plain already. orjson alone would put quotes around `Digits`."""
    return orjson.dumps(value, default=_without_quotes, option=orjson.OPT_PASSTHROUGH_SUBCLASS)


def _without_quotes(value: Any) -> orjson.Fragment:
    if isinstance(value, Digits):
        return orjson.Fragment(value.encode())
    raise TypeError(f"a value of type {type(value).__name__} is not plain")


# One cell


def _plain(value: Any, form: Form, depth: int) -> Any:
    write = _BY_TYPE.get(type(value)) or _writer(value)
    return write(value, form, depth)


def _writer(value: Any) -> _Writer:
    """The way to write what is not exactly of a well-known type."""
    for types, write in _BY_KIND:
        if isinstance(value, types):
            return write
    return _refuse


def _itself(value: Any, _form: Form, _depth: int) -> Any:
    return value


def _nothing(_value: Any, _form: Form, _depth: int) -> None:
    return None


def _text(value: str, form: Form, _depth: int) -> str:
    if not value.isascii():
        _check_unicode(value, form)
    return str(value)


def _check_unicode(text: str, form: Form) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(
            f"a text with a lone surrogate cannot be written as {form.name};"
            " text.encode('utf-8', 'replace').decode() repairs it"
        ) from None


def _integer(value: Any, form: Form, _depth: int) -> Any:
    number = int(value)
    if _INT64_MIN <= number <= _UINT64_MAX:
        return number
    try:
        return Digits(number)
    except ValueError:  # Python refuses to write thousands of digits
        raise ValueError(f"a number of {number.bit_length():,} bits cannot be written as {form.name}") from None


def _float(value: Any, form: Form, _depth: int) -> float | None:
    number = float(value)
    if number != number:  # noqa: PLR0124  (only NaN differs from itself)
        return None
    if number in _INFINITIES and not form.infinities:
        raise _infinite(form)
    return number


_INFINITIES = (float("inf"), float("-inf"))


def _infinite(form: Form) -> ValueError:
    return ValueError(f"an infinite number cannot be written as {form.name}; replace it, or send text/csv")


def _decimal(value: decimal.Decimal, form: Form, depth: int) -> Any:
    if value.is_nan():
        return None
    if value.is_infinite():
        return _float(value, form, depth)
    return Digits(value)


def _list(value: Iterable[Any], form: Form, depth: int) -> list[Any]:
    _check_depth(depth, form)
    return [_plain(item, form, depth + 1) for item in value]


def _dict(value: Mapping[Any, Any], form: Form, depth: int) -> dict[str, Any]:
    _check_depth(depth, form)
    items = {_key(key, form): _plain(item, form, depth + 1) for key, item in value.items()}
    if len(items) < len(value):
        raise ValueError(f"a dict with two keys of one name cannot be written as {form.name}")
    return items


def _key(key: Any, form: Form) -> str:
    name = None if isinstance(key, (list, tuple, dict)) else _plain(key, form, 0)
    if isinstance(name, (str, int)) and not isinstance(name, bool):
        return str(name)
    raise TypeError(f"a dict with a key of type {type(key).__name__} cannot be written as {form.name}")


def _check_depth(depth: int, form: Form) -> None:
    if depth > _DEPTH:
        raise ValueError(f"a value nested more than {_DEPTH} deep cannot be written as {form.name}")


def _array(value: Array, form: Form, depth: int) -> Any:
    if isinstance(value, np.ma.MaskedArray):
        return _plain(value.tolist(), form, depth)  # NumPy gives None for what is masked
    if value.dtype.kind in "biu":
        return value.tolist()
    if value.ndim == 0:
        return _plain(value[()], form, depth)
    return _list(value, form, depth)


def _iso(value: Any, _form: Form, _depth: int) -> str:
    return str(value.isoformat())


def _instant(value: np.datetime64, form: Form, depth: int) -> str | None:
    return None if np.isnat(value) else _iso(pd.Timestamp(value), form, depth)


def _duration(value: Any, _form: Form, _depth: int) -> str | None:
    return None if pd.isna(value) else pd.Timedelta(value).isoformat()


def _shown_as_text(value: Any, _form: Form, _depth: int) -> str:
    return str(value)


def _enum(value: enum.Enum, form: Form, depth: int) -> Any:
    return _plain(value.value, form, depth)


def _refuse(value: Any, form: Form, _depth: int) -> Any:
    raise TypeError(f"a value of type {type(value).__name__} cannot be written as {form.name}")


def _refuse_bytes(value: Any, form: Form, _depth: int) -> Any:
    raise TypeError(
        f"a value of type {type(value).__name__} cannot be written as {form.name};"
        " make it a text, with base64 for example, or send it alone as application/octet-stream"
    )


_Writer = Callable[[Any, Form, int], Any]

# Most cells are of exactly these types, and one look-up is all they cost.
_BY_TYPE: Mapping[type, _Writer] = {
    str: _text,
    Digits: _itself,
    int: _integer,
    float: _float,
    bool: _itself,
    type(None): _itself,
    type(pd.NA): _nothing,
    type(pd.NaT): _nothing,
    list: _list,
    tuple: _list,
    dict: _dict,
}

# The first that fits counts: an IntEnum is an int too, a Timestamp a datetime, a datetime a date, and
# NumPy's timedelta64 one of its integers.
_BY_KIND: tuple[tuple[type | tuple[type, ...], _Writer], ...] = (
    (enum.Enum, _enum),
    (np.ndarray, _array),
    (np.datetime64, _instant),
    ((np.timedelta64, dt.timedelta), _duration),
    (np.bool_, lambda value, _form, _depth: bool(value)),
    ((int, np.integer), _integer),
    ((float, np.floating), _float),
    (str, _text),
    ((list, tuple), _list),
    (dict, _dict),
    ((dt.datetime, dt.date, dt.time), _iso),
    (decimal.Decimal, _decimal),
    ((uuid.UUID, pd.Period), _shown_as_text),
    ((bytes, bytearray, memoryview), _refuse_bytes),
)


# One column


def _cells(column: pd.Series) -> list[Any]:
    if isinstance(column.dtype, pd.ArrowDtype):
        # Arrow's own list of Python values is several times faster than a walk through pandas' array.
        return cast(list[Any], cast(Any, column.array).__arrow_array__().to_pylist())
    return column.tolist()


def _objects(column: pd.Series) -> list[Any]:
    return cast(list[Any], cast(Any, column).to_numpy(dtype=object, na_value=None).tolist())


def _categories(column: pd.Series, form: Form) -> list[Any]:
    used = column.cat.remove_unused_categories()
    values = [*column_values(used.cat.categories.to_series(), form), None]  # code -1 is a missing cell
    return [values[code] for code in used.cat.codes.tolist()]


def _texts(column: pd.Series, form: Form) -> list[Any]:
    texts = _objects(column)
    joined = "".join(filter(None, texts))
    if not joined.isascii():
        _check_unicode(joined, form)
    return texts


def _whole_numbers(column: pd.Series) -> list[Any]:
    if isinstance(column.dtype, np.dtype):
        return column.to_numpy().tolist()
    return _objects(column)


def _floats(column: pd.Series, form: Form) -> list[Any]:
    numbers = column.to_numpy(dtype=np.float64, na_value=np.nan)
    if not form.infinities and np.isinf(numbers).any():
        raise _infinite(form)
    return _none_where(np.isnan(numbers), numbers.astype(object))


def _times(column: pd.Series) -> list[Any]:
    """`Timestamp.isoformat` for a whole column, which costs a tenth of calling it for each cell."""
    wall = column.dt.tz_localize(None).to_numpy()
    texts = _wall_times(wall)
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        texts += _offsets(wall - column.dt.tz_convert(None).to_numpy())
    return _none_where(np.isnat(wall), texts)


def _wall_times(wall: Array) -> Array:
    """As many digits after the second as `isoformat` shows: none, six, or nine."""
    texts: Array = np.datetime_as_string(wall, unit="s", casting="unsafe").astype(object)
    steps: tuple[tuple[Literal["us", "ns"], str], ...] = (("us", "s"), ("ns", "us"))
    for unit, coarser in steps:
        finer = wall != wall.astype(f"M8[{coarser}]")
        texts[finer] = np.datetime_as_string(wall[finer], unit=unit)
    return texts


def _offsets(differences: Array) -> Array:
    seconds, places = np.unique(differences.astype("m8[s]"), return_inverse=True)
    texts = ["" if np.isnat(one) else _offset(int(one.astype(np.int64))) for one in seconds]
    return np.array(texts, dtype=object)[places]


def _offset(seconds: int) -> str:
    """``+01:00``; before zones had round offsets, ``+00:09:21``."""
    minutes, rest = divmod(abs(seconds), 60)
    sign = "-" if seconds < 0 else "+"
    return f"{sign}{minutes // 60:02}:{minutes % 60:02}" + (f":{rest:02}" if rest else "")


def _none_where(missing: Array, values: Array) -> list[Any]:
    values[missing] = None
    return cast(list[Any], values.tolist())
