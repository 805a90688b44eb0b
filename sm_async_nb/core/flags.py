"""Arguments that are True or False, and nothing that only looks like it: a text ``"no"`` would be taken for True."""

from __future__ import annotations

import numpy as np

from sm_async_nb.errors import RequestError


def check_flags(consequence: str = "", /, **given: object) -> None:
    """Refuse what is neither True nor False, NumPy's own included; ``consequence`` ends the message.

    Examples
    --------
    >>> check_flags("Nothing was sent.", wait=True)
    >>> check_flags("Nothing was sent.", wait="no")
    Traceback (most recent call last):
        ...
    sm_async_nb.errors.RequestError: wait must be True or False, got 'no'. Nothing was sent.
    """
    for name, value in given.items():
        if not isinstance(value, bool | np.bool_):
            raise RequestError(f"{name} must be True or False, got {value!r}. {consequence}".rstrip())
