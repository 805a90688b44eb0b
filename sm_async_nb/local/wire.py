"""HTTP to the fields of InvokeEndpointAsync, and an answer to HTTP: the wire protocol of the service.

Which fields there are, where they travel and what they may hold is read from the service model of the installed SDK,
so an old one knows neither Body nor Filename, as the service of its day did not. Every constraint is checked here,
since the SDK checks the minima only, and told in the service's words::

    2 validation errors detected: Value '10' at 'requestTTLSeconds' failed to satisfy constraint: Member must have
    value greater than or equal to 60; Value at 'body' failed to satisfy constraint: Member must have length ...

UNVERIFIED: the words for a number that is not one, for both or neither of Body and InputLocation, and for an
endpoint that is not asynchronous. No public source shows them.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache

from botocore.loaders import create_loader

from sm_async_nb.core.request import Field, python_pattern, read_fields
from sm_async_nb.local.invocation import Accepted

# moto's, unless told otherwise; an account is part of the service's own words about an unknown endpoint.
ACCOUNT_ID = "123456789012"

_OUTPUT_LOCATION = "X-Amzn-SageMaker-OutputLocation"
_FAILURE_LOCATION = "X-Amzn-SageMaker-FailureLocation"


@dataclass(frozen=True, kw_only=True)
class Reply:
    """An HTTP response, whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Refusal(Exception):  # noqa: N818 - it is what the service says, not what went wrong here
    """The service says no: ``code``, an HTTP ``status``, and a message in its own words."""

    def __init__(self, message: str, *, code: str = "ValidationError", status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


@cache
def installed_fields() -> Mapping[str, Field]:
    """The fields that the installed SDK knows."""
    return read_fields(create_loader().load_service_model("sagemaker-runtime", "service-2"))


def read_request(
    known: Mapping[str, Field], *, endpoint_name: str, headers: Mapping[str, str], body: bytes
) -> dict[str, object]:
    """The request's fields by their snake_case names; only those that were sent.

    Parameters
    ----------
    known
        What :func:`installed_fields` says, or an older model's fields. A header that is not among them is ignored.
    headers
        Looked up without regard to case.

    Raises
    ------
    Refusal
        If any constraint is violated; the message names all of them.
    """
    sent = _sent(known, endpoint_name, {name.lower(): value for name, value in headers.items()}, body)
    violations = [*_violations(known, sent), *_unknown_body(known, body)]
    if violations:
        raise Refusal(validation_message(violations))
    _check_one_payload(known, sent)
    return {name: _value(known[name], value) for name, value in sent.items()}


def validation_message(violations: Iterable[str]) -> str:
    """``1 validation error detected: ...``, as the service's framework joins them."""
    told = list(violations)
    return f"{len(told)} validation error{'s' if len(told) > 1 else ''} detected: {'; '.join(told)}"


def accepted_reply(accepted: Accepted) -> Reply:
    """The 202: the id in the body, the locations in headers, each only where there is one."""
    locations = {_OUTPUT_LOCATION: accepted.output_location, _FAILURE_LOCATION: accepted.failure_location}
    headers = {name: str(location) for name, location in locations.items() if location is not None}
    return _reply(202, {"InferenceId": accepted.inference_id}, headers)


def refusal_reply(refusal: Refusal) -> Reply:
    """An error as rest-json carries it: its code in a header, its message in the body."""
    return _reply(refusal.status, {"Message": str(refusal)}, {"x-amzn-ErrorType": refusal.code})


def endpoint_not_found(endpoint_name: str, account_id: str = ACCOUNT_ID) -> Refusal:
    return Refusal(f"Endpoint {endpoint_name} of account {account_id} not found.")


def endpoint_not_asynchronous(endpoint_name: str, account_id: str = ACCOUNT_ID) -> Refusal:
    return Refusal(
        f"Endpoint {endpoint_name} of account {account_id} is not an asynchronous endpoint: "
        "its endpoint configuration has no AsyncInferenceConfig."
    )


def endpoint_without_output_path(endpoint_name: str) -> Refusal:
    """What only the local endpoint says: without either, a result is lost."""
    return Refusal(
        f"Endpoint {endpoint_name} has neither an S3OutputPath nor a SuccessTopic; its results would go nowhere."
    )


def endpoint_beyond_s3(endpoint_name: str, which: str, path: str) -> Refusal:
    """What only the local endpoint says: the service takes an https:// address of S3 as well."""
    return Refusal(
        f"Endpoint {endpoint_name} has the {which} {path!r}; the local endpoint writes to s3:// locations only."
    )


def endpoint_is_asynchronous(endpoint_name: str, account_id: str = ACCOUNT_ID) -> Refusal:
    """What InvokeEndpoint is told by an endpoint that takes asynchronous invocations only."""
    return Refusal(f"Endpoint {endpoint_name} of account {account_id} takes asynchronous invocations only.")


def body_too_large(known: Mapping[str, Field]) -> Refusal:
    """Of a body that is not even read: what :func:`read_request` says of one that is."""
    return Refusal(validation_message([_body_longer_than((known["body"].maximum or 0) if "body" in known else 0)]))


def unknown_operation(method: str, path: str) -> Refusal:
    return Refusal(f"{method} {path} is no operation here.", code="UnknownOperationException", status=404)


def internal_failure(error: Exception) -> Refusal:
    return Refusal(f"{type(error).__name__}: {error}", code="InternalFailure", status=500)


def _reply(status: int, told: Mapping[str, str], headers: Mapping[str, str]) -> Reply:
    common = {"Content-Type": "application/json", "x-amzn-RequestId": str(uuid.uuid4())}
    return Reply(status=status, headers={**common, **headers}, body=json.dumps(told, separators=(",", ":")).encode())


def _sent(
    known: Mapping[str, Field], endpoint_name: str, headers: Mapping[str, str], body: bytes
) -> dict[str, str | bytes]:
    places: Mapping[str, Callable[[Field], str | bytes | None]] = {
        "uri": lambda _: endpoint_name,
        "header": lambda field: headers.get(str(field.header).lower()),
        # An empty HTTP body is how a request with an InputLocation looks, so it is no Body.
        "body": lambda _: body or None,
    }
    found = {name: places[field.location](field) for name, field in known.items()}
    return {name: value for name, value in found.items() if value is not None}


def _violations(known: Mapping[str, Field], sent: Mapping[str, str | bytes]) -> Iterable[str]:
    for name, field in known.items():
        if name in sent:
            constraints = _broken_constraints(field, sent[name])
            yield from (_violation(field, sent[name], constraint) for constraint in constraints)
        elif field.required:
            yield f"Value null at '{_member(field)}' failed to satisfy constraint: Member must not be null"


def _violation(field: Field, value: str | bytes, constraint: str) -> str:
    shown = "Value" if field.sensitive else f"Value '{value!s}'"
    return f"{shown} at '{_member(field)}' failed to satisfy constraint: {constraint}"


def _broken_constraints(field: Field, value: str | bytes) -> Iterable[str]:
    if field.type == "integer":
        yield from _broken_number(field, str(value))
        return
    yield from _broken_range(field, len(value), "length")
    if field.pattern is not None and not re.fullmatch(_pattern(field.pattern), str(value)):
        yield f"Member must satisfy regular expression pattern: {field.pattern}"


def _broken_number(field: Field, text: str) -> Iterable[str]:
    number = _integer(text)
    return ["Member must be an integer"] if number is None else _broken_range(field, number, "value")


def _broken_range(field: Field, measured: int, what: str) -> Iterable[str]:
    if field.minimum is not None and measured < field.minimum:
        yield f"Member must have {what} greater than or equal to {field.minimum}"
    if field.maximum is not None and measured > field.maximum:
        yield f"Member must have {what} less than or equal to {field.maximum}"


def _unknown_body(known: Mapping[str, Field], body: bytes) -> Iterable[str]:
    # What the service said before it knew Body (aws/aws-sdk-js#4203).
    if body and "body" not in known:
        yield _body_longer_than(0)


def _body_longer_than(maximum: int) -> str:
    return f"Value at 'body' failed to satisfy constraint: Member must have length less than or equal to {maximum}"


def _check_one_payload(known: Mapping[str, Field], sent: Mapping[str, object]) -> None:
    if "body" in known and ("body" in sent) == ("input_location" in sent):
        got = "both" if "body" in sent else "neither"
        raise Refusal(f"Provide exactly one of Body and InputLocation, got {got}.")


def _value(field: Field, value: str | bytes) -> object:
    return int(value) if field.type == "integer" else value


def _integer(text: str) -> int | None:
    # Not int() alone: it takes "1_000" and the digits of other scripts.
    return int(text) if re.fullmatch(r"[+-]?[0-9]{1,10}", text) else None


def _member(field: Field) -> str:
    return field.member[0].lower() + field.member[1:]


@cache
def _pattern(pattern: str) -> re.Pattern[str]:
    return re.compile(python_pattern(pattern))
