"""The options of the magics, read from the functions they call, and a line of a magic taken apart by them.

A parameter of :meth:`df.sm_async.submit` is an option of ``%%sm_async`` by being there: its annotation says how its
value is read, its part of the docstring is its help.
"""

from __future__ import annotations

import difflib
import inspect
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from IPython.core.error import UsageError

from sm_async_nb.notebook.line_words import split


class Kind(Enum):
    """How the value of an option is read."""

    FLAG = "flag"
    TEXT = "text"
    NUMBER = "number"
    NUMBER_OR_TEXT = "number or text"
    NAMES = "names"
    MAPPING = "mapping"
    EXPRESSION = "expression"


_METAVARS = {
    Kind.FLAG: "",
    Kind.TEXT: "TEXT",
    Kind.NUMBER: "NUMBER",
    Kind.NUMBER_OR_TEXT: "NUMBER",
    Kind.NAMES: "NAME,NAME",
    Kind.MAPPING: "KEY=VALUE,...",
    Kind.EXPRESSION: "EXPRESSION",
}


@dataclass(frozen=True, kw_only=True)
class Option:
    """One option: the parameter it is for, how its value is read, and what its help says."""

    parameter: str
    kind: Kind
    help: str
    default: Any = None
    choices: tuple[str, ...] = ()
    short: str = ""
    metavar: str = ""

    @property
    def flag(self) -> str:
        """As it is typed."""
        return f"--{self.parameter.replace('_', '-')}"

    @property
    def usage(self) -> str:
        """As the help shows it."""
        names = f"{self.short}, {self.flag}" if self.short else self.flag
        return f"{names} {self.metavar or _METAVARS[self.kind]}".rstrip()


@dataclass(frozen=True, kw_only=True)
class Line:
    """A line taken apart: its words, and the options that were given, read but for expressions, which stay text."""

    words: tuple[str, ...]
    given: Mapping[str, Any] = field(default_factory=dict)


def options_of(function: Callable[..., Any], *, leave_out: Iterable[str] = ()) -> dict[str, Option]:
    """An option for each keyword of a function, by parameter."""
    told = parameter_docs(inspect.getdoc(function) or "")
    skipped = {"self", *leave_out}
    return {
        name: _option(parameter, told.get(name, ""))
        for name, parameter in inspect.signature(function).parameters.items()
        if name not in skipped and parameter.kind is not inspect.Parameter.VAR_KEYWORD
    }


def parameter_docs(docstring: str) -> dict[str, str]:
    """What a numpy docstring says of each parameter, in one paragraph."""
    section = re.search(r"^Parameters\n-+\n(.*?)(?=^\w[^\n]*\n-+$|\Z)", docstring, re.MULTILINE | re.DOTALL)
    told: dict[str, str] = {}
    for entry in re.finditer(r"^(\S[^\n]*)\n((?:[ \t]+[^\n]*\n?|\n)+)", section[1] if section else "", re.MULTILINE):
        text = " ".join(entry[2].split())
        told |= {name.strip().lstrip("*"): text for name in entry[1].split(":")[0].split(",")}
    return told


def parse(line: str, options: Mapping[str, Option], *, help_at: str) -> Line:
    """Take a line apart.

    Parameters
    ----------
    options
        By parameter.
    help_at
        What a user types to see the options.

    Raises
    ------
    UsageError
        For what is no option, with the nearest one, and for a value that is not there or not of its kind.
    """
    by_name = _by_name(options)
    words: list[str] = []
    given: dict[str, Any] = {}
    left = split(line)
    while left:
        word = left.pop(0)
        if not _is_option(word):
            words.append(word)
            continue
        name, has_value, value = word.partition("=")
        option, negated = _found(name, by_name, help_at)
        if option.parameter in given:
            raise UsageError(f"{option.flag} is given twice.")
        given[option.parameter] = _value(option, value if has_value else None, left, negated=negated)
    return Line(words=tuple(words), given=given)


def help_lines(options: Iterable[Option]) -> list[str]:
    """A paragraph for each option."""
    lines = []
    for option in options:
        lines += [f"  {option.usage}", *(f"      {part}" for part in _wrapped(option.help, 100))]
    return lines


def nearest(word: str, known: Iterable[str]) -> str:
    """`` Did you mean ...?`` with the nearest of the words that are known, or nothing."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f" Did you mean {close[0]}?" if close else ""


# Reading a function

# Words that a docstring puts into quotes, or that are media types.
_ROLE = re.compile(r":\w+:`~?([^`]*)`")
_CHOICE = re.compile(r"``\"?((?<=\")[^\"`]+(?=\")|[a-z]+/[a-z0-9.+-]+)\"?``")


def _option(parameter: inspect.Parameter, told: str) -> Option:
    kind = kind_of(str(parameter.annotation))
    default = None if parameter.default is inspect.Parameter.empty else parameter.default
    choices = tuple(_CHOICE.findall(told)) if kind is Kind.TEXT else ()
    shown = _ROLE.sub(r"\1", told).replace("``", "")
    return Option(parameter=parameter.name, kind=kind, help=shown, default=default, choices=choices)


def kind_of(annotation: str) -> Kind:
    """How a value is read that a parameter of this annotation takes."""
    names = {name.strip() for name in re.sub(r"\[[^\]]*\]", "", annotation).split("|")} - {"None"}
    if names == {"bool"}:
        return Kind.FLAG
    if names & {"Mapping", "dict"}:
        return Kind.MAPPING
    if names & {"Sequence", "Iterable", "Hashable", "list", "tuple"}:
        return Kind.NAMES
    if "str" in names:
        return Kind.NUMBER_OR_TEXT if names & {"int", "float"} else Kind.TEXT
    return Kind.NUMBER if names and names <= {"int", "float"} else Kind.EXPRESSION


# Finding an option and its value


def _by_name(options: Mapping[str, Option]) -> dict[str, tuple[Option, bool]]:
    """Every spelling that is understood: the flag, its short form, and ``--no-`` before one that is on or off."""
    names = {}
    for option in options.values():
        names[option.flag] = (option, False)
        if option.short:
            names[option.short] = (option, False)
        if option.kind is Kind.FLAG:
            names[f"--no-{option.flag.removeprefix('--')}"] = (option, True)
    return names


def _is_option(word: str) -> bool:
    return re.match(r"--[A-Za-z]|-[A-Za-z]$", word) is not None


def _found(name: str, by_name: Mapping[str, tuple[Option, bool]], help_at: str) -> tuple[Option, bool]:
    spelled = name.replace("_", "-")
    if spelled not in by_name:
        raise UsageError(f"{name} is no option.{nearest(spelled, by_name)} {help_at} lists them.")
    return by_name[spelled]


def _value(option: Option, value: str | None, left: list[str], *, negated: bool) -> Any:
    if option.kind is Kind.FLAG:
        if value is not None:
            raise UsageError(f"{option.flag} takes no value; --no-{option.flag.removeprefix('--')} is its opposite.")
        return not negated
    if value is None:
        if not left or _is_option(left[0]):
            raise UsageError(f"{option.flag} needs a value: {option.usage}.")
        value = left.pop(0)
    return _READERS[option.kind](option, value)


def _text(option: Option, value: str) -> str:
    if option.choices and option.parameter in _CLOSED and value not in option.choices:
        known = ", ".join(option.choices)
        raise UsageError(f"{option.flag} is one of {known}; got {value!r}.{nearest(value, option.choices)}")
    return value


# Parameters that take these words and no others; elsewhere the words in the docstring are examples.
_CLOSED = frozenset({"nan", "wrap", "inline", "errors"})


def _number(option: Option, value: str) -> int | float:
    number = _as_number(value)
    if number is None:
        raise UsageError(f"{option.flag} needs a number, got {value!r}.")
    return number


def _number_or_text(_option: Option, value: str) -> int | float | str:
    number = _as_number(value)
    return value if number is None else number


def _as_number(value: str) -> int | float | None:
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return None


def _names(option: Option, value: str) -> list[Any]:
    if value.startswith("["):
        read = _json(option, value)
        return list(read)
    return [name.strip() for name in value.split(",") if name.strip()]


def _mapping(option: Option, value: str) -> dict[str, Any]:
    if value.startswith("{"):
        read = _json(option, value)
        if isinstance(read, dict):
            return read
    pairs = [pair.partition("=") for pair in value.split(",")]
    if not all(name.strip() and equals for name, equals, _ in pairs):
        raise UsageError(f"{option.flag} takes KEY=VALUE,KEY=VALUE or a JSON object, got {value!r}.")
    return {name.strip(): text.strip() for name, _, text in pairs}


def _json(option: Option, value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError as error:
        raise UsageError(f"{option.flag} is no JSON: {error}.") from None


def _as_it_is(_option: Option, value: str) -> str:
    return value


_READERS: Mapping[Kind, Callable[[Option, str], Any]] = {
    Kind.TEXT: _text,
    Kind.NUMBER: _number,
    Kind.NUMBER_OR_TEXT: _number_or_text,
    Kind.NAMES: _names,
    Kind.MAPPING: _mapping,
    Kind.EXPRESSION: _as_it_is,
}


def _wrapped(text: str, width: int) -> Sequence[str]:
    import textwrap

    return textwrap.wrap(text, width)
