"""The plan of what is filled in, renewed while somebody types.

The first rows are planned at once and the whole frame after a pause, on one thread, which is there only while there is
something to plan. Whatever newer is asked ends what is being done, between two batches of rows.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Any

import pandas as pd

from sm_async_nb.aws.session import Session, known_fields
from sm_async_nb.core.build import RequestArguments, build_batch
from sm_async_nb.core.estimate import Plan, estimate
from sm_async_nb.core.request import Field
from sm_async_nb.core.sources import Constant
from sm_async_nb.notebook.form.check import plain, problems_of
from sm_async_nb.notebook.form.code import Filled
from sm_async_nb.notebook.panel.screen import guarded

FIRST_ROWS = 1_000
PAUSE_SECONDS = 0.5

_ARGUMENTS = {field.name for field in fields(RequestArguments)}
# A name that is in order, for a plan of what has no endpoint yet.
_NOBODY = "endpoint"


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is to be planned."""

    frame: pd.DataFrame
    filled: Filled


@dataclass(frozen=True, kw_only=True)
class Planned:
    """What was found. ``of_rows`` of the frame's ``rows`` were looked at; ``wrong`` is about single fields."""

    rows: int
    of_rows: int
    plan: Plan | None = None
    error: str = ""
    wrong: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_whole(self) -> bool:
        """Whether every row was looked at."""
        return self.of_rows == self.rows

    @property
    def is_good(self) -> bool:
        """Whether nothing was found that a submit would refuse."""
        return self.plan is not None and self.plan.is_good


class NotWantedError(Exception):
    """Something newer is asked."""


class Planner:
    """Plans what was asked last.

    Parameters
    ----------
    show
        Takes what was found, on the planner's thread.
    session
        Says which fields a request has.
    first_rows, pause_seconds
        So many rows are planned at once, and all of them after so long without a change.
    """

    def __init__(
        self,
        show: Callable[[Planned], object],
        *,
        session: Session | None = None,
        first_rows: int = FIRST_ROWS,
        pause_seconds: float = PAUSE_SECONDS,
    ) -> None:
        self._show, self._session = show, session
        self._first_rows, self._pause = first_rows, pause_seconds
        self._changed = threading.Condition()
        self._asked: Asked | None = None
        self._thread: threading.Thread | None = None

    def ask(self, asked: Asked) -> None:
        """Plan this from now on, and nothing else. Returns at once."""
        with self._changed:
            self._asked = asked
            self._changed.notify_all()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="sm-async-plan", daemon=True)
                self._thread.start()

    def drop(self) -> None:
        """Plan nothing any more, until something is asked."""
        with self._changed:
            self._asked = None
            self._changed.notify_all()

    def settle(self, timeout: float | None = None) -> None:
        """Wait until all is planned, which only a test wants to."""
        thread = self._thread
        if thread is not None:
            thread.join(timeout)

    def _run(self) -> None:
        while True:
            with self._changed:
                asked = self._asked
            if asked is not None:
                guarded(partial(self._work, asked))
            with self._changed:
                if self._asked is asked:
                    self._asked = self._thread = None
                    return

    def _work(self, asked: Asked) -> None:
        try:
            self._session = self._session or Session()
            first = planned(asked, self._session, self._first_rows, self._check(asked))
            self._show(first)
            if first.is_whole or first.plan is None or self._changes(asked):
                return
            self._show(planned(asked, self._session, len(asked.frame), self._check(asked)))
        except NotWantedError:
            return

    def _changes(self, asked: Asked) -> bool:
        """Whether something newer is asked within the pause."""
        with self._changed:
            return self._changed.wait_for(lambda: self._asked is not asked, self._pause)

    def _check(self, asked: Asked) -> Callable[[], None]:
        def check() -> None:
            if self._asked is not asked:
                raise NotWantedError

        return check


def planned(asked: Asked, session: Session, of_rows: int, check: Callable[[], None] = lambda: None) -> Planned:
    """The plan of the first rows of a frame. ``check`` is called before each batch of them, and may end it by raising.

    Raises
    ------
    NotWantedError
        As ``check`` does.
    """
    rows, frame = len(asked.frame), asked.frame.iloc[:of_rows]
    made = partial(Planned, rows=rows, of_rows=len(frame))
    try:
        known = known_fields(session)
        wrong = problems_of(asked.filled, frame, known)
        return made(wrong=wrong) if wrong else made(plan=_plan(asked.filled, frame, known, check))
    except NotWantedError:
        raise
    except Exception as error:  # noqa: BLE001 - a frame may be changed by another cell meanwhile, with any error
        return made(error=_told(error))


def _plan(filled: Filled, frame: pd.DataFrame, known: Mapping[str, Field], check: Callable[[], None]) -> Plan:
    given = {name: value for name, value in filled.keywords().items() if name in _ARGUMENTS}
    arguments = RequestArguments(endpoint_name=filled.endpoint_name or _NOBODY, **given)
    batch = build_batch(frame, arguments, known)
    if batch.content is not None:
        _ask_before(batch.content, "encode", check)
        _ask_before(batch.content, "sizes", check)
    for source in batch.sources.values():
        if not isinstance(source, Constant):
            _ask_before(source, "values", check)
    return estimate(batch)


def _ask_before(one: object, name: str, check: Callable[[], None]) -> None:
    """Have ``check`` called before a method. It is put over the method, since some ask what class ``one`` is of."""
    method = getattr(one, name)

    def checked(*given: Any) -> Any:
        check()
        return method(*given)

    object.__setattr__(one, name, checked)


def _told(error: Exception) -> str:
    told = plain(str(error))
    return told if isinstance(error, TypeError | ValueError) else f"{type(error).__name__}: {told}"
