"""What is wrong with the value of a single field, whatever the others say: by the rules that ``submit`` itself has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import pandas as pd

from sm_async_nb.core.payload import Options, codec_for
from sm_async_nb.core.request import Field
from sm_async_nb.core.sources import Constant, source_of
from sm_async_nb.core.terms import Terms
from sm_async_nb.job.document import Settings
from sm_async_nb.job.prefix import given_prefix
from sm_async_nb.job.submit import Wishes
from sm_async_nb.notebook.form.code import Filled

_RULES: tuple[type[Any], ...] = (Terms, Options, Settings, Wishes)


def problems_of(filled: Filled, frame: pd.DataFrame, known_fields: Mapping[str, Field]) -> dict[str, str]:
    """What is wrong, by the parameter whose field it is."""
    found = {name: problem_of(filled, name, frame, known_fields) for name in filled.texts}
    return {name: problem for name, problem in found.items() if problem}


def problem_of(filled: Filled, name: str, frame: pd.DataFrame, known_fields: Mapping[str, Field]) -> str:
    """What is wrong with one field, or nothing."""
    try:
        value = filled.value(name)
        if value is not None:
            _check(name, value, filled, frame, known_fields)
    except (TypeError, ValueError) as error:
        return plain(str(error))
    return ""


def plain(message: str) -> str:
    """A message without what a form need not say: that nothing was sent, and the option of a cell."""
    told = message.replace("Nothing was sent.", "").strip()
    word, _, rest = told.partition(" ")
    return f"It {rest}" if word.startswith("--") and rest else told


def _check(name: str, value: Any, filled: Filled, frame: pd.DataFrame, known_fields: Mapping[str, Field]) -> None:
    for rules in _RULES:
        if name in {field.name for field in fields(rules)}:
            # These two are about a job that was there before, which the name says.
            others = {"name": filled.value("name")} if name in ("retry_failed", "restart") else {}
            rules(**{name: value, **others})
    if name == "input_prefix":
        given_prefix(value)
    if name in known_fields:
        _check_field(known_fields[name], value, frame)


def _check_field(field: Field, value: Any, frame: pd.DataFrame) -> None:
    source = source_of(field.name, value, frame)
    if not isinstance(source, Constant):
        return
    if problem := field.problem(value):
        or_else = " or a column's name" if isinstance(value, str) and field.type == "integer" else ""
        raise ValueError(f"{problem.rstrip('.')}{or_else}.")
    if field.name == "content_type":
        codec_for(value)
