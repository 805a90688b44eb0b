"""Boxes and buttons as the form's style sheet knows them."""

from __future__ import annotations

from typing import Any

import ipywidgets as widgets


def close(widget: Any) -> None:
    """Close a widget with all that is in it."""
    for child in getattr(widget, "children", ()):
        close(child)
    widget.close()


def button(description: str, *, small: bool = False) -> Any:
    made = widgets.Button(description=description)
    if small:
        made.add_class("sma-small")
    return made


def box(name: str, children: list[Any]) -> Any:
    made = widgets.VBox(children)
    made.add_class(name)
    return made


def row(name: str, children: list[Any]) -> Any:
    made = widgets.HBox(children)
    made.add_class(name)
    return made
