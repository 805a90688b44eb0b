"""What a form says, as keywords of ``submit``, as a call of it, and as a ``%%sm_async`` cell; all mean the same.

The keywords are read from the line of the cell, so that the two cannot differ.
"""

from __future__ import annotations

import json
import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from IPython.core.error import UsageError

from sm_async_nb.notebook.cell import submit_options
from sm_async_nb.notebook.magic_options import Kind, Option, parse

# What the form asks for in places of their own, or cannot ask for.
_ELSEWHERE = ("columns", "template", "payload", "session", "wait")
_HELP_AT = "%%sm_async --help"


def form_options() -> dict[str, Option]:
    """What a form has a field for."""
    return {name: option for name, option in submit_options().items() if name not in _ELSEWHERE}


@dataclass(frozen=True, kw_only=True)
class Filled:
    """A form as it is filled in.

    Parameters
    ----------
    data, out
        The variables of the frame and of the job.
    columns, places
        The columns that are chosen, and where they stand in the frame; None for all of them.
    known
        All columns of the frame.
    texts
        What was typed into the fields, by parameter; True for what is ticked.
    session
        The variable of the boto3 session that the form was given; empty if none has it, None if none was given.
    """

    data: str
    endpoint_name: str
    out: str = "job"
    columns: tuple[Hashable, ...] | None = None
    places: tuple[int, ...] = ()
    known: tuple[Hashable, ...] = ()
    template: str | None = None
    texts: Mapping[str, str | bool] = field(default_factory=dict)
    session: str | None = None

    def value(self, name: str) -> Any:
        """What was typed into one field, read; None where nothing was.

        Raises
        ------
        ValueError
            If it is not of its kind, or cannot be written on one line.
        """
        return self._read(self._flag(name)).get(name)

    def keywords(self) -> dict[str, Any]:
        """What ``submit`` is called with, its endpoint apart.

        Raises
        ------
        ValueError
            As :meth:`value` does, for the first field.
        """
        given = self._read(self._flags())
        if self.template is not None:
            return {"template": self._body(), **given}
        return given if self.columns is None else {"columns": list(self.columns), **given}

    def python(self) -> str:
        """The call."""
        told = [repr(self.endpoint_name)]
        told += [f"{name}={self._as_python(name, value)}" for name, value in self.keywords().items()]
        told += [f"session={self.session}"] if self.session else []
        first = "# session=...: as the form was given; no variable has it.\n" if self.session == "" else ""
        return f"{first}{self.out} = {self.data}.sm_async.submit({', '.join(told)})\n{self.out}"

    def cell(self) -> str:
        """The cell.

        Raises
        ------
        ValueError
            As :meth:`value` does, and if a column cannot be told from another by its text.
        """
        parts = ["%%sm_async", _quoted(self.endpoint_name), "--data", self.data, "--out", self.out]
        if self.template is None and self.columns is not None:
            parts.append(_option("--columns", _columns(self.columns, self.known)))
        return f"{' '.join([*parts, self._flags()]).rstrip()}\n{'' if self.template is None else self._body()}"

    def _body(self) -> str:
        """The template as a cell takes it, without empty lines before it and blanks behind it."""
        lines = (self.template or "").split("\n")
        while lines and not lines[0].strip():
            lines.pop(0)
        if not lines:
            raise ValueError('The template is empty. Write one, such as {"inputs": {{ text }}}.')
        return "\n".join(lines).rstrip()

    def _as_python(self, name: str, value: Any) -> str:
        """Names that have no literal, as those of a frame with dates above it, are told by their places."""
        if name == "columns" and not all(_is_literal(column) for column in value):
            return f"{self.data}.columns[{list(self.places)!r}]"
        return repr(value)

    def _read(self, flags: str) -> dict[str, Any]:
        try:
            return dict(parse(flags, form_options(), help_at=_HELP_AT).given)
        except UsageError as error:
            raise ValueError(str(error)) from None

    def _flags(self) -> str:
        return " ".join(filter(None, (self._flag(name) for name in self.texts)))

    def _flag(self, name: str) -> str:
        option, text = form_options()[name], self.texts.get(name, "")
        if option.kind is Kind.FLAG:
            return option.flag if text else ""
        return _option(option.flag, str(text)) if str(text).strip() else ""


def _is_literal(column: Hashable) -> bool:
    """Whether what Python shows of a column's name is the name, wherever it is pasted."""
    if isinstance(column, tuple):
        return all(_is_literal(part) for part in column)
    if type(column) is float:
        return math.isfinite(column)
    return column is None or type(column) in (str, int, bool)


def _columns(columns: Sequence[Hashable], known: Sequence[Hashable]) -> str:
    """The names as the option reads them: simple ones with commas, others as JSON, which keeps 1 and "1" apart."""
    if all(isinstance(name, str) and _is_simple(name) for name in columns):
        return ",".join(str(name) for name in columns)
    texts = [str(name) for name in known]
    names = [name if type(name) in (str, int) else str(name) for name in columns]
    for column, name in zip(columns, names, strict=True):
        if type(column) not in (str, int) and texts.count(str(name)) > 1:
            raise ValueError(f"A cell cannot tell the column {column!r} from another {name!r}; take the Python.")
    told = json.dumps(names, ensure_ascii=False)
    return told if told.isprintable() else json.dumps(names)


def _is_simple(name: str) -> bool:
    return bool(name) and "," not in name and name == name.strip() and name[0] != "[" and name.isprintable()


def _option(flag: str, text: str) -> str:
    """An option with its value, which must not look like an option itself."""
    return f"{flag}{'=' if text.startswith('-') else ' '}{_quoted(text)}"


def _quoted(text: str) -> str:
    """A value as one word of the line, which knows no escapes: what has both kinds of quotes is put together."""
    if len(text.splitlines()) > 1:
        raise ValueError(f"{text!r} has more than one line; only the template may.")
    if text and text.replace("_", "").replace("-", "").replace(",", "").replace(".", "").isalnum() and text[0] != "-":
        return text
    if "'" not in text:
        return f"'{text}'"
    return '"\'"'.join(f"'{part}'" if part else "" for part in text.split("'")) if '"' in text else f'"{text}"'
