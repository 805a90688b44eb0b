"""Forms and the cells of a session: after each cell a form looks at the variables, until its own is run again."""

from __future__ import annotations

from typing import Any, Protocol

# A cell that is run, and the number of its run.
Place = tuple[str, int]


class Following(Protocol):
    """What is shown by a cell, and follows the others."""

    def look_again(self) -> None: ...

    def close(self) -> None: ...


# The forms that are shown, by the cell that shows them and the number of its run.
_shown: dict[Place, list[Following]] = {}


def follow_cells(form: Following) -> None:
    """Have a form look again after each cell, until its own cell is run once more."""
    from IPython import get_ipython

    shell: Any = get_ipython()
    if shell is None:
        return
    if look_again not in shell.events.callbacks["post_run_cell"]:
        shell.events.register("post_run_cell", look_again)
    place = place_of_cell()
    _shown.setdefault(place, [])
    if form not in _shown[place]:
        _shown[place].append(form)
    for before in [other for other in _shown if other[0] == place[0] != "" and other != place]:
        for old in _shown.pop(before):
            old.close()


def look_again(_ran: object = None) -> None:
    """After a cell: the variables may be others."""
    for forms in list(_shown.values()):
        for form in forms:
            form.look_again()


def place_of_cell() -> Place:
    """The cell that is run, by its id, which is empty where the front end does not tell."""
    from IPython import get_ipython

    shell: Any = get_ipython()
    return ("", 0) if shell is None else (_cell_of(shell), shell.execution_count)


def _cell_of(shell: Any) -> str:
    kernel = getattr(shell, "kernel", None)
    told = kernel.get_parent("shell") if kernel is not None else {}
    return str((told or {}).get("metadata", {}).get("cellId", ""))
