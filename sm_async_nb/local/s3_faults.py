"""The faults of S3, and of expired credentials, as the client's own calls meet them: a WSGI layer before moto."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

from werkzeug.test import run_wsgi_app

from sm_async_nb.local.faults import ConnectionReset, Injector

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]

_LISTS = {"ListObjectsV2", "ListObjects"}
_READS = {"GetObject", "HeadObject"}

# switch -> (status line, S3's code, S3's message). Of several that strike, the first is told.
_ERRORS = {
    "expired_credentials": ("400 Bad Request", "ExpiredToken", "The provided token has expired."),
    "s3_denied": ("403 Forbidden", "AccessDenied", "Access Denied"),
    "s3_slow_down": ("503 Slow Down", "SlowDown", "Please reduce your request rate."),
    "s3_fail": (
        "500 Internal Server Error",
        "InternalError",
        "We encountered an internal error. Please try again.",
    ),
}


class S3Faults:
    """Passes calls on to ``application``, or lets them go wrong as ``injector`` says."""

    def __init__(self, application: Application, injector: Injector) -> None:
        self._application = application
        self._injector = injector

    def answer(self, operation: str, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer one of the client's calls, whose operation is named as ``operation_of`` names it.

        Raises
        ------
        ConnectionReset
            If the connection is to be reset.
        """
        service, _, name = operation.partition(" ")
        if service != "s3":
            return self._other_service(environ, start_response)
        if not fnmatchcase(f"{name} {_target(environ)}", self._injector.faults.s3_only):
            return self._application(environ, start_response)
        for switch, error in _ERRORS.items():
            if self._injector.strikes(switch):
                return _refuse(error, environ, start_response)
        return self._s3(name, environ, start_response)

    def _other_service(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        # Those that speak JSON; the others speak XML of their own, and are not what a client of this package calls.
        if "HTTP_X_AMZ_TARGET" in environ and self._injector.strikes("expired_credentials"):
            told = {
                "__type": "ExpiredTokenException",
                "message": "The security token included in the request is expired",
            }
            start_response("400 Bad Request", [("Content-Type", "application/x-amz-json-1.1")])
            return [json.dumps(told).encode()]
        return self._application(environ, start_response)

    def _s3(self, name: str, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        strikes = self._injector.strikes
        if strikes("s3_reset_before"):
            raise ConnectionReset
        if name in _LISTS and strikes("s3_without_list_bucket"):
            return _refuse(_ERRORS["s3_denied"], environ, start_response)
        content, status, headers = run_wsgi_app(self._application, environ, buffered=True)
        if strikes("s3_reset_after"):
            raise ConnectionReset
        if strikes("s3_slow"):
            time.sleep(self._injector.faults.slow_seconds)
        if name in _READS and status.startswith("404") and strikes("s3_without_list_bucket"):
            return _refuse(_ERRORS["s3_denied"], environ, start_response)
        start_response(status, headers.to_wsgi_list())
        return content


def _target(environ: Mapping[str, Any]) -> str:
    """``<bucket>/<key>``; of a LIST the prefix stands for the key."""
    prefix = parse_qs(environ.get("QUERY_STRING", "")).get("prefix", [""])[0]
    path = environ["PATH_INFO"].lstrip("/")
    return f"{path.rstrip('/')}/{prefix}" if prefix else str(path)


def _refuse(error: tuple[str, str, str], environ: Mapping[str, Any], start_response: Any) -> Iterable[bytes]:
    status, code, message = error
    start_response(status, [("Content-Type", "application/xml")])
    # A HEAD has no body, and so no code: the client sees the bare number.
    if environ["REQUEST_METHOD"] == "HEAD":
        return []
    told = f"<Error><Code>{code}</Code><Message>{escape(message)}</Message><RequestId>fault</RequestId></Error>"
    return [f'<?xml version="1.0" encoding="UTF-8"?>\n{told}'.encode()]
