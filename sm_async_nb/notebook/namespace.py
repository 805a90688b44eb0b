"""The user's variables: expressions read in them, jobs bound to them, and the job of a cell waited for."""

from __future__ import annotations

import keyword
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import pandas as pd
from IPython.core.error import UsageError

from sm_async_nb.job.interrupts import explain
from sm_async_nb.notebook.magic_options import Kind, Option, nearest

if TYPE_CHECKING:
    from sm_async_nb.job.job import Job

Value = TypeVar("Value")


def evaluate(option: Option, value: Any, namespace: Mapping[str, Any]) -> Any:
    """What the value of an option is in the user's session.

    Raises
    ------
    UsageError
        If an expression fails.
    """
    if option.kind is not Kind.EXPRESSION:
        return value
    if value in namespace:
        return namespace[value]
    try:
        return eval(value, dict(namespace))  # noqa: S307 - the user's own expression, in the user's own session
    except Exception as error:  # noqa: BLE001 - it may raise whatever Python can
        told = str(error).rstrip(".")
        raise UsageError(f"{option.flag} {value}: {type(error).__name__}: {told}.") from None


def frame_of(option: Option, value: str, namespace: Mapping[str, Any]) -> pd.DataFrame:
    """The frame that is named, or that an expression gives.

    Raises
    ------
    UsageError
        If it is none, with the nearest name of one.
    """
    frames = frames_in(namespace)
    if value.isidentifier() and value not in namespace:
        raise UsageError(f"There is no variable {value}.{nearest(value, frames)}{_told_frames(frames)}")
    found = evaluate(option, value, namespace)
    if not isinstance(found, pd.DataFrame):
        way = f"{value}.to_frame()" if isinstance(found, pd.Series) else f"pd.DataFrame({value})"
        raise UsageError(f"{option.flag} {value} is a {type(found).__name__}, not a DataFrame. {way} may make one.")
    return found


def frames_in(namespace: Mapping[str, Any]) -> list[str]:
    """The names of the user's frames; those with an underscore before them are IPython's or nobody's business."""
    return [name for name, value in list(namespace.items()) if isinstance(value, pd.DataFrame) and name[:1] != "_"]


def no_frame(namespace: Mapping[str, Any]) -> str:
    """What to say where ``--data`` is missing."""
    return f"Say which frame to send: --data NAME.{_told_frames(frames_in(namespace))}"


def columns_of(frame: pd.DataFrame, names: list[Any]) -> list[Any]:
    """Columns as they are typed, which for numbers and dates is not as they are."""
    by_text = {str(column): column for column in frame.columns}
    # An index of dates says that it holds a text which is one of them.
    known = set(frame.columns)
    return [name if name in known else by_text.get(str(name), name) for name in names]


def checked_name(name: str) -> str:
    """A name that a variable can have.

    Raises
    ------
    UsageError
        If it is none.
    """
    if not name.isidentifier() or keyword.iskeyword(name):
        raise UsageError(f"--out {name}: a variable's name has letters, digits and _ only, and no digit first.")
    return name


def bind(variables: dict[str, Any], name: str, value: Value) -> Value:
    """Bind a variable of the user's, and give the value back."""
    variables[name] = value
    return value


def follow(job: Job, name: str, **keywords: Any) -> Job:
    """Wait for a job with its progress shown; an interrupt ends the waiting and says how to come back."""
    try:
        return job.wait(**keywords)
    except KeyboardInterrupt as interrupt:
        explain(interrupt, job.snapshot, job_id=job.id, uri=job.uri, called=name)
        raise


def _told_frames(frames: list[str]) -> str:
    return f" Frames here: {', '.join(frames[:5])}." if frames else " There is no DataFrame in this session yet."
