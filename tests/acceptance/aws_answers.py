"""A service that answers as it is told, for what no emulator answers: a loopback server, and sessions that reach it."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
import botocore.session


class Service:
    """Answers every call with ``answer``: a status, a body and headers, or what gives them for the number of a call.

    ``calls`` holds what came: (method, path, headers).
    """

    def __init__(self, server):
        self.url = f"http://127.0.0.1:{server.server_port}"
        self.answer = (200, b"", {})
        self.calls = []


@contextmanager
def answering(status=200, body=b"", **headers):
    """A :class:`Service` on a port of its own."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self):
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            service.calls.append((self.command, self.path, dict(self.headers)))
            answer = service.answer(len(service.calls)) if callable(service.answer) else service.answer
            status, body, headers = answer
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = answer  # noqa: N815 - http.server's names

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    service = Service(server)
    service.answer = (status, body, headers)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def session_of(tmp_path, config, *, region_name="us-east-1"):
    """A boto3 session that reads this configuration file and no other."""
    path = tmp_path / "aws-config"
    path.write_text(config)
    source = botocore.session.Session()
    for variable in ("config_file", "credentials_file"):
        source.set_config_variable(variable, str(path))
    source.set_config_variable("profile", "default")
    return boto3.Session(botocore_session=source, region_name=region_name)


def session_at(tmp_path, url):
    """A session with keys whose every service is at ``url``."""
    return session_of(
        tmp_path,
        f"[default]\naws_access_key_id = k\naws_secret_access_key = s\nendpoint_url = {url}\nmax_attempts = 1\n",
    )
