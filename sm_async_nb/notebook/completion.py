"""What Tab offers behind ``%%sm_async`` and ``%sm_async``: options, frames, columns, endpoints and jobs.

Nothing is asked of AWS by a Tab: names of endpoints and jobs come from what was fetched before, and are fetched anew on
a thread of their own for the next one.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import pandas as pd
from IPython.core.completer import CompletionContext, SimpleCompletion, context_matcher

from sm_async_nb.notebook.cell import cell_options, plan_options
from sm_async_nb.notebook.commands import COMMANDS, command_words
from sm_async_nb.notebook.jobs import endpoints
from sm_async_nb.notebook.jobs import jobs as listed_jobs
from sm_async_nb.notebook.known import KnownJobs
from sm_async_nb.notebook.magic_options import Kind, Option
from sm_async_nb.notebook.namespace import frames_in

_CELL = re.compile(r"\s*%%sm_async\b(.*)", re.DOTALL)
_LINE = re.compile(r"\s*(?:[\w.]+\s*=\s*)?%sm_async\b(.*)", re.DOTALL)
_DATA = re.compile(r"(?:--data|-d)(?:\s+|=)(\w+)")
_KEEP_SECONDS = 60.0

# Options whose value may be the name of a column, besides a template over them.
_OF_A_COLUMN = ("columns", "input_location", "accept", "custom_attributes", "inference_id", "filename")

# Names that Jinja2, or a template of ours, has another meaning for.
_WORDS_OF_TEMPLATES = frozenset(
    {"and", "else", "false", "if", "in", "is", "loop", "none", "not", "or", "row", "self", "true"}
    | {"False", "None", "True"}
)


class Offer(NamedTuple):
    """What is put at the cursor, what kind of thing it is, and what it is called where that is something else."""

    text: str
    kind: str
    called: str = ""


Found = Iterable[Offer]


class Names:
    """Names that take a while to get: what is known is given at once, and what is old is fetched for the next time."""

    def __init__(self, fetch: Callable[[], list[str]], *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._monotonic = monotonic
        self._names: list[str] = []
        self._fetched_at: float | None = None
        self._lock = threading.Lock()
        self._fetching: threading.Thread | None = None

    def known(self) -> list[str]:
        """The names known by now; never waits."""
        with self._lock:
            is_old = self._fetched_at is None or self._monotonic() - self._fetched_at > _KEEP_SECONDS
            if is_old and self._fetching is None:
                self._fetching = threading.Thread(target=self._run, name="sm-async-names", daemon=True)
                self._fetching.start()
            return self._names

    def settle(self, timeout: float | None = None) -> None:
        """Wait for a fetch that is under way, which only a test wants to."""
        thread = self._fetching
        if thread is not None:
            thread.join(timeout)

    def _run(self) -> None:
        try:
            names = self._fetch()
        except Exception:  # noqa: BLE001 - Tab is a courtesy: no credentials, no permission and no network are all no names
            names = self._names
        with self._lock:
            self._names, self._fetched_at, self._fetching = names, self._monotonic(), None


@dataclass(frozen=True, kw_only=True)
class _Offers:
    """What can be offered in this session."""

    namespace: Mapping[str, Any]
    jobs: KnownJobs
    endpoints: Names
    ids: Names

    def of_cell(self, first_line: str, before: str) -> Found:
        """Behind ``%%sm_async``, on its line."""
        word, words = _last_word(before)
        options = cell_options()
        asked_by = _option_before(word, words, options)
        if asked_by is not None:
            return self._values(asked_by, first_line)
        if word.startswith("-"):
            return _flags(options.values())
        return [] if any(not other.startswith("-") for other in words) else self._names_of_endpoints()

    def of_line(self, before: str) -> Found:
        """Behind ``%sm_async``."""
        word, words = _last_word(before)
        if not words:
            return [Offer(name, "command") for name in command_words()]
        name = words[0]
        if name == "plan":
            return self.of_cell(before, before.partition("plan")[2])
        command = COMMANDS.get(name)
        if command is None:
            return [Offer(other, "command") for other in command_words()] if name == "help" else []
        if word.startswith("-"):
            return _flags(command.options().values())
        return self._words_of(command.takes)

    def _words_of(self, takes: str) -> Found:
        if takes == "[JOB]":
            return [Offer(name, "job") for name in self.jobs.names()]
        if takes == "ID":
            return [Offer(name, "job") for name in self.ids.known()]
        return self._names_of_endpoints() if takes in ("NAME", "[ENDPOINT]") else []

    def columns(self, first_line: str) -> Found:
        """Inside ``{{ }}``: the columns of the frame that ``--data`` names, where it is a variable."""
        frame = self._frame(first_line)
        if frame is None:
            return []
        # A template knows no others: {{ 0 }} is a number.
        names = [column for column in frame.columns if isinstance(column, str)]
        return [Offer(_in_template(name), "column", name) for name in names]

    def _values(self, option: Option, first_line: str) -> Found:
        if option.parameter == "data":
            return [Offer(name, "DataFrame") for name in frames_in(self.namespace)]
        if option.choices:
            return [Offer(choice, "value") for choice in option.choices]
        frame = self._frame(first_line)
        if frame is not None and (option.parameter in _OF_A_COLUMN or option.kind is Kind.NUMBER_OR_TEXT):
            return [Offer(_in_line(str(column)), "column", str(column)) for column in frame.columns]
        if option.kind is Kind.EXPRESSION:
            return [Offer(name, "instance") for name in list(self.namespace) if not name.startswith("_")]
        return []

    def _frame(self, first_line: str) -> pd.DataFrame | None:
        named = _DATA.search(first_line)
        frame = self.namespace.get(named[1]) if named else None
        return frame if isinstance(frame, pd.DataFrame) else None

    def _names_of_endpoints(self) -> Found:
        return [Offer(name, "endpoint") for name in self.endpoints.known()]


def matcher(namespace: Mapping[str, Any], jobs: KnownJobs) -> Callable[[CompletionContext], Any]:
    """What IPython asks on a Tab."""
    offers = _Offers(namespace=namespace, jobs=jobs, endpoints=Names(_endpoint_names), ids=Names(_job_ids))

    @context_matcher()  # type: ignore[untyped-decorator]
    def sm_async_matcher(context: CompletionContext) -> Any:
        found = _found(offers, context)
        if found is None:
            return {"completions": []}
        offered = list(found)
        fragment, in_quotes = _fragment(context.text_until_cursor)
        fitting = [
            SimpleCompletion(one.called or one.text if in_quotes else one.text, type=one.kind)
            for one in offered
            if (one.called or one.text).startswith(fragment)
        ]
        return {"completions": fitting, "matched_fragment": fragment, "suppress": bool(offered), "ordered": True}

    sm_async_matcher.offers = offers
    return cast(Callable[[CompletionContext], Any], sm_async_matcher)


def _found(offers: _Offers, context: CompletionContext) -> Found | None:
    """What fits where the cursor is, or None where it is not ours to say."""
    first_line = context.full_text.partition("\n")[0]
    in_cell = _CELL.match(first_line)
    before = context.text_until_cursor
    if in_cell:
        if _in_expression("\n".join([*context.full_text.split("\n")[: context.cursor_line], before])):
            return offers.columns(first_line)
        return offers.of_cell(first_line, before[in_cell.start(1) :]) if context.cursor_line == 0 else None
    in_line = _LINE.match(before)
    if in_line is None:
        return None
    return offers.columns(before) if _in_expression(before) else offers.of_line(in_line[1])


def _in_expression(text: str) -> bool:
    """Whether the text ends inside ``{{ }}``."""
    return text.rfind("{{") > text.rfind("}}")


def _fragment(before: str) -> tuple[str, bool]:
    """The part of a word that what is offered begins with, and whether a quote is before it.

    Of ``--columns age,pl`` that is ``pl``.
    """
    found = re.search(r"""[^\s,='"{}()]*$""", before)
    fragment = found[0] if found else ""
    return fragment, before.removesuffix(fragment)[-1:] in {"'", '"'}


def _in_template(name: str) -> str:
    """A column inside ``{{ }}``."""
    if name.isidentifier() and name not in _WORDS_OF_TEMPLATES:
        return name
    return f"row[{json.dumps(name, ensure_ascii=False)}]"


def _in_line(name: str) -> str:
    """A column behind an option, in quotes where a blank would end it."""
    if not any(sign.isspace() for sign in name):
        return name
    quote = "'" if '"' in name else '"'
    return f"{quote}{name}{quote}"


def _last_word(before: str) -> tuple[str, list[str]]:
    """The word at the cursor and those before it; a line that is being typed may have open quotes and brackets."""
    words = before.split()
    return ("", words) if not words or before[-1:].isspace() else (words[-1], words[:-1])


def _option_before(word: str, words: list[str], options: Mapping[str, Option]) -> Option | None:
    """The option whose value is being typed."""
    name, equals, _ = word.partition("=")
    asked = name if equals else (words[-1] if words else "")
    for option in options.values():
        if asked.replace("_", "-") in (option.flag, option.short or option.flag) and option.kind is not Kind.FLAG:
            return option
    return None


def _flags(options: Iterable[Option]) -> Found:
    of_plan = plan_options()
    return [Offer(option.flag, "option") for option in options if option.parameter not in of_plan]


def _endpoint_names() -> list[str]:
    return _first_column(endpoints())


def _job_ids() -> list[str]:
    return _first_column(listed_jobs())


def _first_column(frame: pd.DataFrame) -> list[str]:
    """The names of a list of endpoints or jobs, which are its index, or its first column where that only counts."""
    names = frame.iloc[:, 0] if isinstance(frame.index, pd.RangeIndex) else frame.index
    return [str(name) for name in names]
