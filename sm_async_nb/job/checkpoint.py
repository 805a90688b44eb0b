"""What a journal's first segments come to, in one file, so that a job of a million requests is opened in seconds.

A checkpoint saves time and nothing else. The segments are the truth and are never deleted: a checkpoint that is not
there, cannot be read, or was written by a newer version is passed over, and more segments are read instead.

It has a line for each request that its writer showed. Where that was a view of the job, it lies over an older
checkpoint, its **base**, which has the others; what both tell of, the newer one knows better.
"""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from sm_async_nb.aws.storage import Storage
from sm_async_nb.core.columns import IntArray, Parts, TextColumn
from sm_async_nb.core.ledger import COLUMNS, Learned, Ledger
from sm_async_nb.core.locations import JobLayout
from sm_async_nb.errors import RequestError
from sm_async_nb.job.aside import FEW_BYTES, FEW_LINES, aside
from sm_async_nb.job.journal import Journal

FORMAT = 1
_METADATA = b"sm_async_nb"

_TEXTS = tuple(Ledger(0, allowance=0).texts)
_NAME = re.compile(r"(\d{8,})\.parquet")


@dataclass(frozen=True, kw_only=True)
class Columns:
    """What a ledger knew at one instant."""

    numeric: Mapping[str, npt.NDArray[Any]]
    texts: Mapping[str, TextColumn]
    messages: Mapping[int, str]

    def __len__(self) -> int:
        return len(self.numeric["status"])


@dataclass(frozen=True, kw_only=True)
class Folded:
    """A job as S3 knows it: the ledger of all its requests by number, and where its journal goes on.

    ``newest_checkpoint`` is the checkpoint that was read, by the segment it reaches to, None if there was none.
    """

    ledger: Ledger
    next_segment: int
    newest_checkpoint: int | None


def copy_columns(ledger: Ledger) -> Columns:
    """A copy of all that a ledger knows; nothing but memory is copied, so its lock is held for a moment only."""
    return Columns(
        numeric={name: getattr(ledger, name).copy() for name in COLUMNS},
        texts={name: column.copy() for name, column in ledger.texts.items()},
        messages=dict(ledger.messages),
    )


def restore(ledger: Ledger, columns: Columns) -> None:
    """Make a ledger know what these columns know, and nothing else."""
    for name in COLUMNS:
        getattr(ledger, name)[:] = columns.numeric[name]
    ledger.texts = {name: column.copy() for name, column in columns.texts.items()}
    ledger.messages = dict(columns.messages)
    ledger.recount()


async def write_checkpoint(
    storage: Storage,
    layout: JobLayout,
    columns: Columns,
    *,
    next_segment: int,
    numbers: IntArray | None = None,
    base: int | None = None,
) -> None:
    """Write down what the segments before ``next_segment`` come to.

    Parameters
    ----------
    columns
        From :func:`copy_columns`, taken when exactly those segments were applied.
    numbers
        The number of each line, for a ledger that shows a view of the job; without it each line is its own number.
    base
        The checkpoint that tells of the requests which this ledger does not show, all that is known of them: no
        segment behind it may tell of one. So a job that is continued with a view writes one of :attr:`Folded.ledger`
        first, and lays the later ones over that. Without a base those requests count as never sent.
    """
    if base is not None and base >= next_segment:
        return  # no segment was written since, so that one says it all
    work = partial(encode_checkpoint, columns, numbers=numbers, base=base)
    body = await aside(work, is_small=len(columns) <= FEW_LINES)
    # The segments before it never change, so a checkpoint that is there already says the same.
    with contextlib.suppress(FileExistsError):
        await storage.put(layout.checkpoint(next_segment), body, create_only=True)


async def reopen(storage: Storage, layout: JobLayout, length: int, *, allowance: float = 0.0) -> Folded:
    """What is known about the requests 0 to ``length - 1`` of a job: its newest checkpoint, and the journal behind it.

    Raises
    ------
    RequestError
        If the journal is damaged, or tells of a request that the job does not have.
    """
    ledger = Ledger(length, allowance=allowance)
    found = await _newest(storage, layout, length)
    start, layers = found or (0, [])
    for layer in layers:
        await aside(partial(_lay_over, ledger, layer), is_small=len(layer.numbers) <= FEW_LINES)
    ledger.recount()
    journal = Journal(storage, layout)
    async for batch in journal.read(start):
        for learned in batch:
            _check_requests(learned, length, layout)
            ledger.apply(learned)
    return Folded(
        ledger=ledger, next_segment=journal.next_segment, newest_checkpoint=start if found is not None else None
    )


# Bytes


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """One file: lines of some requests, and the checkpoint that it lies over."""

    numbers: IntArray
    numeric: Mapping[str, npt.NDArray[Any]]
    texts: Mapping[str, Parts]
    messages: Mapping[int, str]
    base: int | None


def encode_checkpoint(columns: Columns, *, numbers: IntArray | None = None, base: int | None = None) -> bytes:
    """The bytes of a Parquet file, a line for each request."""
    lines = np.arange(len(columns)) if numbers is None else numbers
    arrays: dict[str, Any] = {"number": pa.array(lines.astype(np.uint32))}
    arrays |= {name: pa.array(columns.numeric[name]) for name in COLUMNS}
    for name in _TEXTS:
        arrays |= _text_arrays(name, columns.texts[name].parts)
    arrays["message"] = _message_array(columns.messages, len(columns))
    table = pa.table(arrays)
    told = {"format": FORMAT, "base": base, "columns": _types(table)}
    table = table.replace_schema_metadata({_METADATA: orjson.dumps(told)})
    file = io.BytesIO()
    # The rest of each text is nearly unique, so a dictionary of it would only cost time.
    heads = [f"{name} head" for name in _TEXTS]
    pq.write_table(table, file, compression="zstd", use_dictionary=heads, write_page_checksum=True)
    return file.getvalue()


def decode_checkpoint(body: bytes) -> Checkpoint:
    """What :func:`encode_checkpoint` wrote.

    Raises
    ------
    ValueError
        If it is something else, or of another format.
    """
    try:
        table = pq.read_table(io.BytesIO(body), page_checksum_verification=True)
        told = orjson.loads((table.schema.metadata or {})[_METADATA])
        if told["format"] != FORMAT:
            raise ValueError(f"format {told['format']}, and this version reads {FORMAT}")
        _check_lines(table, told["columns"])
        return _checkpoint(table, told["base"])
    except (pa.ArrowException, OSError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error


def _checkpoint(table: Any, base: int | None) -> Checkpoint:
    told = np.flatnonzero(table.column("message").is_valid().to_numpy())
    return Checkpoint(
        numbers=table.column("number").to_numpy().astype(np.int64),
        numeric={name: table.column(name).to_numpy() for name in COLUMNS},
        texts={name: _parts(table, name) for name in _TEXTS},
        messages=dict(
            zip(
                table.column("number").take(told).to_pylist(),
                table.column("message").take(told).to_pylist(),
                strict=True,
            )
        ),
        base=base,
    )


def _types(table: Any) -> dict[str, str]:
    return {field.name: str(field.type) for field in table.schema}


def _check_lines(table: Any, types: dict[str, str]) -> None:
    """Checksums cover what is in a page, and not what of, or how many lines, it says there are."""
    if types != _types(table):
        raise ValueError("its columns are not those that were written")
    for name, column in zip(table.column_names, table.columns, strict=True):
        column.validate(full=True)
        if len(column) != table.num_rows or (column.null_count and name != "message"):
            raise ValueError(f"column {name!r} has not a value for each request")


def _text_arrays(name: str, parts: Parts) -> dict[str, Any]:
    heads = pa.DictionaryArray.from_arrays(pa.array(parts.head.astype(np.int32)), pa.array(parts.heads, pa.string()))
    tail = np.ascontiguousarray(parts.tail)
    width = pa.binary(tail.dtype.itemsize)
    tails = pa.FixedSizeBinaryArray.from_buffers(width, len(tail), [None, pa.py_buffer(tail.view(np.uint8))])
    return {f"{name} head": heads, f"{name} tail": tails}


def _parts(table: Any, name: str) -> Parts:
    heads = _whole(table.column(f"{name} head"))
    tails = _whole(table.column(f"{name} tail"))
    width = tails.type.byte_width
    _, data = tails.buffers()
    tail = np.frombuffer(data, dtype=f"S{width}", count=len(tails), offset=tails.offset * width)
    return Parts(heads=heads.dictionary.to_pylist(), head=heads.indices.to_numpy().astype(np.uint32), tail=tail)


def _whole(column: Any) -> Any:
    """A column in one chunk; of no rows there may be no chunk at all."""
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def _message_array(messages: Mapping[int, str], length: int) -> Any:
    places = np.full(length, -1, dtype=np.int64)
    places[list(messages)] = np.arange(len(messages))
    return pa.array(list(messages.values()), pa.string()).take(pa.array(places, mask=places < 0))


# Reading


async def _newest(storage: Storage, layout: JobLayout, length: int) -> tuple[int, list[Checkpoint]] | None:
    """The newest checkpoint that can be read with all that it lies over, lowest first."""
    there = await _listed(storage, layout)
    for next_segment in reversed(there):
        layers = await _layers(storage, layout, next_segment, length)
        if layers is not None:
            return next_segment, layers
    return None


async def _listed(storage: Storage, layout: JobLayout) -> list[int]:
    found = []
    async for page in storage.list(layout.checkpoints):
        names = [_NAME.fullmatch(stored.location.key.rpartition("/")[2]) for stored in page]
        found += [int(name[1]) for name in names if name is not None]
    return found


async def _layers(storage: Storage, layout: JobLayout, newest: int, length: int) -> list[Checkpoint] | None:
    layers: list[Checkpoint] = []
    at: int | None = newest
    while at is not None:
        layer = await _read(storage, layout, at, length)
        if layer is None or (layer.base is not None and layer.base >= at):
            return None
        layers.append(layer)
        at = layer.base
    return layers[::-1]


async def _read(storage: Storage, layout: JobLayout, next_segment: int, length: int) -> Checkpoint | None:
    try:
        body, _ = await storage.get(layout.checkpoint(next_segment))
    except FileNotFoundError:
        return None
    try:
        layer = await aside(partial(decode_checkpoint, body), is_small=len(body) <= FEW_BYTES)
    except ValueError:
        return None
    return layer if layer.numbers.max(initial=-1) < length else None


def _lay_over(ledger: Ledger, layer: Checkpoint) -> None:
    for name in COLUMNS:
        getattr(ledger, name)[layer.numbers] = layer.numeric[name]
    for name, parts in layer.texts.items():
        ledger.texts[name].put_parts(layer.numbers, parts)
    below = np.array(list(ledger.messages), dtype=np.int64)
    stay = below[~np.isin(below, layer.numbers)].tolist()
    ledger.messages = {number: ledger.messages[number] for number in stay} | dict(layer.messages)


def _check_requests(learned: Learned, length: int, layout: JobLayout) -> None:
    last = int(learned.requests.max(initial=-1))
    if last >= length:
        raise RequestError(
            f"The journal of job {layout.job_id} tells of request {last}, but the job has {length} requests:"
            " its journal and its revisions do not belong together. Nothing was changed."
        )
