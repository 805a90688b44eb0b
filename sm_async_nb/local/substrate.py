"""S3 and the control plane: moto's server, in this process, on a thread and a loopback port of its own.

moto keeps its state once per process, whatever the number of its servers, and by accounts. So each substrate is an
account of its own: of two that are alive at the same time neither sees what the other has, be it endpoints, topics,
queues or metrics. Only S3 is one for all, as the names of buckets are at AWS. A substrate that starts alone starts with
nothing at all.

werkzeug's own request handler closes the connection after every answer, and waits 10 ms before it does. Clients of
S3 keep connections alive, hence a request handler of our own around moto's application.
"""

from __future__ import annotations

import io
import json
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from http import HTTPStatus
from itertools import count
from typing import Any, ClassVar

from moto.moto_server import werkzeug_app
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler
from werkzeug.test import Client, run_wsgi_app

from sm_async_nb.local.facade import OWN_CALL, ControlPlaneFacade, Listener
from sm_async_nb.local.faults import ConnectionReset, Injector
from sm_async_nb.local.loopback import LOOPBACK, in_url, is_foreign, reset_on_close, resets_on_close
from sm_async_nb.local.operations import operation_of, service_of
from sm_async_nb.local.s3_faults import Application, S3Faults
from sm_async_nb.local.wire import ACCOUNT_ID

# How often the accepting thread looks whether it should end; close() waits this long at most for it.
_POLL_SECONDS = 0.05

# A long poll may still be waiting for a client that is gone; its thread ends with the process. Seconds.
_LAST_ANSWER = 0.2

# How often a LIST is tried that somebody's PUT disturbed.
_LOOKS = 20

# Whose account a request is about; moto has it for this. Without, an account is found by the access key.
_ACCOUNT_HEADER = "HTTP_X_MOTO_ACCOUNT_ID"

# What is passed on to moto, by its own names. Of all else that it knows, some would run what they are sent.
_SERVED = {"s3", "sns", "sqs", "sts", "cloudwatch", "sagemaker"}

_JSON = {"Content-Type": "application/json"}
_BODILESS = {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}

# A newer moto has a handler that keeps underscores in the names of S3 metadata.
_MotoRequestHandler: Any = getattr(werkzeug_app, "MotoRequestHandler", WSGIRequestHandler)


class Substrate:
    """moto's server between :meth:`start` and :meth:`close`.

    ``record`` is told the operation of every call, and ``injector`` lets it go wrong, but for those whose User-Agent
    contains ``own_user_agent``.
    """

    _alive: ClassVar[int] = 0
    _accounts: ClassVar[Iterator[int]]
    _lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(
        self,
        *,
        record: Callable[[str], None],
        injector: Injector,
        own_user_agent: str,
        host: str = LOOPBACK,
        port: int = 0,
    ) -> None:
        self._moto = _Dispatcher(werkzeug_app.create_backend_app)
        self._control_plane = ControlPlaneFacade(self._moto, _update_endpoint)
        front = _front(self._control_plane, record, S3Faults(self._control_plane, injector), own_user_agent)
        self._host = host
        self._server = _Server(host, port, front, _RequestHandler)
        self._thread = threading.Thread(target=self._serve, name="sm-async-local-moto", daemon=True)

    def listen(self, listener: Listener) -> None:
        """Tell ``listener`` of every endpoint that is created, updated or deleted from now on."""
        self._control_plane.listener = listener

    @property
    def url(self) -> str:
        """Where S3 and the control plane are, as ``http://127.0.0.1:<port>``."""
        return f"http://{in_url(self._host)}:{self._server.port}"

    @property
    def account_id(self) -> str:
        """The account of everything here but S3, from the start on."""
        return self._moto.account_id

    def start(self) -> None:
        """Serve. All of moto's state is emptied first, unless another substrate of this process is using it."""
        with self._lock:
            if not Substrate._alive:
                # By an application of its own: whom this server answers, it does not offer that to.
                everything = werkzeug_app.DomainDispatcherApplication(werkzeug_app.create_backend_app)
                Client(everything).post("/moto-api/reset")
                Substrate._accounts = count(int(ACCOUNT_ID))
            # Never that of a substrate which is closed: what it had is still there, until moto is emptied.
            self._moto.account_id = str(next(Substrate._accounts))
            Substrate._alive += 1
        self._thread.start()

    def close(self) -> None:
        """Stop serving; no thread and no socket of this server is left."""
        if not self._thread.is_alive():
            self._server.server_close()
            return
        self._server.shutdown()
        self._thread.join()
        self._server.end_connections()
        with self._lock:
            Substrate._alive -= 1

    def _serve(self) -> None:
        self._server.serve_forever(poll_interval=_POLL_SECONDS)


class _Dispatcher(werkzeug_app.DomainDispatcherApplication):
    """moto's application, as one account sees it: ``account_id``; and of its services those that are needed here.

    It remembers what a host means: moto lists its own folder to find out, each time.
    """

    def __init__(self, create_app: Any) -> None:
        super().__init__(create_app)
        self.account_id = ACCOUNT_ID
        self._backends: dict[str | None, Any] = {}

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        if service_of(environ) != "s3":
            environ = {**environ, _ACCOUNT_HEADER: self.account_id}
        return super().__call__(environ, start_response)

    def get_backend_for_host(self, host: str | None) -> Any:
        if host not in self._backends:
            self._backends[host] = super().get_backend_for_host(host)
        backend = self._backends[host]
        if host is not None and backend not in _SERVED:
            raise NotImplementedError(
                "The local endpoint has S3, SNS, SQS, STS, CloudWatch and SageMaker's control plane here, and not"
                f" {backend or host}. The runtime is at AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME."
            )
        return backend


class _Server(ThreadedWSGIServer):
    """A thread per connection, as werkzeug has it, and a way to end them all."""

    def __init__(self, *arguments: Any) -> None:
        self._connections: dict[threading.Thread, socket.socket] = {}
        try:
            super().__init__(*arguments)
        except SystemExit as end:  # werkzeug's word for a port that is taken; a notebook must not end of it
            raise end.__context__ or end from None

    def process_request(self, request: Any, client_address: Any) -> None:
        # Noted before the thread runs, on the accepting thread: once that has ended, no connection is missing here.
        thread = threading.Thread(
            target=self._serve_connection, args=(request, client_address), name="sm-async-local-s3", daemon=True
        )
        self._connections[thread] = request
        thread.start()

    def end_connections(self) -> None:
        """Hang up on clients that keep their connection, since its thread waits for their next request."""
        for connection in list(self._connections.values()):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in list(self._connections):
            thread.join(_LAST_ANSWER)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that is gone before it has its answer: that is its own business."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """End a connection in order, unless it was told to be reset."""
        if resets_on_close(request):
            self.close_request(request)
        else:
            super().shutdown_request(request)

    def _serve_connection(self, request: Any, client_address: Any) -> None:
        try:
            self.process_request_thread(request, client_address)
        finally:
            del self._connections[threading.current_thread()]


class _RequestHandler(_MotoRequestHandler):  # type: ignore[misc]
    """Answers one request after the other on a connection: the body is read whole, the answer has a length."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def run_wsgi(self) -> None:
        environ = self.make_environ()
        environ["wsgi.input"] = io.BytesIO(self._request_body(environ))
        try:
            content, status, headers = self._ask(environ)
        except ConnectionReset:
            self._hang_up()
        except Exception as error:  # noqa: BLE001 - left alone, the caller would see a connection that ends
            # moto raises NotImplementedError for an operation that it does not know.
            told = json.dumps({"__type": type(error).__name__, "message": str(error)}).encode()
            self._answer(501 if isinstance(error, NotImplementedError) else 500, _JSON, told)
        else:
            self._answer(int(status.split()[0]), headers, b"".join(content))

    def _ask(self, environ: dict[str, Any]) -> tuple[Iterable[bytes], str, Any]:
        for _ in range(_LOOKS):
            try:
                return run_wsgi_app(self.server.app, environ, buffered=True)
            except RuntimeError as error:
                # moto walks through its dictionaries without a lock, while other threads write to them.
                if self.command != "GET" or "changed size during iteration" not in str(error):
                    raise
        return run_wsgi_app(self.server.app, environ, buffered=True)

    def handle_expect_100(self) -> bool:
        going_on = super().handle_expect_100()
        self.wfile.flush()
        return bool(going_on)

    def log(self, *_: Any) -> None:
        """Say nothing: a notebook's output is no place for an access log."""

    def _hang_up(self) -> None:
        self.close_connection = True
        reset_on_close(self.connection)

    def _request_body(self, environ: dict[str, Any]) -> bytes:
        # werkzeug has put a reader that knows the chunks there already, if the body comes in chunks.
        if environ.get("wsgi.input_terminated"):
            return bytes(environ["wsgi.input"].read())
        return bytes(self.rfile.read(int(environ.get("CONTENT_LENGTH") or 0)))

    def _answer(self, status: int, headers: Any, body: bytes) -> None:
        # Not send_response(): moto has set Server and Date already, and aiohttp refuses a header that is there twice.
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Length" not in headers and status not in _BODILESS:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _front(
    control_plane: ControlPlaneFacade, record: Callable[[str], None], faults: S3Faults, own_user_agent: str
) -> Application:
    """Our own calls go through as they are; the client's are recorded, and may go wrong.

    A web page of another site, which a browser lets ask any port of this machine, is refused; moto allows it all.
    """

    def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if is_foreign(environ.get("HTTP_ORIGIN")):
            start_response("403 Forbidden", list(_JSON.items()))
            return [json.dumps({"message": f"No page of {environ['HTTP_ORIGIN']} may ask here."}).encode()]
        if own_user_agent in environ.get("HTTP_USER_AGENT", ""):
            return control_plane({**environ, OWN_CALL: True}, start_response)
        operation = operation_of(environ)
        record(operation)
        if operation.startswith("monitoring ") and control_plane.listener is not None:
            control_plane.listener.publish_metrics()
        return faults.answer(operation, environ, start_response)

    return answer


def _update_endpoint(arn: str, endpoint_name: str, endpoint_config_name: str) -> None:
    # moto has no UpdateEndpoint; this is all that its CreateEndpoint makes of a configuration.
    from moto.sagemaker.models import FakeEndpoint, sagemaker_backends

    _, _, _, region_name, account_id, _ = arn.split(":")
    backend: Any = sagemaker_backends[account_id][region_name]
    endpoint, config = backend.endpoints[endpoint_name], backend.endpoint_configs[endpoint_config_name]
    endpoint.endpoint_config_name = endpoint_config_name
    endpoint.production_variants = FakeEndpoint._process_production_variants(  # noqa: SLF001 - its constructor's
        endpoint, config.production_variants
    )
