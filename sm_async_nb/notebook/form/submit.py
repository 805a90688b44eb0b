"""A submit whose errors and warnings are for the form, and not for whatever cell happens to be printing."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pandas as pd

from sm_async_nb.aws.session import Session
from sm_async_nb.errors import (
    CredentialsError,
    EndpointNotFoundError,
    EndpointNotInServiceError,
    JobChangedError,
    JobInUseError,
    ServiceTroubleError,
    SmAsyncError,
    SmAsyncWarning,
    StorageAccessError,
)
from sm_async_nb.job.job import Job
from sm_async_nb.notebook.accessor import SmAsyncAccessor
from sm_async_nb.notebook.form.check import plain
from sm_async_nb.notebook.form.code import Filled

_NEXT_STEPS: tuple[tuple[type[SmAsyncError], str], ...] = (
    (CredentialsError, "Sign in anew and press Submit again; %sm_async doctor says who you are and what you may do."),
    (StorageAccessError, "%sm_async doctor ENDPOINT names each permission that is missing."),
    (JobChangedError, "Take another job name, or tick Begin anew, under More fields."),
    (JobInUseError, "Take another job name under More fields; %sm_async attach ID takes it over when it is free."),
    (EndpointNotFoundError, "Choose another endpoint, or look again whether it is there."),
    (EndpointNotInServiceError, "Press Submit again when it is in service."),
    (ServiceTroubleError, "It says nothing about your rows: press Submit again."),
)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of a submit: a job, or an error with the next step; and what was warned of."""

    job: Job | None = None
    error: str = ""
    step: str = ""
    warnings: tuple[str, ...] = ()


def submitted(frame: pd.DataFrame, filled: Filled, session: Session | None) -> Outcome:
    """Submit what is filled in. Raises nothing: a thread of the form has nobody who could catch it."""
    with heard() as told:
        try:
            own = {} if session is None else {"session": session}
            job = SmAsyncAccessor(frame).submit(filled.endpoint_name, **own, **filled.keywords())
        except Exception as error:  # noqa: BLE001 - a warning may be an error here, the SDK has its own, and so on
            return Outcome(error=_told(error), step=next_step(error), warnings=tuple(told))
    return Outcome(job=job, warnings=tuple(told))


def next_step(error: BaseException) -> str:
    """What to do about it, where that does not go without saying."""
    return next((step for kind, step in _NEXT_STEPS if isinstance(error, kind)), "")


def _told(error: Exception) -> str:
    if isinstance(error, SmAsyncError | SmAsyncWarning | ValueError):
        return plain(str(error))
    return f"{type(error).__name__}: {error}"


# Python's own way of catching warnings catches those of all threads, so another cell would miss its own.
_here = threading.local()


@contextmanager
def heard() -> Iterator[list[str]]:
    """Hear this package's warnings that are given on this thread; the others are shown as they were."""
    _listen()
    # A warning that was shown from one place is not shown again from there; the form is always the same place.
    globals().pop("__warningregistry__", None)
    told: list[str] = []
    _here.told = told
    try:
        yield told
    finally:
        _here.told = None


def _listen() -> None:
    before = warnings.showwarning
    if getattr(before, "is_for_forms", False):
        return

    def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
        told = getattr(_here, "told", None)
        if told is None or not issubclass(category, SmAsyncWarning):
            before(message, category, *where, **more)
        else:
            told.append(str(message))

    show.is_for_forms = True  # type: ignore[attr-defined]
    warnings.showwarning = show
