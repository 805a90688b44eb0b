"""The control plane before moto's: what moto leaves out of it, and who has to hear of a change.

moto knows no UpdateEndpoint, its DescribeEndpoint has no AsyncInferenceConfig and no notion of instances that come and
go, and it tells nobody that an endpoint was created. Everything else passes through as it is.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any, Protocol

from werkzeug.test import run_wsgi_app

_PREFIX = "SageMaker."
_JSON = "application/x-amz-json-1.1"
_CHANGES = {"CreateEndpoint", "UpdateEndpoint", "UpdateEndpointWeightsAndCapacities", "DeleteEndpoint"}
_UPDATE_LOOKS_UP = {"DescribeEndpointConfig": "EndpointConfigName", "DescribeEndpoint": "EndpointName"}
_COUNTS = ("CurrentInstanceCount", "DesiredInstanceCount")

# Set in the environ of the local endpoint's own calls: it wants what was configured, not what it made of it.
OWN_CALL = "sm_async.own_call"

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]


class Listener(Protocol):
    """Who works the endpoints. Called on the threads of the server, before the caller is answered."""

    def endpoint_changed(self, endpoint_name: str) -> None:
        """It was created, updated or deleted."""
        ...

    def instances(self, endpoint_name: str) -> tuple[int, int] | None:
        """How many instances it has and is to have; None if that is not known better than the configuration."""
        ...

    def publish_metrics(self) -> None:
        """Somebody is about to ask CloudWatch."""
        ...


class ControlPlaneFacade:
    """A WSGI application around ``application``, which is moto's."""

    def __init__(self, application: Application, update_endpoint: Callable[[str, str, str], None]) -> None:
        self.listener: Listener | None = None
        self._application = application
        self._update_endpoint = update_endpoint
        self._configs: dict[tuple[str, str], dict[str, Any]] = {}

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        target = environ.get("HTTP_X_AMZ_TARGET", "")
        if not target.startswith(_PREFIX):
            return self._application(environ, start_response)
        operation = target.removeprefix(_PREFIX)
        if operation == "DescribeEndpoint" and not environ.get(OWN_CALL):
            return self._describe(environ, start_response)
        if operation in _CHANGES:
            return self._change(operation, environ, start_response)
        return self._application(environ, start_response)

    def _describe(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        status, headers, told = self._ask(environ)
        if _succeeded(status):
            told = self._completed(told, self._config(environ, told["EndpointArn"], told["EndpointConfigName"]))
        return _reply(start_response, status, headers, told)

    def _config(self, environ: Mapping[str, Any], endpoint_arn: str, name: str) -> Mapping[str, Any]:
        # An endpoint lives on when its configuration is deleted; what that said last is remembered, by its region.
        key = endpoint_arn.rpartition(":")[0], name
        status, _, config = self._ask(_with_target(environ, "DescribeEndpointConfig", {"EndpointConfigName": name}))
        if _succeeded(status):
            self._configs[key] = config
        return self._configs.get(key, {})

    def _completed(self, endpoint: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
        name = endpoint["EndpointName"]
        instances = self.listener.instances(name) if self.listener is not None else None
        counts = {} if instances is None else dict(zip(_COUNTS, instances, strict=True))
        variants = [{**variant, **counts} for variant in endpoint.get("ProductionVariants", [])]
        more = {key: config[key] for key in ("AsyncInferenceConfig",) if key in config}
        return {**endpoint, "ProductionVariants": variants, **more}

    def _change(self, operation: str, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        asked = _body(environ)
        ask = self._update if operation == "UpdateEndpoint" else self._ask
        status, headers, told = ask(environ)
        if _succeeded(status) and "EndpointConfigName" in asked:
            self._config(environ, told["EndpointArn"], asked["EndpointConfigName"])
        if _succeeded(status) and self.listener is not None:
            self.listener.endpoint_changed(asked["EndpointName"])
        return _reply(start_response, status, headers, told)

    def _update(self, environ: dict[str, Any]) -> tuple[str, Any, dict[str, Any]]:
        asked = _body(environ)
        for operation, field in _UPDATE_LOOKS_UP.items():
            status, headers, told = self._ask(_with_target(environ, operation, {field: asked[field]}))
            if not _succeeded(status):
                return status, headers, told
        self._update_endpoint(told["EndpointArn"], asked["EndpointName"], asked["EndpointConfigName"])
        return status, headers, {"EndpointArn": told["EndpointArn"]}

    def _ask(self, environ: dict[str, Any]) -> tuple[str, Any, dict[str, Any]]:
        content, status, headers = run_wsgi_app(self._application, environ, buffered=True)
        body = b"".join(content)
        return status, headers, json.loads(body) if body else {}


def _with_target(environ: Mapping[str, Any], operation: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    body = json.dumps(asked).encode()
    return {
        **environ,
        "HTTP_X_AMZ_TARGET": f"{_PREFIX}{operation}",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
    }


def _body(environ: Mapping[str, Any]) -> dict[str, Any]:
    stream = environ["wsgi.input"]
    body = stream.read()
    stream.seek(0)
    return dict(json.loads(body))


def _succeeded(status: str) -> bool:
    return status.startswith(str(HTTPStatus.OK.value))


def _reply(start_response: Any, status: str, headers: Any, told: Mapping[str, Any]) -> Iterable[bytes]:
    kept = [(name, value) for name, value in headers.items() if name.lower() not in {"content-length", "content-type"}]
    start_response(status, [*kept, ("Content-Type", _JSON)])
    return [json.dumps(told).encode()]
