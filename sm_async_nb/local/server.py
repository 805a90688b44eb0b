"""``LocalEndpoint``: the local endpoint as a user starts it, points an SDK at it, watches it and closes it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import EllipsisType, TracebackType
from typing import TYPE_CHECKING, Self

import boto3

from sm_async_nb.errors import RequestError
from sm_async_nb.local import creation, sdk_config
from sm_async_nb.local.endpoint import AsyncEndpoint, EndpointConfig, ObjectStore
from sm_async_nb.local.handler import Answer, Handler
from sm_async_nb.local.naming import NamingRule
from sm_async_nb.local.operations import Calls

if TYPE_CHECKING:
    from sm_async_nb.local.runtime import RuntimeServer
    from sm_async_nb.local.substrate import Substrate


class LocalEndpoint:
    """An asynchronous endpoint on loopback, which unmodified boto3, aiobotocore and s3fs reach.

    Its S3 and control plane are moto's server. moto has one state per process: of several local endpoints that are
    open at the same time, each sees the buckets and endpoints of the others, so give them different names.

    Parameters
    ----------
    handler
        The model: ``(body, content_type, accept) -> bytes | str | Answer``, synchronous or not. A mapping gives each
        endpoint, by its name, its own, and :meth:`start` creates one endpoint for each.
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
    naming
        The unverified parts of how objects are named.
    failure_object_without_model_answer
        Whether a request that expired, timed out or had no readable input leaves a failure object. UNVERIFIED.

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
        naming: NamingRule | None = None,
        failure_object_without_model_answer: bool = False,
    ) -> None:
        self.bucket = bucket
        self.region_name = region_name
        self._handler = handler
        self._endpoint_names = _endpoint_names(handler, endpoint_name)
        self._instances = instances
        self._max_concurrent_invocations_per_instance = max_concurrent_invocations_per_instance
        self._failure_path = failure_path
        self._naming = naming or NamingRule()
        self._failure_object_without_model_answer = failure_object_without_model_answer
        self._calls = Calls()
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

    def start(self) -> Self:
        """Take two loopback ports, serve, create the bucket and the endpoints. ``os.environ`` is left alone.

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
        """A boto3 session that reaches the local endpoint, whatever profile and credentials are set elsewhere.

        An AWS_ENDPOINT_URL* variable in the environment still wins, since botocore asks there first.
        """
        return sdk_config.boto3_session(self._opened().config_file, self.region_name)

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
    ) -> None:
        """Create one more endpoint, by ordinary SDK calls.

        What is left out is as the constructor says; ``s3_failure_path=None`` makes an endpoint without one, and
        ``asynchronous=False`` one without AsyncInferenceConfig, which refuses InvokeEndpointAsync.

        Raises
        ------
        RequestError
            If the handlers are a mapping and none has this name.
        """
        if isinstance(self._handler, Mapping) and endpoint_name not in self._handler:
            handled = ", ".join(self._handler)
            raise RequestError(f"No handler is named {endpoint_name!r}; there are handlers for {handled}.")
        config = EndpointConfig(
            endpoint_name=endpoint_name,
            s3_output_path=s3_output_path or f"s3://{self.bucket}/async-output",
            s3_failure_path=self._default_failure_path() if s3_failure_path is ... else s3_failure_path,
            instances=instances or self._instances,
            max_concurrent_invocations_per_instance=max_concurrent_invocations_per_instance
            or self._max_concurrent_invocations_per_instance,
        )
        opened = self._opened()
        creation.create_endpoint(opened.session, opened.endpoint_url, config, asynchronous=asynchronous)

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
        substrate, runtime = self._servers(resources)
        folder = resources.enter_context(TemporaryDirectory(prefix="sm-async-local-"))
        config_file = Path(folder, "config")
        addresses = {"endpoint_url": substrate.url, "runtime_url": runtime.url, "region_name": self.region_name}
        sdk_config.write_config_file(config_file, **addresses)
        substrate.start()
        runtime.start(config_file, endpoint_url=substrate.url)
        return _Open(
            resources=resources,
            endpoint_url=substrate.url,
            config_file=config_file,
            environment=sdk_config.environment(**addresses),
            runtime=runtime,
            session=sdk_config.boto3_session(config_file, self.region_name),
        )

    def _servers(self, resources: ExitStack) -> tuple[Substrate, RuntimeServer]:
        try:
            from sm_async_nb.local.runtime import RuntimeServer
            from sm_async_nb.local.substrate import Substrate
        except ImportError as error:
            raise ImportError(
                f"The local endpoint needs moto's server ({error}). Install it: pip install 'sm-async-nb[local]'"
            ) from error
        substrate = Substrate(record=self._calls.record, own_user_agent=sdk_config.OWN_USER_AGENT)
        resources.callback(substrate.close)
        runtime = RuntimeServer(new_endpoint=self._new_endpoint, record=self._calls.record)
        resources.callback(runtime.close)
        return substrate, runtime

    def _create_what_was_asked_for(self) -> None:
        opened = self._opened()
        creation.create_bucket(opened.session, opened.endpoint_url, self.bucket)
        for endpoint_name in self._endpoint_names:
            self.create_endpoint(endpoint_name)

    def _default_failure_path(self) -> str | None:
        return f"s3://{self.bucket}/async-failures" if self._failure_path else None

    def _new_endpoint(self, config: EndpointConfig, store: ObjectStore) -> AsyncEndpoint:
        return AsyncEndpoint(
            config,
            self._handler_of(config.endpoint_name),
            store,
            naming=self._naming,
            failure_object_without_model_answer=self._failure_object_without_model_answer,
        )

    def _handler_of(self, endpoint_name: str) -> Handler:
        if isinstance(self._handler, Mapping):
            return self._handler.get(endpoint_name, _no_handler)
        return self._handler


@dataclass(frozen=True, kw_only=True)
class _Open:
    """What there is between start and close; ``resources`` closes all of it."""

    resources: ExitStack
    endpoint_url: str
    config_file: Path
    environment: dict[str, str]
    runtime: RuntimeServer
    session: boto3.Session


def _endpoint_names(handler: Handler | Mapping[str, Handler], endpoint_name: str | None) -> list[str]:
    if isinstance(handler, Mapping):
        return list(handler)
    return [] if endpoint_name is None else [endpoint_name]


def _no_handler(_body: bytes, _content_type: str | None, _accept: str | None) -> Answer:
    # An endpoint that was created behind the mapping's back has a model that cannot answer, as a broken container.
    raise LookupError("The local endpoint has no handler of this endpoint's name.")
