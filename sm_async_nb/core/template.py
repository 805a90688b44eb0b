"""The cell's template: Jinja2 over the columns of a row, where a value can never become part of the template.

``{"inputs": {{ text }}}`` is JSON whatever ``text`` holds, since in a JSON template an expression's value is written as
JSON: a text with its quotes and escapes, a missing value as ``null``. In a text template it is written as text. The
template is compiled once, in Jinja2's sandbox, and cells are only ever data to it.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import jinja2
import orjson
from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, UndefinedError, meta, nodes
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from sm_async_nb.core.values import TEXT, plain, to_json
from sm_async_nb.errors import ColumnNotFoundError, RequestError

# The whole row, for columns whose names are no identifiers: {{ row["age group"] }}.
_ROW = "row"

# What was meant as {{ name }} and is JSON's brace around a word.
_SINGLE_BRACES = re.compile(r"\{\s*(?P<name>[A-Za-z_]\w*)\s*\}")

_OTHER_TEMPLATES: tuple[type[nodes.Node], ...] = (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)


class Template:
    r"""A template over the columns of a frame.

    Parameters
    ----------
    source
        The text, with ``{{ column }}`` for values and Jinja2's ``{% if %}`` and ``{% for %}``.
    columns
        The columns there are. One whose name is no identifier is reached by ``{{ row["its name"] }}``.
    as_json
        Whether values are written as JSON, and the result must be JSON.
    called
        What messages call it.

    Raises
    ------
    ColumnNotFoundError
        If it uses a column that is not there, with the line and the nearest name.
    RequestError
        If it is no template, with the line.

    Examples
    --------
    >>> Template('{"inputs": {{ text }}}', ["text"], as_json=True).render({"text": 'a "quoted" word'})
    '{"inputs": "a \\\\"quoted\\\\" word"}'
    """

    def __init__(
        self, source: str, columns: Sequence[Hashable], *, as_json: bool, called: str = "the template"
    ) -> None:
        self.source = source
        self._as_json = as_json
        environment = _environment(_as_json if as_json else _as_text)
        parsed, self._template = _compiled(environment, source, called)
        names = [column for column in columns if isinstance(column, str)]
        self.used = _used_columns(parsed, names, called)
        self._expression = _single_expression(parsed, environment, source)

    def __repr__(self) -> str:
        return f"<Template {self.source!r}>" if len(self.source) <= 60 else f"<Template {self.source[:57]!r}...>"  # noqa: PLR2004

    def render(self, row: Mapping[str, Any]) -> str:
        """The text for one row, given as plain values by column.

        Raises
        ------
        ValueError
            If an expression fails on this row, or the result is not JSON although it should be.
        """
        rendered: str = _told(lambda: self._template.render(row, row=row))
        if self._as_json:
            _check_json(rendered)
        return rendered

    def value(self, row: Mapping[str, Any]) -> Any:
        """What a template that is a single expression means for one row, a number as a number; else its text."""
        expression = self._expression
        return self.render(row) if expression is None else _told(lambda: expression(row, row=row))


def is_template(value: object) -> bool:
    """Whether a text is meant as a template: it has ``{{`` or ``{%`` in it."""
    return isinstance(value, str) and ("{{" in value or "{%" in value)


def _environment(finalize: Callable[[Any], str]) -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        finalize=finalize, undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False
    )
    # Nothing but the row can be named, so that a misspelt column is never one of Jinja2's own helpers.
    environment.globals.clear()
    environment.filters["text"] = _inside_quotes
    return environment


def _compiled(
    environment: ImmutableSandboxedEnvironment, source: str, called: str
) -> tuple[nodes.Template, jinja2.Template]:
    try:
        plain(source, TEXT)
        parsed = environment.parse(source)
        _refuse_others(parsed)
        return parsed, environment.from_string(source)
    except TemplateSyntaxError as error:
        said = str(error.message).rstrip(".")
        raise RequestError(f"Line {error.lineno} of {called}: {said}. Nothing was sent.") from None
    except (ValueError, RecursionError) as error:  # a number of ten thousand digits, brackets a thousand deep
        said = str(error).rstrip(".")
        raise RequestError(f"{called.capitalize()} cannot be compiled: {said}. Nothing was sent.") from None


def _refuse_others(parsed: nodes.Template) -> None:
    for kind in _OTHER_TEMPLATES:
        for other in parsed.find_all(kind):
            raise TemplateSyntaxError("there is no other template to include, import or extend", other.lineno)


class _Finished(str):
    """A text that is written as it is."""

    __slots__ = ()


def _as_json(value: Any) -> str:
    return value if isinstance(value, _Finished) else to_json(_defined(value)).decode()


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    value = plain(_defined(value), TEXT)
    if value is None:
        return ""
    if isinstance(value, float):
        return str(value) if math.isinf(value) else to_json(value).decode()
    return value if isinstance(value, str) else to_json(value).decode()


def _inside_quotes(value: Any) -> _Finished:
    """The filter ``text``: a value for the inside of a JSON text that the template has put into quotes itself."""
    return _Finished(orjson.dumps(_as_text(value)).decode()[1:-1])


def _defined(value: Any) -> Any:
    if isinstance(value, StrictUndefined):
        str(value)  # raises UndefinedError, which says what is missing
    return value


def _told(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except SecurityError as error:
        raise ValueError(f"the template may not do that: {error}") from None
    except UndefinedError as error:
        raise ValueError(f"in the template, {error}") from None
    except RecursionError:
        raise ValueError("the template fails: it calls itself without end") from None
    except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as error:
        said = error.args[-1] if isinstance(error, OverflowError) else error  # which begins with a number
        raise ValueError(f"the template fails: {said}") from None


def _check_json(rendered: str) -> None:
    try:
        orjson.loads(rendered)
    except orjson.JSONDecodeError as error:
        raise ValueError(
            f"the template gives no JSON, line {error.lineno} column {error.colno}: {error.msg}."
            f" {_hint(rendered, error.pos)}"
        ) from None


def _hint(rendered: str, at: int) -> str:
    """What is probably wrong where reading ended."""
    if rendered[at : at + 1] == "'":
        return "JSON wants double quotes"
    single = next((found for found in _SINGLE_BRACES.finditer(rendered) if found.start() <= at <= found.end()), None)
    if single is not None:
        return f"Perhaps {{{{ {single['name']} }}}} was meant"
    return "Values bring their own quotes; inside quotes write {{ column | text }}"


def _used_columns(parsed: nodes.Template, columns: Sequence[str], called: str) -> list[str]:
    """The columns that the template names, in the frame's order; all of them where it takes the whole row."""
    named = meta.find_undeclared_variables(parsed)
    for name in sorted(named - {*columns, _ROW}):
        raise ColumnNotFoundError(
            f"Line {_line_of(parsed, name)} of {called} uses {name!r}, which the frame has no column of."
            f"{_nearest(name, columns)} Nothing was sent."
        )
    if _ROW in named and _ROW not in columns:
        return list(columns)
    return [column for column in columns if column in named]


def _line_of(parsed: nodes.Template, name: str) -> int:
    return min(node.lineno for node in parsed.find_all(nodes.Name) if node.name == name)


def _nearest(name: str, columns: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, columns, n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


def _single_expression(
    parsed: nodes.Template, environment: ImmutableSandboxedEnvironment, source: str
) -> Callable[..., Any] | None:
    """The expression of a template like ``{{ ttl }}``, whose value keeps its type."""
    body = parsed.body
    if len(body) != 1 or not isinstance(body[0], nodes.Output) or len(body[0].nodes) != 1:
        return None
    if isinstance(body[0].nodes[0], nodes.TemplateData):
        return None
    inner = source.strip().removeprefix("{{").removesuffix("}}").strip("-+ \t\n")
    return environment.compile_expression(inner, undefined_to_none=False)
