"""What a form says, as keywords of ``submit``, as a call of it, and as a ``%%sm_async`` cell; all mean the same.

The keywords are read from the line of the cell, so that the two cannot differ.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from IPython.core.error import UsageError

from sm_async_nb.notebook.cell import submit_options
from sm_async_nb.notebook.magic_options import Kind, Option, parse

# What the form asks for in places of their own, or cannot ask for.
_ELSEWHERE = ("columns", "template", "payload", "session", "wait")


def more_options() -> dict[str, Option]:
    """What stands under "more": a field for each."""
    return {name: option for name, option in submit_options().items() if name not in _ELSEWHERE}


@dataclass(frozen=True, kw_only=True)
class Filled:
    """A form as it is filled in. ``texts`` are what was typed under "more", by parameter; True for what is ticked."""

    data: str
    endpoint_name: str
    columns: tuple[Hashable, ...] | None = None
    template: str | None = None
    texts: Mapping[str, str | bool] = field(default_factory=dict)

    def keywords(self) -> dict[str, Any]:
        """What ``submit`` is called with, its endpoint apart.

        Raises
        ------
        ValueError
            If a value is not of its kind, or cannot be written on one line.
        """
        try:
            given = dict(parse(" ".join(self._flags()), more_options(), help_at="%%sm_async --help").given)
        except UsageError as error:
            raise ValueError(str(error)) from None
        if self.template is not None:
            return {"template": self.template, **given}
        return given if self.columns is None else {"columns": list(self.columns), **given}

    def python(self) -> str:
        """The call."""
        told = [repr(self.endpoint_name), *(f"{name}={value!r}" for name, value in self.keywords().items())]
        return f"job = {self.data}.sm_async.submit({', '.join(told)})\njob"

    def cell(self) -> str:
        """The cell."""
        parts = ["%%sm_async", self.endpoint_name, "--data", self.data, "--out job"]
        if self.template is None and self.columns is not None:
            parts += ["--columns", _quoted(_columns(self.columns))]
        return f"{' '.join([*parts, *self._flags()])}\n{self.template or ''}"

    def _flags(self) -> Sequence[str]:
        options = more_options()
        flags = []
        for name, text in self.texts.items():
            if options[name].kind is Kind.FLAG:
                flags += [options[name].flag] if text else []
            elif str(text).strip():
                flags.append(f"{options[name].flag} {_quoted(str(text).strip())}")
        return flags


def _columns(columns: Sequence[Hashable]) -> str:
    names = [str(column) for column in columns]
    if any("," in name or name != name.strip() or name.startswith("[") for name in names):
        import json

        return json.dumps(names, ensure_ascii=False)
    return ",".join(names)


def _quoted(text: str) -> str:
    """A value as one word of the line, which knows no escapes."""
    if "\n" in text:
        raise ValueError(f"{text!r} has more than one line; only the template may.")
    if text and text.replace("_", "").replace("-", "").replace(",", "").replace(".", "").isalnum() and text[0] != "-":
        return text
    for quote in "'\"":
        if quote not in text:
            return f"{quote}{text}{quote}"
    raise ValueError(f"{text!r} has both kinds of quotes, which a line of a cell cannot say.")
