"""Which codec writes and reads a MIME type.

The codecs are in :mod:`sm_async_nb.core.codecs`. What an answer decodes to is a value for each row: a dict (its keys
become columns), a list or an array, a number, a text, or bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sm_async_nb.core.codecs import Codec, WrongCountError
from sm_async_nb.core.codecs.csv import CsvCodec
from sm_async_nb.core.codecs.json import ENVELOPES, JsonCodec, JsonLinesCodec
from sm_async_nb.core.codecs.libsvm import LibsvmCodec
from sm_async_nb.core.codecs.npy import NpyCodec
from sm_async_nb.core.codecs.parquet import ParquetCodec
from sm_async_nb.core.codecs.raw import RawCodec
from sm_async_nb.core.codecs.text import TextCodec
from sm_async_nb.core.flags import check_flags
from sm_async_nb.errors import RequestError

__all__ = ["Codec", "Options", "WrongCountError", "codec_for", "decode", "is_raw", "mime_type"]

_POLICIES = ("null", "error", "omit")


@dataclass(frozen=True, kw_only=True)
class Options:
    """How rows are written, as far as a MIME type leaves a choice.

    ``nan`` is what becomes of a missing value: ``"null"`` is the type's own word for it, ``"error"`` refuses it and
    ``"omit"`` leaves it out, where a type has keys to leave out. ``bare`` (JSON) sends one column's value without its
    name; ``wrap`` (JSON) is ``"array"`` or ``"instances"``; ``packed`` says that a request may have several rows.

    Raises
    ------
    RequestError
        If there is no such choice.
    """

    nan: str = "null"
    bare: bool = False
    wrap: str = "array"
    packed: bool = False

    def __post_init__(self) -> None:
        _check_choice("nan", self.nan, _POLICIES)
        _check_choice("wrap", self.wrap, tuple(ENVELOPES))
        check_flags("Nothing was sent.", bare=self.bare)
        if self.bare and self.nan == "omit":
            raise RequestError(
                "nan='omit' leaves a key out, and a bare value has none; use nan='null' or nan='error'."
                " Nothing was sent."
            )


def codec_for(content_type: str, options: Options | None = None) -> Codec:
    """The codec of a MIME type; parameters such as ``; charset=utf-8`` do not matter.

    Raises
    ------
    RequestError
        If rows cannot be written as it, with the types that can; or not with these options.
    """
    options = options or Options()
    codec = _known(mime_type(content_type), options)
    if codec is None:
        known = ", ".join([*_TYPES, *(f"{family}/*" for family in _FAMILIES)])
        raise RequestError(
            f"Rows cannot be written as content_type {content_type!r}; the types known are {known}. Nothing was sent."
        )
    _check_options(codec, content_type, options)
    return codec


def decode(answer: bytes, content_type: str | None, count: int = 1, *, packed: bool = False) -> list[Any]:
    """The values that an answer has for ``count`` rows; its bytes where nothing is known about its type.

    Raises
    ------
    WrongCountError
        If it has not one value for each row.
    ValueError
        If the bytes are not what the content type says.
    """
    codec = _known(mime_type(content_type or ""), Options()) or RawCodec()
    return codec.decode(answer, count, packed=packed or count != 1)


def is_raw(content_type: str) -> bool:
    """Whether a payload of this type is bytes as they are."""
    return isinstance(_known(mime_type(content_type), Options()), RawCodec)


def mime_type(content_type: str) -> str:
    """``text/csv; charset=utf-8`` is ``text/csv``."""
    return content_type.partition(";")[0].strip().lower()


def _raw(_options: Options) -> Codec:
    return RawCodec()


def _text(options: Options) -> Codec:
    return TextCodec(nan=options.nan, packed=options.packed)


_Maker = Callable[[Options], Codec]

_TYPES: Mapping[str, _Maker] = {
    "application/json": lambda options: JsonCodec(**vars(options)),
    "application/jsonlines": lambda options: JsonLinesCodec(nan=options.nan, bare=options.bare),
    "text/csv": lambda options: CsvCodec(nan=options.nan),
    "text/libsvm": lambda options: LibsvmCodec(nan=options.nan),
    "text/x-libsvm": lambda options: LibsvmCodec(nan=options.nan),  # the built-in algorithms know it by both names
    "application/x-npy": lambda options: NpyCodec(nan=options.nan),
    "application/x-parquet": lambda options: ParquetCodec(nan=options.nan),
    "application/octet-stream": _raw,
}
# For the types of a family that are not listed themselves.
_FAMILIES: Mapping[str, _Maker] = {"text": _text, "image": _raw, "audio": _raw, "video": _raw}


def _known(mime: str, options: Options) -> Codec | None:
    maker = _TYPES.get(mime) or _FAMILIES.get(mime.partition("/")[0])
    return None if maker is None else maker(options)


def _check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        listed = ", ".join(repr(choice) for choice in choices)
        raise RequestError(f"{name} must be one of {listed}, got {value!r}. Nothing was sent.")


def _check_options(codec: Codec, content_type: str, options: Options) -> None:
    if options.nan == "omit" and not isinstance(codec, (JsonCodec, JsonLinesCodec, LibsvmCodec)):
        raise RequestError(
            f"nan='omit' leaves a key out, and {content_type} has none; use nan='null' or nan='error'."
            " Nothing was sent."
        )
    if options.packed and isinstance(codec, RawCodec):
        raise RequestError(
            f"Several rows cannot share a request of {content_type}; leave rows_per_request at 1. Nothing was sent."
        )
