"""Names of the variables that a form binds."""

from __future__ import annotations

from collections.abc import Mapping
from keyword import iskeyword
from typing import Any


def free_name(wanted: str, variables: Mapping[str, Any]) -> str:
    """A name for a variable that is bound to nothing yet."""
    number, name = 1, wanted
    while name in variables:
        number += 1
        name = f"{wanted}_{number}"
    return name


def bound_to(value: object, variables: Mapping[str, Any]) -> str:
    """The variable that has this value; empty if none has."""
    found = (name for name, one in list(variables.items()) if one is value and not name.startswith("_"))
    return next(found, "")


def wrong_name(name: str, *, taken: str = "") -> str:
    """Why a variable cannot have this name, or nothing."""
    if not name.isidentifier() or iskeyword(name):
        return f"{name!r} cannot be the name of a variable."
    return f"{name} is the frame; take another name." if name == taken else ""
