"""The asynchronous endpoints of an account, for a menu: found one after the other, with how each stands.

ListEndpoints does not say which are asynchronous, so each is asked about; a form shows them as they come, and takes a
typed name meanwhile, or where nobody may ask.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sm_async_nb.aws.described import Endpoint
from sm_async_nb.aws.endpoint import ListedEndpoint, describe_endpoint, list_endpoints
from sm_async_nb.aws.session import Session, checked_session
from sm_async_nb.errors import (
    CredentialsError,
    EndpointNotAsynchronousError,
    EndpointNotFoundError,
    EndpointNotInServiceError,
    ServiceTroubleError,
    SmAsyncError,
)
from sm_async_nb.notebook.form.check import plain

LOOKING = "Looking for asynchronous endpoints; a name can be typed meanwhile."
_MOST = 100
_UNKNOWN = "state not known"


@dataclass(frozen=True)
class Seen:
    """What is known by now: how each endpoint stands, by its name, and what there is to say about the search."""

    states: dict[str, str]
    said: str
    is_over: bool = False


def look_for_endpoints(session: Session | None) -> Iterator[Seen]:
    """What is known after each answer of SageMaker. Raises nothing; what is in the way is said."""
    states: dict[str, str] = {}
    yield Seen({}, LOOKING)
    try:
        session = checked_session(session)
        listed = list_endpoints(session, limit=_MOST)
    except SmAsyncError as error:
        yield Seen({}, f"Endpoints cannot be listed; type a name. {plain(str(error))}", is_over=True)
        return
    trouble, is_hopeless = "", False
    for number, one in enumerate(listed, start=1):
        state = _UNKNOWN
        if not is_hopeless:
            try:
                state = _state(session, one)
            except SmAsyncError as error:
                trouble = trouble or plain(str(error))
                is_hopeless = isinstance(error, CredentialsError | ServiceTroubleError)
        if state:
            states = {**states, one.endpoint_name: state}
            yield Seen(states, f"{LOOKING} {number:,} of {len(listed):,} were looked at.")
    yield Seen(states, _said(states, len(listed), trouble), is_over=True)


def state_of(endpoint: Endpoint) -> str:
    """How an endpoint stands, in a few words."""
    if not endpoint.is_in_service:
        return f"{endpoint.endpoint_status}, takes no requests"
    if endpoint.instances is None:
        return "in service"
    if endpoint.is_asleep:
        return "in service, asleep"
    return f"in service, {endpoint.instances:,} instance{'' if endpoint.instances == 1 else 's'}"


def _state(session: Session, one: ListedEndpoint) -> str:
    """How it stands; empty if it is not for this form."""
    try:
        return state_of(describe_endpoint(session, one.endpoint_name))
    except (EndpointNotAsynchronousError, EndpointNotFoundError):
        return ""  # or it went away meanwhile
    except EndpointNotInServiceError:
        return f"{one.endpoint_status}, takes no requests"


def _said(states: dict[str, str], listed: int, trouble: str) -> str:
    if trouble:
        return f"Not all endpoints could be looked at. {trouble}"
    if not states:
        return "There is no asynchronous endpoint in this account and region; a name can be typed all the same."
    if listed == _MOST:
        return f"Only the newest {_MOST:,} endpoints were looked at; the name of another can be typed."
    return ""
