"""What the doctor asks of AWS: who the credentials are, and whether a job could do what it needs to.

Each permission is tried as a job would use it, and told by its name.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from sm_async_nb.errors import EndpointNotFoundError, SmAsyncError
from sm_async_nb.notebook.doctor_report import Finding, State, bad, not_tried, note, ok
from sm_async_nb.notebook.outside import current, for_show

if TYPE_CHECKING:
    from sm_async_nb.aws.endpoint import Endpoint
    from sm_async_nb.aws.session import Session
    from sm_async_nb.aws.storage import Storage
    from sm_async_nb.core.locations import S3Location

Value = TypeVar("Value")

# How long one answer is waited for.
PATIENCE_SECONDS = 15.0

_ABILITIES = {
    "body": "payloads inside the request (inline=)",
    "filename": "a name of one's own for each output",
    "s3_output_path_extension": "a path of the job's own for its outputs, so that following it takes few calls",
}
_CHECK_OBJECT = "sm-async-doctor.txt"
# What the SDK calls it when nobody is reached; it is asked by name, since it is imported in one place only.
_NO_WAY_THERE = ("ConnectTimeoutError", "EndpointConnectionError")


def look_at_aws(endpoint_name: str | None, session: Session | None, input_prefix: str | None) -> Iterator[Finding]:
    """A finding for each thing a job needs of AWS, as far as it can be tried."""
    from sm_async_nb.aws.session import checked_session

    try:
        session = checked_session(session)
    except SmAsyncError as error:
        yield bad("session", _fact(error), _way(error))
        return
    yield ok("region", str(session.region_name))
    yield from _sdk(session)
    who = _identity(session)
    yield who
    if who.state is State.BAD:
        yield not_tried("endpoint and buckets", "without credentials nothing can be reached")
        return
    if endpoint_name is None:
        yield not_tried("endpoint and buckets", "name an endpoint: sm_async_nb.doctor('my-endpoint')")
        return
    yield from _endpoint(session, endpoint_name, input_prefix)


def _sdk(session: Session) -> Iterator[Finding]:
    from sm_async_nb.aws.session import known_fields

    known = known_fields(session)
    for name, meaning in _ABILITIES.items():
        if name in known:
            yield ok(f"SDK: {name}", meaning)
        else:
            mend = "pip install --upgrade boto3 s3fs, and restart the kernel."
            yield note(f"SDK: {name}", f"not known to this botocore: {meaning}", mend)


def _identity(session: Session) -> Finding:
    """Who the credentials belong to, by sts:GetCallerIdentity, which needs no permission."""
    try:
        credentials = _within(session.get_credentials)
        if credentials is None:
            return bad("credentials", "none were found", "Configure a profile or sign in, or pass session=.")
        return _owner_of(credentials, session)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what there is to tell
        return bad("credentials", _fact(error), "Sign in again, or mend the profile; then run this again.")


def _owner_of(credentials: Any, session: Session) -> Finding:
    try:
        identity = _within(lambda: session.client("sts").get_caller_identity())
    except Exception as error:
        if not (isinstance(error, TimeoutError) or type(error).__name__ in _NO_WAY_THERE):
            raise
        # A network of one's own may have no way to STS, and a job needs none.
        told = f"found (from {credentials.method}), but STS cannot be asked whose they are: {_fact(error)}"
        return note("credentials", told, "A job needs no STS; what it does need is tried below.")
    return ok("credentials", f"{identity['Arn']} (from {credentials.method})")


def _endpoint(session: Session, endpoint_name: str, input_prefix: str | None) -> Iterator[Finding]:
    from sm_async_nb.aws.endpoint import look_at_endpoint

    try:
        endpoint = _within(lambda: look_at_endpoint(session, endpoint_name, now=time.time()))
    except Exception as error:  # noqa: BLE001 - as above
        yield bad("sagemaker:DescribeEndpoint", _fact(error), _way(error))
        return
    yield ok("sagemaker:DescribeEndpoint", str(endpoint))
    yield from _service(endpoint)
    yield not_tried("sagemaker:InvokeEndpointAsync", "to try it a request would have to be sent")
    yield from _places(session, endpoint, input_prefix)


def _service(endpoint: Endpoint) -> Iterator[Finding]:
    if not endpoint.is_in_service:
        yield bad("endpoint", f"it is {endpoint.endpoint_status}", "Wait until it is InService, or ask its owner.")
    if endpoint.is_asleep:
        yield note("endpoint", "it has no instance now", "The first answers take minutes; jobs wait for them.")
    if endpoint.s3_failure_path is None:
        yield bad(
            "failure path",
            "the endpoint has none, so a request that fails leaves no trace and is waited for in vain",
            "Give its configuration an S3FailurePath; or make the request's two time limits short.",
        )
    if endpoint.backlog is None:
        yield note("cloudwatch:GetMetricStatistics", "no backlog is known: no permission, or nothing was sent lately")


def _places(session: Session, endpoint: Endpoint, input_prefix: str | None) -> Iterator[Finding]:
    """The permissions on each place in S3, each tried as a job would use it."""
    try:
        inputs = _input_prefix(endpoint, input_prefix)
    except SmAsyncError as error:
        yield bad("input prefix", _fact(error), _way(error))
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
            yield bad(check, _fact(error), _way(error))
        else:
            yield ok(check, "allowed")


def _run(session: Session, attempt: Callable[[Storage], Awaitable[Any]]) -> None:
    import asyncio

    from sm_async_nb.aws.storage import StorageTerms, open_storage
    from sm_async_nb.job import background

    # As the settings have it, since a key or an owner may be just what is missing, or what a bucket asks for.
    terms = StorageTerms(
        sse_kms_key_id=for_show("sse_kms_key_id"), expected_bucket_owner=for_show("expected_bucket_owner")
    )
    choice = for_show("storage")

    async def work() -> None:
        async with asyncio.timeout(PATIENCE_SECONDS), open_storage(session, terms=terms, storage=choice) as storage:
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
    """What a message says is so; behind it stands the way out."""
    if isinstance(error, TimeoutError):
        return f"no answer within {PATIENCE_SECONDS:g} seconds"
    return _parts(error)[0] or type(error).__name__


def _way(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "Check the network, the region and the endpoint URL."
    if isinstance(error, EndpointNotFoundError):
        return f"{_parts(error)[1]} sm_async_nb.endpoints() lists those there are.".strip()
    return _parts(error)[1] or "It is as the service says; run this again later."


def _parts(error: BaseException) -> tuple[str, str]:
    told = str(error).removesuffix("Nothing was sent.").strip()
    way_out = _WAY_OUT.search(told)
    return (told[: way_out.start()], told[way_out.end() :]) if way_out else (told, "")


# With which words the sentences begin that say what to do.
_WAY_OUT = re.compile(
    r"(?<=[.!?]) (?=(?:These credentials|Check|Set|Did you mean|Sign in|Configure|Pass|Give|Choose|Say|Update)\b)"
)
