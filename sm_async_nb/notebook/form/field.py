"""One field of the form: its label with the unit, what fits in it, and beneath it what it means or what is wrong."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import ipywidgets as widgets

from sm_async_nb.core.build import DEFAULT_CONTENT_TYPE
from sm_async_nb.notebook.form.html import help_of, problem
from sm_async_nb.notebook.form.layout import box
from sm_async_nb.notebook.magic_options import Kind, Option

# Fields that belong together, in the order of the form. What is in none of them is among the last.
GROUPS = {
    "Payload": ("input_location", "nan", "bare", "wrap", "max_payload_bytes", "deduplicate"),
    "Request": (
        "accept", "custom_attributes", "inference_id", "request_ttl_seconds", "invocation_timeout_seconds",
        "s3_output_path_extension", "filename",
    ),
    "Job": (
        "name", "retry_failed", "restart", "concurrency", "max_in_flight", "retries", "max_failures", "tracker", "tags",
        "note",
    ),
    "Storage and other": ("input_prefix", "sse_kms_key_id", "expected_bucket_owner"),
}  # fmt: skip

# Those that most people look at are not hidden.
FIRST = ("content_type", "rows_per_request", "inline")

# A column may give their value for each row.
_OF_A_COLUMN = (
    "input_location", "accept", "custom_attributes", "inference_id", "request_ttl_seconds",
    "invocation_timeout_seconds", "s3_output_path_extension", "filename",
)  # fmt: skip
_UNITS = {
    "max_failures": "requests, or a share below 1",
    "concurrency": "requests",
    "max_in_flight": "requests",
    "retries": "times",
}
_LABELS = {
    "nan": "Missing values",
    "bare": "Send the bare value",
    "wrap": "Wrap rows in",
    "deduplicate": "Send equal rows once",
    "retry_failed": "Send failed rows again",
    "restart": "Begin anew",
    "name": "Job name",
    "inline": "Payload in the request",
    "max_failures": "Stop after failures",
    "tracker": "Follow answers by",
    "input_location": "Inputs that lie in S3",
}
# What is meant where nothing is said, and the call's own default does not tell.
_DEFAULTS = {"content_type": DEFAULT_CONTENT_TYPE, "rows_per_request": "1", "retries": "0"}
_CAPITALS = {"id": "ID", "ttl": "TTL", "s3": "S3", "kms": "KMS", "sse": "SSE"}


class FormField:
    """A control, and the line beneath it.

    Parameters
    ----------
    value
        What stands in it at first.
    is_brief
        Whether what it means is only told when the mouse rests on it.
    """

    def __init__(self, option: Option, *, value: str = "", is_brief: bool = False) -> None:
        self.option = option
        self._help = "" if is_brief else help_of(option.parameter, option.help)
        self._problem = ""
        self.control: Any = _control(option, value)
        self.line = widgets.HTML(self._help)
        self.line.add_class("sma-hint")
        self.widget = box("sma-field", [self.control, self.line])

    @property
    def value(self) -> str | bool:
        """What was typed; True for what is ticked."""
        value: str | bool = self.control.value
        return value

    def offer(self, columns: Iterable[str]) -> None:
        """Offer these columns, where one may stand."""
        if self.option.parameter in _OF_A_COLUMN:
            self.control.options = (*_words(self.option), *columns)

    def complain(self, message: str) -> None:
        """Say what is wrong, or nothing any more."""
        if message != self._problem:
            self._problem = message
            self.line.value = problem(message) if message else self._help


def label_of(option: Option) -> str:
    """The label: the parameter in words, with the unit."""
    name, unit = option.parameter, _UNITS.get(option.parameter, "")
    for known in ("seconds", "bytes"):
        if name.endswith(f"_{known}"):
            name, unit = name.removesuffix(f"_{known}"), known
    words = _LABELS.get(name) or " ".join(_CAPITALS.get(word, word) for word in name.split("_"))
    return f"{words[0].upper()}{words[1:]}{f' ({unit})' if unit else ''}"


def groups(options: Iterable[str]) -> dict[str, list[str]]:
    """The fields that are not among the first, by their group."""
    left = [name for name in options if name not in FIRST]
    found = {title: [name for name in names if name in left] for title, names in GROUPS.items()}
    grouped = {name for names in found.values() for name in names}
    found[[*GROUPS][-1]] += [name for name in left if name not in grouped]
    return found


def _control(option: Option, value: str) -> Any:
    kept = {"description": label_of(option), "tooltip": f"{option.parameter}: {option.help}"}
    if option.kind is Kind.FLAG:
        return widgets.Checkbox(value=False, indent=False, **kept)
    choices = _closed(option)
    if choices:
        shown = [(f"{choice} (the default)" if choice == option.default else choice, choice) for choice in choices]
        # The default is not said, so that the code stays short.
        return widgets.Dropdown(options=[(text, "" if one == option.default else one) for text, one in shown], **kept)
    kept["placeholder"] = _DEFAULTS.get(option.parameter, f"{option.default or ''}")
    if option.parameter in _OF_A_COLUMN or option.choices:
        return widgets.Combobox(options=_words(option), ensure_option=False, value=value, **kept)
    return widgets.Text(value=value, **kept)


def _closed(option: Option) -> list[str]:
    """The words that an option takes, if it takes no others: the default first, which need not be told of."""
    if option.kind is not Kind.TEXT or not option.default or any("<" in choice for choice in option.choices):
        return []
    return [*dict.fromkeys((option.default, *option.choices))] if option.choices else []


def _words(option: Option) -> tuple[str, ...]:
    return tuple(choice.partition("<")[0] for choice in option.choices)
