"""``python -m sm_async_nb.local``: a local endpoint in a terminal, for any process that speaks to AWS."""

from __future__ import annotations

import argparse
import inspect
import logging
import os
import re
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from sm_async_nb.errors import SmAsyncError
from sm_async_nb.local.faults import SWITCHES, Chance, Faults, Times
from sm_async_nb.local.handler import Handler
from sm_async_nb.local.loopback import LOOPBACK
from sm_async_nb.local.naming import NamingRule
from sm_async_nb.local.notifications import ERROR_NOTIFICATION_TOPIC, SUCCESS_NOTIFICATION_TOPIC
from sm_async_nb.local.server import LocalEndpoint

# How often the status line is looked at; it is printed when it has changed.
_STATUS_SECONDS = 5.0

_DURATION = re.compile(r"(?P<number>\d+(?:\.\d+)?)(?P<unit>ms|s|m|h)?")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, None: 1.0}
_TIMES = re.compile(r"(\d+)x")

_OWN_KEYS = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"}

_EPILOG = f"""\
A fault is NAME=RATE with a rate from 0 to 1, or NAME=COUNTx for the first so many times, as in --fault throttle=0.05
--fault lose_output=2x. The names are {", ".join(SWITCHES)}; what each does is told by
python -c "help(__import__('sm_async_nb.local').local.Faults)".
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until SIGINT or SIGTERM; the exit status."""
    options = parser().parse_args(arguments)
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(message)s")
    logging.getLogger("sm_async_nb.local").setLevel(logging.WARNING if options.quiet else logging.INFO)
    # A model that loads, or a container that does not answer, looks at no event: until there is something to close, a
    # signal interrupts whatever is going on.
    _on_signals(signal.default_int_handler)
    try:
        local = local_endpoint(options)
        stopped = threading.Event()
        _on_signals(lambda *_: stopped.set())
        with local:
            _tell(local, options)
            _watch(local, stopped, quiet=options.quiet)
    except KeyboardInterrupt:
        pass
    except (SmAsyncError, OSError, ImportError, BotoCoreError, ClientError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stderr.write("Stopped.\n")
    return 0


def parser() -> argparse.ArgumentParser:
    """Every option, with what it does."""
    made = argparse.ArgumentParser(
        prog="python -m sm_async_nb.local",
        description="An asynchronous SageMaker endpoint on this machine, with S3 and the control plane.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_model(made)
    _add_endpoint(made)
    _add_servers(made)
    _add_faults(made)
    _add_unverified(made)
    return made


def local_endpoint(options: argparse.Namespace) -> LocalEndpoint:
    """The local endpoint that the options ask for, not started."""
    naming = NamingRule(
        extension_on_failures=options.extension_on_failures,
        filename_on_failures=options.filename_on_failures,
        out_after_filename=options.out_after_filename,
    )
    given = vars(options)
    same = {name: given[name] for name in inspect.signature(LocalEndpoint).parameters if name in given}
    return LocalEndpoint(**{**same, "handler": _handler(options)}, faults=_faults(options), naming=naming)


def duration(text: str) -> float:
    """Seconds: ``30s``, ``2m``, ``1h``, ``500ms``, or a bare number."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(f"a duration looks like 30s or 2m, got {text!r}")
    return float(match["number"]) * _UNITS[match["unit"]]


def whole(least: int, most: int | None = None) -> Callable[[str], int]:
    """What reads a whole number that is not less than ``least``, nor more than ``most``."""
    limits = f"{least} or more" if most is None else f"from {least} to {most}"

    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < least or (most is not None and int(text) > most):
            raise argparse.ArgumentTypeError(f"a whole number, {limits}, got {text!r}")
        return int(text)

    return number


def fault(text: str) -> tuple[str, Chance]:
    """``throttle=0.05``, or ``throttle=2x`` for the first two times."""
    name, _, amount = text.partition("=")
    times = _TIMES.fullmatch(amount)
    if name not in SWITCHES:
        raise argparse.ArgumentTypeError(f"there is no fault {name!r}; there are {', '.join(SWITCHES)}")
    try:
        return name, Times(int(times[1])) if times else float(amount)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{name} is a rate from 0 to 1 or a count like 2x, got {amount!r}") from None


def exports(environment: Mapping[str, str]) -> str:
    """Lines to paste into a shell."""
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in environment.items())


def _add_model(made: argparse.ArgumentParser) -> None:
    model = made.add_argument_group("the model").add_mutually_exclusive_group(required=True)
    model.add_argument("--handler", help="inference.py, inference.py:function or package.module:function")
    model.add_argument("--container", metavar="URL", help="a running server with /ping and /invocations")
    made.add_argument("--model-dir", help="what model_fn is given; SM_MODEL_DIR, or the script's folder, by default")
    made.add_argument(
        "--startup-timeout", type=duration, default=240.0, metavar="TIME", help="until a container answers pings"
    )
    made.add_argument(
        "--ping-every", type=duration, default=5.0, metavar="TIME", help="while a container works on a request"
    )
    made.add_argument(
        "--replace-unhealthy", action="store_true", help="fail a request if its container does not answer pings then"
    )
    made.add_argument(
        "--no-response-limits",
        dest="response_limits",
        action="store_false",
        help="take a container's answer without Content-Length, or with more than 4,096 bytes of headers",
    )


def _add_endpoint(made: argparse.ArgumentParser) -> None:
    group = made.add_argument_group("the endpoint")
    group.add_argument("--endpoint-name", default="local-endpoint")
    group.add_argument("--bucket", default="sm-async-local", help="created if it is not there")
    group.add_argument("--region-name", default="us-east-1")
    group.add_argument("--instances", type=whole(0), default=1, metavar="COUNT")
    group.add_argument("--max-concurrent-invocations-per-instance", type=whole(1, 1000), default=4, metavar="COUNT")
    group.add_argument("--cold-start", type=duration, metavar="TIME", help="until an instance is there, such as 30s")
    group.add_argument("--scale-to-zero-after", type=duration, metavar="TIME", help="without a request")
    group.add_argument("--wakes-at-backlog", type=whole(1), default=1, metavar="COUNT", help="requests that wake it")
    group.add_argument("--notifications", action="store_true", help="two topics, and a queue subscribed to both")
    group.add_argument(
        "--include-inference-response-in",
        action="append",
        default=[],
        choices=(SUCCESS_NOTIFICATION_TOPIC, ERROR_NOTIFICATION_TOPIC),
    )
    group.add_argument("--no-failure-path", dest="failure_path", action="store_false", help="no S3FailurePath")


def _add_servers(made: argparse.ArgumentParser) -> None:
    group = made.add_argument_group("the servers")
    group.add_argument("--port", type=whole(0, 65534), default=0, help="of the runtime; S3 and the rest have the next")
    group.add_argument("--host", default=LOOPBACK)
    group.add_argument("--beyond-loopback", action="store_true", help="allow a --host that others can reach")
    group.add_argument("--s3-endpoint-url", metavar="URL", help="an S3 of your own, with the credentials boto3 finds")
    group.add_argument("--verify-signatures", action="store_true")
    group.add_argument("--env-file", type=Path, metavar="FILE", help="write the variables there, NAME=value")
    group.add_argument("--quiet", action="store_true", help="no line for each request, no status line")


def _add_faults(made: argparse.ArgumentParser) -> None:
    group = made.add_argument_group("faults")
    group.add_argument("--fault", type=fault, action="append", default=[], metavar="NAME=RATE", help="see below")
    group.add_argument("--fault-seed", type=int, default=0)
    group.add_argument("--slow-seconds", type=duration, default=1.0, metavar="TIME", help="how long slow is")
    group.add_argument("--s3-faults-only", default="*", metavar="PATTERN", help="such as 'PutObject */journal/*'")
    group.add_argument("--faults-by-request", action="store_true", help="by CustomAttributes: fault=throttle*2")


def _add_unverified(made: argparse.ArgumentParser) -> None:
    group = made.add_argument_group("what the service does is unverified")
    group.add_argument("--failure-object-without-model-answer", action="store_true")
    group.add_argument("--notification-without-model-answer", action="store_true")
    group.add_argument("--forward-generated-inference-id", action="store_true")
    group.add_argument("--extension-on-failures", action="store_true", help="S3OutputPathExtension is for failures too")
    group.add_argument("--no-filename-on-failures", dest="filename_on_failures", action="store_false")
    group.add_argument("--out-after-filename", action="store_true", help="an output is Filename and .out")


def _handler(options: argparse.Namespace) -> Handler:
    if options.container is None:
        from sm_async_nb.local.script import load_handler

        return load_handler(options.handler, model_dir=options.model_dir)
    from sm_async_nb.local.container import Container

    container = Container(
        options.container,
        startup_seconds=options.startup_timeout,
        response_limits=options.response_limits,
        ping_every=options.ping_every,
        replaces_unhealthy=options.replace_unhealthy,
    )
    sys.stderr.write(f"Waiting for {options.container} to answer pings. Ctrl-C stops it.\n")
    sys.stderr.flush()
    container.wait_until_healthy()
    return container


def _faults(options: argparse.Namespace) -> Faults:
    chances: dict[str, Any] = dict(options.fault)
    return Faults(
        **chances,
        seed=options.fault_seed,
        slow_seconds=options.slow_seconds,
        s3_only=options.s3_faults_only,
        by_request=options.faults_by_request,
    )


def _on_signals(act: Callable[[int, FrameType | None], object]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, act)


def _tell(local: LocalEndpoint, options: argparse.Namespace) -> None:
    # Credentials for an S3 of their own are the user's, who has them; they belong on no screen and in no file.
    secret = _OWN_KEYS if options.s3_endpoint_url else set()
    shown = {name: value for name, value in local.environment.items() if name not in secret}
    if options.env_file is not None:
        # Opened with its mode, so that there is no moment at which others may read it.
        with os.fdopen(os.open(options.env_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write("".join(f"{name}={value}\n" for name, value in shown.items()))
    sys.stdout.write(exports(shown))
    sys.stdout.flush()
    queue = f" Notifications arrive at {local.queue_url}." if options.notifications else ""
    sys.stderr.write(f"Endpoint {options.endpoint_name} is in service.{queue} Ctrl-C stops it.\n")
    sys.stderr.flush()


def _watch(local: LocalEndpoint, stopped: threading.Event, *, quiet: bool) -> None:
    shown = local.status
    while not stopped.wait(_STATUS_SECONDS):
        status = local.status
        if not quiet and status != shown:
            shown = status
            sys.stderr.write(f"{shown}\n")
            sys.stderr.flush()
