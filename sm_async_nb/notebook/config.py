"""``%config SmAsync``: the defaults of a session, over those of the environment and of pyproject.toml."""

from __future__ import annotations

from typing import Any

from IPython.core.error import UsageError
from traitlets import TraitType
from traitlets.config import Configurable

from sm_async_nb.notebook.magic_options import nearest
from sm_async_nb.notebook.outside import SETTINGS, TABLE, Setting, ask, current, outside, strangers


class _Kept(TraitType[Any, Any]):
    """A trait that keeps whatever it is given, and is what is said outside until then.

    IPython only logs what a trait refuses, and goes on with the old value, so values are checked where they are used.
    """

    def get(self, obj: Any, cls: Any = None) -> Any:  # noqa: ARG002 - traitlets' signature
        return obj._trait_values.get(self.name, None) if self.is_set(obj) else outside(self.name or "")[0]  # noqa: SLF001

    def is_set(self, obj: Any) -> bool:
        return self.name in obj._trait_values  # noqa: SLF001


class Seconds(_Kept):
    """A number of seconds."""


class Count(_Kept):
    """A whole number of at least 1."""


class Switch(_Kept):
    """True or False."""


class Text(_Kept):
    """A text."""


class SwitchOrAuto(_Kept):
    """True, False or 'auto'."""


def _trait(kind: type[_Kept], name: str) -> _Kept:
    setting = SETTINGS[name]
    return kind(setting.default, help=f"{setting.help} Environment: {setting.variable}.").tag(config=True)


class SmAsync(Configurable):
    """What %%sm_async and %sm_async do where a line does not say."""

    input_prefix = _trait(Text, "input_prefix")
    concurrency = _trait(Count, "concurrency")
    sse_kms_key_id = _trait(Text, "sse_kms_key_id")
    expected_bucket_owner = _trait(Text, "expected_bucket_owner")
    storage = _trait(Text, "storage")
    wait = _trait(SwitchOrAuto, "wait")
    front_end = _trait(Text, "front_end")
    fetch_answers = _trait(Switch, "fetch_answers")
    progress_after = _trait(Seconds, "progress_after")
    verbose_errors = _trait(Switch, "verbose_errors")

    def where(self, name: str) -> tuple[Any, str]:
        """A value, unchecked, and where it comes from."""
        if self.traits()[name].is_set(self):  # type: ignore[attr-defined]
            return getattr(self, name), f"%config SmAsync.{name}"
        return outside(name)

    def start(self) -> None:
        """Have the first word from now on."""
        ask(self.where)

    def stop(self) -> None:
        """Have no word any more."""
        ask(None)


def value_of(name: str) -> Any:
    """A setting as it is used.

    Raises
    ------
    UsageError
        If it is not as it must be, with where it comes from.
    """
    value, source = current(name)
    return _checked(SETTINGS[name], value, source)


def is_said(name: str) -> bool:
    """Whether anybody has said anything about a setting, or it is the default."""
    return current(name)[1] != "default"


def check_all() -> None:
    """Refuse what is wrong with any setting, before anything is done.

    Raises
    ------
    UsageError
        For the first that is.
    """
    for name, path in strangers().items():
        raise UsageError(f"{name} in {TABLE} of {path} is no setting.{nearest(name, SETTINGS)} Nothing was sent.")
    for name in SETTINGS:
        value_of(name)


def _checked(setting: Setting, value: Any, source: str) -> Any:
    try:
        return setting.check(value)
    except ValueError as error:
        raise UsageError(
            f"{setting.name} {error}, got {value!r} from {source}."
            f" Set it right: %config SmAsync.{setting.name} = {setting.default!r}"
        ) from None
