"""``LocalEndpoint``: the local endpoint as a user starts it, points an SDK at it, watches it and closes it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import EllipsisType, TracebackType
from typing import TYPE_CHECKING, Any, Self

import boto3

from sm_async_nb.errors import RequestError
from sm_async_nb.local import creation, sdk_config
from sm_async_nb.local.endpoint import AsyncEndpoint
from sm_async_nb.local.faults import Faults, Injector
from sm_async_nb.local.handler import Answer, Handler, takes_headers
from sm_async_nb.local.invocation import EndpointConfig, ObjectStore, Topics
from sm_async_nb.local.loopback import LOOPBACK, check_host
from sm_async_nb.local.naming import NamingRule
from sm_async_nb.local.notifications import ERROR_NOTIFICATION_TOPIC, SUCCESS_NOTIFICATION_TOPIC
from sm_async_nb.local.operations import Calls
from sm_async_nb.local.scaling import ScalingRule
from sm_async_nb.local.sdk_config import Addresses, Keys, found_keys

if TYPE_CHECKING:
    from sm_async_nb.local.runtime import RuntimeServer
    from sm_async_nb.local.substrate import Substrate


class LocalEndpoint:
    """An asynchronous endpoint on loopback, which unmodified boto3, aiobotocore and s3fs reach.

    Its S3 and control plane are moto's server. Of several that are open in one process at the same time, each is an
    AWS account of its own: it sees, answers and counts its own endpoints alone, even where they have the same name. S3
    is one for all of them.

    Parameters
    ----------
    handler
        The model: ``(body, content_type, accept) -> bytes | str | Answer``, synchronous or not, with a fourth argument
        if it wants the headers that a container gets; or a :class:`Container`, or what :func:`load_handler` makes of an
        inference script. A mapping gives each endpoint, by its name, its own, and :meth:`start` creates one endpoint
        for each.
    endpoint_name
        The endpoint that :meth:`start` creates for a single handler; None creates none.
    bucket
        Created by :meth:`start`; outputs go to ``s3://<bucket>/async-output``, failures to ``async-failures``.
    instances, max_concurrent_invocations_per_instance
        Their product is how many requests the handler is given at the same time.
    failure_path
        Whether an endpoint has an S3FailurePath; without, a failed request leaves no object at all.
    region_name
        The region of the bucket and the endpoints.
    notifications
        Whether :meth:`start` creates a success topic, an error topic and a queue that is subscribed to both, at
        :attr:`queue_url`, for the endpoints that are created after that.
    include_inference_response_in
        SUCCESS_NOTIFICATION_TOPIC, ERROR_NOTIFICATION_TOPIC or both: whose messages carry the model's answer, up to
        128 KB of it.
    cold_start
        Seconds until an instance is there. With ``instances=0`` the first request wakes the endpoint. None: instances
        come at once, and an endpoint that has none stays so, unless it may ``scale_to_zero_after``.
    scale_to_zero_after
        Seconds without a request after which an endpoint has no instance left. None: never.
    wakes_at_backlog
        How many requests have to wait before an endpoint without an instance wakes.
    faults
        What is to go wrong, and how often; see :attr:`faults`.
    naming
        The unverified parts of how objects are named.
    failure_object_without_model_answer
        Whether a request that expired, timed out or had no readable input leaves a failure object. UNVERIFIED.
    notification_without_model_answer
        Whether a request that expired or had no readable input is notified, and one whose output cannot be written, as
        a failure; one that timed out always is. UNVERIFIED.
    forward_generated_inference_id
        Whether the model is told an InferenceId that the caller did not send. UNVERIFIED.
    verify_signatures
        Whether the runtime checks that requests are signed with the credentials of :attr:`environment`. That there is
        a signature, and that it is well formed, is always checked.
    s3_endpoint_url
        An S3 of your own instead of moto's, with the credentials that boto3 finds at the start; temporary ones are not
        renewed. S3's faults and call counts do not apply to it.
    host, port
        Where the runtime listens; S3 and the control plane are at the next port. Port 0: any two that are free.
    beyond_loopback
        Allows a host that is not loopback: whoever reaches it can use the model.

    Raises
    ------
    RequestError
        If the handler cannot be called as one, the host is not loopback and that was not allowed, a time is no
        number, or ``include_inference_response_in`` holds anything but those two names.

    Examples
    --------
    >>> from sm_async_nb.local import LocalEndpoint
    >>> with LocalEndpoint(lambda body, content_type, accept: body.upper()) as local:
    ...     runtime = local.session().client("sagemaker-runtime")
    ...     response = runtime.invoke_endpoint_async(EndpointName="local-endpoint", Body=b"hello")
    ...     local.drained(timeout=10)
    ...     response["OutputLocation"].rpartition("/")[0]
    's3://sm-async-local/async-output'
    """

    def __init__(
        self,
        handler: Handler | Mapping[str, Handler],
        *,
        endpoint_name: str | None = "local-endpoint",
        bucket: str = "sm-async-local",
        instances: int = 1,
        max_concurrent_invocations_per_instance: int = 4,
        failure_path: bool = True,
        region_name: str = "us-east-1",
        notifications: bool = False,
        include_inference_response_in: Iterable[str] = (),
        cold_start: float | None = None,
        scale_to_zero_after: float | None = None,
        wakes_at_backlog: int = 1,
        faults: Faults | None = None,
        naming: NamingRule | None = None,
        failure_object_without_model_answer: bool = False,
        notification_without_model_answer: bool = False,
        forward_generated_inference_id: bool = False,
        verify_signatures: bool = False,
        s3_endpoint_url: str | None = None,
        host: str = LOOPBACK,
        port: int = 0,
        beyond_loopback: bool = False,
    ) -> None:
        check_host(host, beyond_loopback=beyond_loopback)
        self.bucket = bucket
        self.region_name = region_name
        self._handler = handler
        self._endpoint_names = _endpoint_names(handler, endpoint_name)
        self._instances = instances
        self._max_concurrent_invocations_per_instance = max_concurrent_invocations_per_instance
        self._failure_path = failure_path
        self._notifications = notifications
        self._include_inference_response_in = _checked_topics(include_inference_response_in)
        self._verify_signatures = verify_signatures
        self._s3_endpoint_url = s3_endpoint_url
        self._host = host
        self._port = port
        self._calls = Calls()
        self._injector = Injector(faults)
        self._behaviour: dict[str, Any] = {
            "naming": naming or NamingRule(),
            "failure_object_without_model_answer": failure_object_without_model_answer,
            "notification_without_model_answer": notification_without_model_answer,
            "forward_generated_inference_id": forward_generated_inference_id,
            "scaling": ScalingRule(
                cold_start=cold_start, scale_to_zero_after=scale_to_zero_after, wakes_at_backlog=wakes_at_backlog
            ),
            "injector": self._injector,
        }
        self._queue: creation.NotificationQueue | None = None
        self._open: _Open | None = None

    def __repr__(self) -> str:
        names = ", ".join(self._endpoint_names) or "without endpoints"
        return f"<LocalEndpoint {names}: {self._state()}>"

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def environment(self) -> dict[str, str]:
        """The variables that point any AWS SDK, of this or another process, at the local endpoint."""
        return dict(self._opened().environment)

    @property
    def calls(self) -> Counter[str]:
        """How often the user called each operation since the start, or since :meth:`reset_calls`.

        The names are ``"s3 PutObject"``, ``"sagemaker-runtime InvokeEndpointAsync"`` and so on. What the local
        endpoint itself reads, writes and looks up is not among them.
        """
        return self._calls.counts()

    @property
    def metrics(self) -> Counter[str]:
        """Counts over all endpoints, by the names of CloudWatch's metrics such as ``ExpiredRequests``."""
        total: Counter[str] = Counter()
        for endpoint in self._opened().runtime.endpoints:
            total.update(endpoint.metrics)
        return total

    @property
    def queue_url(self) -> str:
        """The SQS queue that receives the notifications, success and error.

        Raises
        ------
        RuntimeError
            If the endpoint was made without ``notifications=True``.
        """
        self._opened()
        if self._queue is None:
            raise RuntimeError(f"{self!r} has no queue: make it with notifications=True.")
        return self._queue.queue_url

    @property
    def faults(self) -> Faults:
        """What goes wrong, and how often. May be set at any time; that begins all dice and all ``Times`` anew.

        Examples
        --------
        >>> local.faults = Faults(throttle=0.05, lose_output=Times(1))  # doctest: +SKIP
        """
        return self._injector.faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self._injector.faults = faults

    @property
    def faults_injected(self) -> Counter[str]:
        """How often each fault was injected, by the name of its switch, since the endpoint was made."""
        return self._injector.injected

    @property
    def status(self) -> str:
        """One line: how many requests run, wait, were answered and failed."""
        endpoints, metrics = self._opened().runtime.endpoints, self.metrics
        instances = sum(one.instances[0] for one in endpoints)
        running, waiting = sum(one.running for one in endpoints), sum(one.backlog for one in endpoints)
        return (
            f"instances {instances}, running {running}, waiting {waiting}, "
            f"processed {metrics['InvocationsProcessed']}, failed {metrics['InvocationFailures']}"
        )

    def start(self) -> Self:
        """Take two loopback ports, serve, create the bucket and the endpoints. ``os.environ`` is left alone.

        moto's state is one for the process: unless another local endpoint is open it is emptied first, also that of a
        ``mock_aws`` which is active; and a ``mock_aws`` that starts empties the local endpoint.

        Raises
        ------
        RuntimeError
            If it is started already.
        ImportError
            If moto's server is not installed.
        """
        if self._open is not None:
            raise RuntimeError(f"{self!r} is started already.")
        resources = ExitStack()
        try:
            self._open = self._serve(resources)
            self._create_what_was_asked_for()
            self.reset_calls()
        except BaseException:
            self._open = None
            resources.close()
            raise
        return self

    def close(self) -> None:
        """Stop serving and drop what is queued; no thread, socket or file is left. A second call does nothing.

        A synchronous handler that is running cannot be stopped: its thread ends when the handler returns.
        """
        if self._open is not None:
            opened, self._open = self._open, None
            opened.resources.close()

    def session(self) -> boto3.Session:
        """A boto3 session that reaches this local endpoint, whatever the environment and other files say.

        An AWS_ENDPOINT_URL* variable of another local endpoint, closed or open, has no say either: not for clients that
        the session makes, nor for the jobs it is passed to.
        """
        opened = self._opened()
        return sdk_config.boto3_session(opened.config_file, opened.addresses)

    def reset_calls(self) -> None:
        """Count from zero again."""
        self._calls.reset()

    def drained(self, timeout: float | None = None) -> None:
        """Block until every accepted request has come to its end.

        Raises
        ------
        TimeoutError
            If that takes longer than ``timeout`` seconds.
        """
        self._opened().runtime.drained(timeout)

    def create_endpoint(
        self,
        endpoint_name: str,
        *,
        s3_output_path: str | None = None,
        s3_failure_path: str | EllipsisType | None = ...,
        asynchronous: bool = True,
        instances: int | None = None,
        max_concurrent_invocations_per_instance: int | None = None,
        success_topic: str | EllipsisType | None = ...,
        error_topic: str | EllipsisType | None = ...,
    ) -> None:
        """Create one more endpoint, by ordinary SDK calls.

        What is left out is as the constructor says. ``s3_failure_path=None``, ``success_topic=None`` and
        ``error_topic=None`` make an endpoint without these; with ``s3_output_path=""`` its results are in its
        notifications only; with ``asynchronous=False`` it has no AsyncInferenceConfig and refuses InvokeEndpointAsync.

        Raises
        ------
        RequestError
            If the handlers are a mapping and none has this name.
        """
        if isinstance(self._handler, Mapping) and endpoint_name not in self._handler:
            handled = ", ".join(self._handler)
            raise RequestError(f"No handler is named {endpoint_name!r}; there are handlers for {handled}.")
        default_success_topic, default_error_topic = self._default_topics()
        config = EndpointConfig(
            endpoint_name=endpoint_name,
            s3_output_path=f"s3://{self.bucket}/async-output" if s3_output_path is None else s3_output_path,
            s3_failure_path=self._default_failure_path() if s3_failure_path is ... else s3_failure_path,
            instances=self._instances if instances is None else instances,
            max_concurrent_invocations_per_instance=max_concurrent_invocations_per_instance
            or self._max_concurrent_invocations_per_instance,
            success_topic=default_success_topic if success_topic is ... else success_topic,
            error_topic=default_error_topic if error_topic is ... else error_topic,
            include_inference_response_in=self._include_inference_response_in,
        )
        opened = self._opened()
        creation.create_endpoint(opened.session, config, asynchronous=asynchronous)

    def _state(self) -> str:
        if self._open is None:
            return "not started"
        endpoints = self._open.runtime.endpoints
        running, waiting = sum(one.running for one in endpoints), sum(one.backlog for one in endpoints)
        return f"at {self._open.runtime.url}, {running} running, {waiting} waiting"

    def _opened(self) -> _Open:
        if self._open is None:
            raise RuntimeError(f"{self!r} must be started first: call start(), or use it in a with statement.")
        return self._open

    def _serve(self, resources: ExitStack) -> _Open:
        keys = found_keys() if self._s3_endpoint_url else Keys()
        substrate, runtime = self._servers(resources, keys)
        folder = resources.enter_context(TemporaryDirectory(prefix="sm-async-local-"))
        config_file = Path(folder, "config")
        addresses = Addresses(
            endpoint_url=substrate.url,
            runtime_url=runtime.url,
            s3_url=self._s3_endpoint_url or substrate.url,
            region_name=self.region_name,
        )
        sdk_config.write_config_file(config_file, addresses, keys)
        runtime.start(config_file, addresses)
        return _Open(
            resources=resources,
            addresses=addresses,
            config_file=config_file,
            environment=sdk_config.environment(addresses, keys),
            runtime=runtime,
            session=sdk_config.boto3_session(config_file, addresses),
        )

    def _servers(self, resources: ExitStack, keys: Keys) -> tuple[Substrate, RuntimeServer]:
        try:
            from sm_async_nb.local.objects import MotoObjects
            from sm_async_nb.local.runtime import RuntimeServer
            from sm_async_nb.local.substrate import Substrate
        except ImportError as error:
            raise ImportError(
                f"The local endpoint needs moto's server ({error}). Install it: pip install 'sm-async-nb[local]'"
            ) from error
        substrate = Substrate(
            record=self._calls.record,
            injector=self._injector,
            own_user_agent=sdk_config.OWN_USER_AGENT,
            host=self._host,
            port=self._port and self._port + 1,
        )
        resources.callback(substrate.close)
        substrate.start()
        runtime = RuntimeServer(
            new_endpoint=self._new_endpoint,
            record=self._calls.record,
            injector=self._injector,
            store=None if self._s3_endpoint_url else MotoObjects(self.region_name),
            secrets={keys.access_key_id: keys.secret_access_key} if self._verify_signatures else None,
            account_id=substrate.account_id,
            host=self._host,
            port=self._port,
        )
        resources.callback(runtime.close)
        substrate.listen(runtime)
        return substrate, runtime

    def _create_what_was_asked_for(self) -> None:
        opened = self._opened()
        creation.create_bucket(opened.session, self.bucket)
        if self._notifications:
            self._queue = creation.create_notification_queue(opened.session, self.bucket)
        for endpoint_name in self._endpoint_names:
            self.create_endpoint(endpoint_name)

    def _default_failure_path(self) -> str | None:
        return f"s3://{self.bucket}/async-failures" if self._failure_path else None

    def _default_topics(self) -> tuple[str | None, str | None]:
        return (None, None) if self._queue is None else (self._queue.success_topic, self._queue.error_topic)

    def _new_endpoint(self, config: EndpointConfig, store: ObjectStore, topics: Topics) -> AsyncEndpoint:
        return AsyncEndpoint(config, self._handler_of(config.endpoint_name), store, topics=topics, **self._behaviour)

    def _handler_of(self, endpoint_name: str) -> Handler:
        if isinstance(self._handler, Mapping):
            return self._handler.get(endpoint_name, _no_handler)
        return self._handler


@dataclass(frozen=True, kw_only=True)
class _Open:
    """What there is between start and close; ``resources`` closes all of it."""

    resources: ExitStack
    addresses: Addresses
    config_file: Path
    environment: dict[str, str]
    runtime: RuntimeServer
    session: boto3.Session


def _endpoint_names(handler: Handler | Mapping[str, Handler], endpoint_name: str | None) -> list[str]:
    for each in handler.values() if isinstance(handler, Mapping) else [handler]:
        takes_headers(each)  # refuses what is no handler
    if isinstance(handler, Mapping):
        return list(handler)
    return [] if endpoint_name is None else [endpoint_name]


def _checked_topics(names: Iterable[str]) -> frozenset[str]:
    # A text alone would be taken for its letters.
    known, given = (
        (SUCCESS_NOTIFICATION_TOPIC, ERROR_NOTIFICATION_TOPIC),
        [names] if isinstance(names, str) else [*names],
    )
    if isinstance(names, str) or not set(given) <= set(known):
        got = repr(names) if isinstance(names, str) else given
        raise RequestError(
            f"include_inference_response_in= is a list of {' and '.join(known)}, or of one of them, got {got}."
        )
    return frozenset(given)


def _no_handler(_body: bytes, _content_type: str | None, _accept: str | None) -> Answer:
    # An endpoint that was created behind the mapping's back has a model that cannot answer, as a broken container.
    raise LookupError("The local endpoint has no handler of this endpoint's name.")
