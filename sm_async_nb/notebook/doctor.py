"""``sm_async_nb.doctor()``: what works here, what does not, and what to do about it.

It looks as a job would: it describes the endpoint, lists where outputs lie, and writes one object of a few bytes below
the input prefix and reads it back. It sends no request to the model, and shows no secret.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from html import escape
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, TypeVar

import pandas as pd

from sm_async_nb.errors import SmAsyncError
from sm_async_nb.notebook.front_end import FrontEnd, front_end
from sm_async_nb.notebook.outside import SETTINGS, TABLE, current, strangers

if TYPE_CHECKING:
    from sm_async_nb.aws.endpoint import Endpoint
    from sm_async_nb.aws.session import Session
    from sm_async_nb.aws.storage import Storage
    from sm_async_nb.core.locations import S3Location

Value = TypeVar("Value")

# How long one answer is waited for.
PATIENCE_SECONDS = 15.0

_PACKAGES = (
    "sm-async-nb", "pandas", "numpy", "pyarrow", "boto3", "botocore", "aiobotocore", "s3fs", "ipython", "ipykernel",
    "ipywidgets", "anywidget",
)  # fmt: skip
_ABILITIES = {
    "body": "payloads inside the request (inline=)",
    "filename": "a name of one's own for each output",
    "s3_output_path_extension": "a path of the job's own for its outputs, so that following it takes few calls",
}
_CHECK_OBJECT = "sm-async-doctor.txt"


class State(StrEnum):
    """How a line of the report is meant."""

    OK = "ok"
    NOTE = "note"
    BAD = "BAD"
    NOT_TRIED = "not tried"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line: what was looked at, how it is, what was found, and what to do where it is not good."""

    check: str
    state: State
    found: str
    do: str = ""


@dataclass(frozen=True, repr=False)
class Report:
    """What :func:`doctor` found, with a text and an HTML form; ``table`` is a DataFrame."""

    findings: tuple[Finding, ...]

    @property
    def is_good(self) -> bool:
        """Whether nothing is bad."""
        return not any(finding.state is State.BAD for finding in self.findings)

    @property
    def table(self) -> pd.DataFrame:
        """A line for each finding."""
        told = [(finding.check, str(finding.state), finding.found, finding.do) for finding in self.findings]
        return pd.DataFrame(told, columns=["check", "state", "found", "do"]).set_index("check")

    def __str__(self) -> str:
        width = max(len(finding.check) for finding in self.findings)
        lines = [self._summary()]
        for finding in self.findings:
            lines.append(f"  {finding.state:9}  {finding.check:{width}}  {finding.found}".rstrip())
            lines += [f"  {'':9}  {'':{width}}  {finding.do}"] if finding.do else []
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        # Names of endpoints and what services say are not ours, so all of it is escaped.
        rows = "".join(_row(finding) for finding in self.findings)
        head = "<tr><th>state</th><th>check</th><th>found</th><th>what to do</th></tr>"
        return f"<p>{escape(self._summary())}</p><table><thead>{head}</thead><tbody>{rows}</tbody></table>"

    def _summary(self) -> str:
        bad = sum(finding.state is State.BAD for finding in self.findings)
        return f"{bad} of {len(self.findings)} lines are bad" if bad else f"All {len(self.findings)} lines are good"


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
    findings += _aws(endpoint_name, session, input_prefix)
    return Report(tuple(findings))


def _row(finding: Finding) -> str:
    cells = (str(finding.state), finding.check, finding.found, finding.do)
    return f"<tr>{''.join(f'<td style="text-align: left">{escape(cell)}</td>' for cell in cells)}</tr>"


def _ok(check: str, found: str) -> Finding:
    return Finding(check=check, state=State.OK, found=found)


def _note(check: str, found: str, do: str = "") -> Finding:
    return Finding(check=check, state=State.NOTE, found=found, do=do)


def _bad(check: str, found: str, do: str) -> Finding:
    return Finding(check=check, state=State.BAD, found=found, do=do)


def _not_tried(check: str, why: str) -> Finding:
    return Finding(check=check, state=State.NOT_TRIED, found=why)


# This machine


def _versions() -> Iterator[Finding]:
    yield _ok("python", sys.version.split()[0])
    for name in _PACKAGES:
        try:
            found = version(name)
        except PackageNotFoundError:
            yield _note(name, "not installed", "It is only needed in a notebook." if name.startswith("ip") else "")
            continue
        yield _broken_kernel(found) if name == "ipykernel" and found.startswith("7.0.") else _ok(name, found)


def _broken_kernel(found: str) -> Finding:
    return _bad("ipykernel", found, "7.0 cannot show what other threads do: pip install 'ipykernel>=7.1', and restart.")


def _front_end() -> Iterator[Finding]:
    where = front_end()
    waits = "waits for its job" if where.waits else "returns at once"
    told = {
        FrontEnd.NOTEBOOK: "a notebook",
        FrontEnd.BATCH: "a notebook that a program runs",
        FrontEnd.TERMINAL: "a terminal",
        FrontEnd.SCRIPT: "a script",
    }
    yield _ok("front end", f"{told[where]}; a cell {waits}")


def _settings() -> Iterator[Finding]:
    for name, path in strangers().items():
        yield _bad(f"setting {name}", f"stands in {TABLE} of {path}", f"Known are {', '.join(SETTINGS)}.")
    for name, setting in SETTINGS.items():
        value, source = current(name)
        try:
            setting.check(value)
        except ValueError as error:
            told = f"{error}, got {value!r} from {source}"
            yield _bad(f"setting {name}", told, f"%config SmAsync.{name} = {setting.default!r}")
        else:
            if source != "default":
                yield _ok(f"setting {name}", f"{value!r} from {source}")


# AWS


def _aws(endpoint_name: str | None, session: Session | None, input_prefix: str | None) -> Iterator[Finding]:
    from sm_async_nb.aws.session import checked_session

    try:
        session = checked_session(session)
    except SmAsyncError as error:
        yield _bad("session", _fact(error), _way(error))
        return
    yield _ok("region", str(session.region_name))
    yield from _sdk(session)
    who = _identity(session)
    yield who
    if who.state is State.BAD:
        yield _not_tried("endpoint and buckets", "without credentials nothing can be reached")
        return
    if endpoint_name is None:
        yield _not_tried("endpoint and buckets", "name an endpoint: sm_async_nb.doctor('my-endpoint')")
        return
    yield from _endpoint(session, endpoint_name, input_prefix)


def _sdk(session: Session) -> Iterator[Finding]:
    from sm_async_nb.aws.session import known_fields

    known = known_fields(session)
    for name, meaning in _ABILITIES.items():
        if name in known:
            yield _ok(f"SDK: {name}", meaning)
        else:
            yield _note(f"SDK: {name}", f"not known to this botocore: {meaning}", "pip install --upgrade boto3 s3fs")


def _identity(session: Session) -> Finding:
    """Who the credentials belong to, by sts:GetCallerIdentity, which needs no permission."""
    try:
        credentials = _within(session.get_credentials)
        if credentials is None:
            return _bad("credentials", "none were found", "Configure a profile or sign in, or pass session=.")
        identity = _within(lambda: session.client("sts").get_caller_identity())
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what there is to tell
        return _bad("credentials", _fact(error), "Sign in again, or mend the profile; then run this again.")
    return _ok("credentials", f"{identity['Arn']} (from {credentials.method})")


def _endpoint(session: Session, endpoint_name: str, input_prefix: str | None) -> Iterator[Finding]:
    from sm_async_nb.aws.endpoint import look_at_endpoint

    try:
        endpoint = _within(lambda: look_at_endpoint(session, endpoint_name, now=time.time()))
    except Exception as error:  # noqa: BLE001 - as above
        yield _bad("sagemaker:DescribeEndpoint", _fact(error), _way(error))
        return
    yield _ok("sagemaker:DescribeEndpoint", str(endpoint))
    yield from _service(endpoint)
    yield _not_tried("sagemaker:InvokeEndpointAsync", "to try it a request would have to be sent")
    yield from _places(session, endpoint, input_prefix)


def _service(endpoint: Endpoint) -> Iterator[Finding]:
    if not endpoint.is_in_service:
        yield _bad("endpoint", f"it is {endpoint.endpoint_status}", "Wait until it is InService, or ask its owner.")
    if endpoint.is_asleep:
        yield _note("endpoint", "it has no instance now", "The first answers take minutes; jobs wait for them.")
    if endpoint.s3_failure_path is None:
        yield _bad(
            "failure path",
            "the endpoint has none, so a request that fails leaves no trace and is waited for in vain",
            "Give its configuration an S3FailurePath; or make request_ttl_seconds and invocation_timeout_seconds short.",
        )
    if endpoint.backlog is None:
        yield _note("cloudwatch:GetMetricStatistics", "no backlog is known: no permission, or nothing was sent lately")


def _places(session: Session, endpoint: Endpoint, input_prefix: str | None) -> Iterator[Finding]:
    """The permissions on each place in S3, each tried as a job would use it."""
    try:
        inputs = _input_prefix(endpoint, input_prefix)
    except SmAsyncError as error:
        yield _bad("input prefix", _fact(error), _way(error))
    else:
        yield from _tried(session, _inputs_of(inputs))
    for name, path in (("outputs", endpoint.s3_output_path), ("failures", endpoint.s3_failure_path)):
        if path is not None:
            yield from _tried(session, _outputs_of(name, path))


def _input_prefix(endpoint: Endpoint, input_prefix: str | None) -> S3Location:
    from sm_async_nb.core.locations import S3Location, parse_s3_uri
    from sm_async_nb.errors import RequestError

    given = input_prefix or current("input_prefix")[0]
    if given:
        try:
            return parse_s3_uri(str(given))
        except ValueError as error:
            raise RequestError(f"{error}") from None
    if endpoint.s3_output_path is None:
        raise RequestError(
            "The endpoint writes no outputs to S3. Say where inputs go: input_prefix='s3://bucket/prefix'."
        )
    return S3Location(endpoint.s3_output_path.bucket, "sm-async-nb")


Try = tuple[str, Callable[["Storage"], Awaitable[Any]]]


def _inputs_of(prefix: S3Location) -> list[Try]:
    place = prefix.child(_CHECK_OBJECT)

    async def listed(storage: Storage) -> None:
        async for _ in storage.list(prefix.child(_CHECK_OBJECT)):
            break

    return [
        (f"s3:PutObject {prefix}", lambda storage: storage.put(place, b"Written by sm_async_nb.doctor().\n")),
        (f"s3:GetObject {prefix}", lambda storage: storage.get(place)),
        (f"s3:ListBucket {prefix}", listed),
    ]


def _outputs_of(name: str, path: S3Location) -> list[Try]:
    async def listed(storage: Storage) -> None:
        async for _ in storage.list(path.child("sm-async-nb-permission-check/")):
            break

    async def got(storage: Storage) -> None:
        # With the permission to list, S3 says 404 of what is not there to those only who might read it.
        try:
            await storage.get(path.child("sm-async-nb-permission-check"))
        except FileNotFoundError:
            return

    return [(f"s3:ListBucket {name} {path}", listed), (f"s3:GetObject {name} {path}", got)]


def _tried(session: Session, tries: list[Try]) -> Iterator[Finding]:
    for check, attempt in tries:
        try:
            _run(session, attempt)
        except Exception as error:  # noqa: BLE001 - as above
            yield _bad(check, _fact(error), _way(error))
        else:
            yield _ok(check, "allowed")


def _run(session: Session, attempt: Callable[[Storage], Awaitable[Any]]) -> None:
    import asyncio

    from sm_async_nb.aws.storage import open_storage
    from sm_async_nb.job import background

    async def work() -> None:
        async with asyncio.timeout(PATIENCE_SECONDS), open_storage(session) as storage:
            await attempt(storage)

    background.run(work())


def _within(work: Callable[[], Value]) -> Value:
    """What a call gives that may take for ever; the thread is left to itself then.

    Raises
    ------
    TimeoutError
        If it takes too long.
    """
    box: list[tuple[Value | None, BaseException | None]] = []

    def run() -> None:
        try:
            box.append((work(), None))
        except BaseException as error:  # noqa: BLE001 - raised where it was waited for
            box.append((None, error))

    thread = threading.Thread(target=run, name="sm-async-doctor", daemon=True)
    thread.start()
    give_up = time.monotonic() + PATIENCE_SECONDS
    while thread.is_alive() and time.monotonic() < give_up:
        thread.join(0.1)
    if not box:
        raise TimeoutError(f"no answer within {PATIENCE_SECONDS:g} seconds")
    value, error = box[0]
    if error is not None:
        raise error
    return value  # type: ignore[return-value]


def _fact(error: BaseException) -> str:
    """The first sentence of a message; a message ends with the way out."""
    told = str(error).removesuffix(" Nothing was sent.") or type(error).__name__
    if isinstance(error, TimeoutError):
        return f"no answer within {PATIENCE_SECONDS:g} seconds"
    fact, _, _ = told.partition(" These credentials need ")
    return fact.strip()


def _way(error: BaseException) -> str:
    told = str(error).removesuffix(" Nothing was sent.")
    _, _, needed = told.partition(" These credentials need ")
    if needed:
        return f"Ask for {needed}"
    return "Check the network, the region and the endpoint URL." if isinstance(error, TimeoutError) else ""
