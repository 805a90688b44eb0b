"""``sm_async_nb.doctor()``: what works here, what does not, and what to do about it.

It looks as a job would: it describes the endpoint, lists where outputs lie, and writes one object of a few bytes below
the input prefix and reads it back. It sends no request to the model, and shows no secret.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from sm_async_nb.notebook.doctor_aws import look_at_aws
from sm_async_nb.notebook.doctor_report import Finding, Report, bad, note, ok
from sm_async_nb.notebook.front_end import FrontEnd, front_end
from sm_async_nb.notebook.outside import SETTINGS, TABLE, current, strangers

if TYPE_CHECKING:
    from sm_async_nb.aws.session import Session

_PACKAGES = (
    "sm-async-nb", "pandas", "numpy", "pyarrow", "boto3", "botocore", "aiobotocore", "s3fs", "obstore", "ipython",
    "ipykernel", "ipywidgets", "anywidget",
)  # fmt: skip
_NOT_NEEDED = {
    **dict.fromkeys(("ipython", "ipykernel", "ipywidgets", "anywidget"), "It is only needed in a notebook."),
    "obstore": "S3 takes less CPU with it: sm-async-nb[fast].",
}


def doctor(
    endpoint_name: str | None = None, *, session: Session | None = None, input_prefix: str | None = None
) -> Report:
    """Look at everything a job needs, and say what is missing and what to do about it.

    Versions, front end, settings, credentials (who you are; never a secret), the abilities of the installed SDK; with
    an endpoint's name also the endpoint, and the permissions on the places where inputs, outputs and failures lie. For
    these an object of a few bytes is written below the input prefix, and stays there.

    Parameters
    ----------
    endpoint_name
        The endpoint to look at.
    session
        The boto3 session to look with; a new default one otherwise.
    input_prefix
        Where inputs would go, ``s3://bucket/prefix``; found as for ``submit`` otherwise.

    Returns
    -------
    Report
        With a text and an HTML form; ``report.table`` is a DataFrame, ``report.is_good`` one word.

    Examples
    --------
    >>> sm_async_nb.doctor("churn-xgb")  # doctest: +SKIP
    """
    findings = [*_versions(), *_front_end(), *_settings()]
    findings += look_at_aws(endpoint_name, session, input_prefix)
    return Report(tuple(findings))


# This machine


def _versions() -> Iterator[Finding]:
    yield ok("python", sys.version.split()[0])
    for name in _PACKAGES:
        try:
            found = version(name)
        except PackageNotFoundError:
            yield note(name, "not installed", _NOT_NEEDED.get(name, ""))
            continue
        yield _kernel(found) if name == "ipykernel" else ok(name, found)


def _kernel(found: str) -> Finding:
    """What is known of this ipykernel: threads show nothing with 7.0, and before 7.4 a request may be left unread."""
    mend = "pip install 'ipykernel>=7.4', and restart."
    if found.startswith("7.0."):
        return bad("ipykernel", found, f"7.0 cannot show what other threads do: {mend}")
    if found.startswith(("7.1.", "7.2.", "7.3.")):
        return note("ipykernel", found, f"Before 7.4 a cell may hang until the page is loaded again: {mend}")
    return ok("ipykernel", found)


def _front_end() -> Iterator[Finding]:
    where = front_end()
    waits = "waits for its job" if where.waits else "returns at once"
    told = {
        FrontEnd.NOTEBOOK: "a notebook",
        FrontEnd.BATCH: "a notebook that a program runs",
        FrontEnd.TERMINAL: "a terminal",
        FrontEnd.SCRIPT: "a script",
    }
    yield ok("front end", f"{told[where]}; a cell {waits}")


def _settings() -> Iterator[Finding]:
    for name, path in strangers().items():
        yield bad(f"setting {name}", f"stands in {TABLE} of {path}", f"Known are {', '.join(SETTINGS)}.")
    for name, setting in SETTINGS.items():
        value, source = current(name)
        try:
            setting.check(value)
        except ValueError as error:
            told = f"{error}, got {value!r} from {source}"
            yield bad(f"setting {name}", told, f"%config SmAsync.{name} = {setting.default!r}")
        else:
            if source != "default":
                yield ok(f"setting {name}", f"{value!r} from {source}")
