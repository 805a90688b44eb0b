"""How an error in a magic is told: a misuse in one line, a service's error in a few, a traceback to who wants it.

Only what passes through a magic is shortened; who calls the library gets its exceptions as Python shows them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from IPython.core.error import UsageError

from sm_async_nb.errors import (
    ColumnNotFoundError,
    CredentialsError,
    EndpointNotAsynchronousError,
    EndpointNotFoundError,
    EndpointNotInServiceError,
    JobChangedError,
    JobInUseError,
    JobNotFoundError,
    RequestError,
    ServiceTroubleError,
    SmAsyncError,
    StorageAccessError,
    TooManyFailuresError,
)

# Mended by writing the cell in another way, whatever the service had to say about it.
_MISUSES = (
    ColumnNotFoundError,
    EndpointNotFoundError,
    EndpointNotAsynchronousError,
    JobChangedError,
    JobNotFoundError,
)
_NEXT_STEPS: tuple[tuple[type[SmAsyncError], str], ...] = (
    (CredentialsError, "%sm_async doctor says who you are and what you may do."),
    (StorageAccessError, "%sm_async doctor ENDPOINT names each permission that is missing."),
    (JobInUseError, "%sm_async attach ID takes it over when it is free; --read-only only looks on."),
    (EndpointNotInServiceError, "%sm_async endpoint NAME shows how it stands."),
    (TooManyFailuresError, "%sm_async failures has the model's own words."),
    (ServiceTroubleError, "It says nothing about your rows: run the cell again."),
    (RequestError, "%sm_async doctor ENDPOINT names each permission that is missing."),
)
# As S3 spells it, and as others do.
_REQUEST_ID = re.compile(r"<RequestI[dD]>([^<\s]+)</RequestI[dD]>")
_ALL_OF_IT = "%tb shows all of it, %config SmAsync.verbose_errors = True always."


@contextmanager
def plainly(*, verbose: bool, respell: Callable[[str], str] = str) -> Iterator[None]:
    """Tell errors shortly. ``respell`` puts the library's words into those of the magic."""
    try:
        yield
    except SmAsyncError as error:
        if verbose:
            raise
        if _is_misuse(error):
            raise UsageError(respell(str(error))) from error
        raise rendered(error, _told(error, respell)) from error.__cause__
    except Exception as error:
        if verbose or not _is_of_the_sdk(error):
            raise
        raise rendered(error, _told(error, respell)) from error.__cause__


def rendered(error: BaseException, told: str) -> BaseException:
    """The same exception, which IPython shows as these words, once: %tb has the traceback.

    A job that stopped raises one exception whenever it is waited for, and a caller of the library gets all of it.
    """

    def render() -> list[str]:
        del error._render_traceback_  # type: ignore[attr-defined]
        return told.splitlines()

    error._render_traceback_ = render  # type: ignore[attr-defined]  # IPython's own protocol
    return error


def respelling(
    parameters: Iterable[str], *, own: Iterable[str] = (), first_line: int | None = None, sends: bool = True
) -> Callable[[str], str]:
    """Messages of the library in the words of a magic: its options, and its cell.

    Parameters
    ----------
    parameters
        Those that are options of the cell.
    own
        Those that are options of a command besides, which AWS has no words for.
    first_line
        Where in the cell the template begins, if it is there.
    sends
        Whether anything could have been sent; a plan need not say that nothing was.
    """
    names = {name: f"--{name.replace('_', '-')}" for name in parameters}
    members = {_member(name): flag for name, flag in names.items()}
    names |= {name: f"--{name.replace('_', '-')}" for name in own}
    passed = re.compile(rf"\b({'|'.join(names)})=('[^']*'|\"[^\"]*\"|[^\s,;]+?(?=[.,;]?(?:\s|$)))")
    begins = re.compile(rf"(^|\. |\n\s*|: )({'|'.join(names)})(?= (?:must|has|is|takes|needs|and|or)\b)")
    member = re.compile(rf"\b({'|'.join(members)})\b(?=( must| may| is| has| of|:))")
    plain = re.compile(rf"(?<!['\"`.-])\b({'|'.join(name for name in names if '_' in name)}|\w+(?==\s))\b(?!['\"`])=?")

    def respelled(message: str) -> str:
        message = passed.sub(lambda found: f"{names[found[1]]} {found[2]}".removesuffix(" True"), message)
        message = begins.sub(lambda found: f"{found[1]}{names[found[2]]}", message)
        message = member.sub(lambda found: members[found[1]], message)
        message = plain.sub(lambda found: names.get(found[1], found[0]), message)
        if first_line is not None:
            message = re.sub(
                r"[Ll]ine (\d+) of the template",
                lambda found: f"Line {int(found[1]) + first_line - 1} of the cell",
                message,
            )
        return message if sends else re.sub(r"\s*Nothing was sent\.", "", message)

    return respelled


def request_id(error: BaseException | None) -> str:
    """The AWS request id of an error or of what caused it, or nothing."""
    while error is not None:
        own = getattr(error, "request_id", "")
        metadata = getattr(error, "response", None)
        found = own or (metadata.get("ResponseMetadata", {}).get("RequestId", "") if isinstance(metadata, dict) else "")
        found = found or _request_id_in_words(error)
        if found:
            return str(found)
        error = error.__cause__
    return ""


def _request_id_in_words(error: BaseException) -> str:
    """What S3 answered stands whole in the messages of obstore, which has no other place for the id."""
    found = _REQUEST_ID.search(str(error))
    return found[1] if found else ""


def _is_misuse(error: SmAsyncError) -> bool:
    return isinstance(error, _MISUSES) or (type(error) is RequestError and not _answer_of(error))


def _answer_of(error: BaseException) -> Any:
    """What a service or the SDK said that led to this error."""
    return error.__cause__ if error.__cause__ is not None and _is_of_the_sdk(error.__cause__) else None


def _is_of_the_sdk(error: BaseException) -> bool:
    return type(error).__module__.split(".")[0] in {"botocore", "aiobotocore", "boto3", "s3fs"}


def _told(error: BaseException, respell: Callable[[str], str]) -> str:
    lines = [f"{type(error).__name__}: {respell(str(error))}"]
    found = request_id(error)
    if found:
        lines.append(f"AWS request id: {found}")
    lines += [step for kind, step in _NEXT_STEPS if isinstance(error, kind)][:1]
    return "\n".join([*lines, _ALL_OF_IT])


def _member(parameter: str) -> str:
    return "".join(part.upper() if part == "ttl" else part.capitalize() for part in parameter.split("_"))
