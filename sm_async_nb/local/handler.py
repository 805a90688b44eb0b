"""The model behind the local endpoint: a plain callable, and what it may answer.

A handler is ``(body, content_type, accept) -> bytes | str | Answer``, synchronous or not, and may take a fourth
argument, the headers that a container would get::

    def double(body, content_type, accept):
        return str(2 * float(body))

    def traced(body, content_type, accept, headers):
        return headers.get("X-Amzn-SageMaker-Custom-Attributes", "")

It stands for the container: what it answers becomes the output object byte for byte, and what goes wrong in it
becomes the failure object, in the shape in which AWS's model servers tell errors.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from sm_async_nb.errors import RequestError

DEFAULT_CONTENT_TYPE = "application/json"
THREAD_NAME = "sm-async-local-handler"


@dataclass(frozen=True)
class Answer:
    """An answer of the model, as its container would send it: status, content type, body. 2xx is a success.

    Raises
    ------
    TypeError
        If the body is not bytes, or the status no int.
    """

    body: bytes
    content_type: str = DEFAULT_CONTENT_TYPE
    status: int = field(default=200, kw_only=True)

    def __post_init__(self) -> None:
        # Told where it is made, in the handler, whose author then reads it in the failure object.
        for name, kind in (("body", bytes), ("status", int)):
            if not isinstance(getattr(self, name), kind):
                got = type(getattr(self, name)).__name__
                raise TypeError(f"The {name} of an Answer is {kind.__name__}, got {got}.")

    @property
    def succeeded(self) -> bool:
        return 200 <= self.status <= 299  # noqa: PLR2004 - HTTP's own numbers


Returned: TypeAlias = bytes | str | Answer
Headers: TypeAlias = Mapping[str, str]
Handler: TypeAlias = (
    Callable[[bytes, str | None, str | None], Returned | Awaitable[Returned]]
    | Callable[[bytes, str | None, str | None, Headers], Returned | Awaitable[Returned]]
)


class ModelError(Exception):
    """Raised by a handler to answer with an error of its own choice.

    The failure object is ``body`` as it is, or without one ``{"code": status, "type": "ModelError", "message": ...}``.
    It is not part of ``sm_async_nb.errors``: a handler raises it, this package does not.
    """

    def __init__(self, message: str, *, status: int = 400, body: bytes | str | None = None) -> None:
        super().__init__(message)
        if not 400 <= status <= 599:  # noqa: PLR2004 - HTTP's own numbers
            raise ValueError(f"An error's status is 400 to 599, got {status}.")
        self.status = status
        self.body = body


class NoAnswer(Exception):  # noqa: N818 - it says what did not come
    """Raised by a handler that stands for a container: there was no answer, or none that the service takes."""


Reply: TypeAlias = Answer | NoAnswer | Awaitable[Returned]


def takes_headers(handler: Handler) -> bool:
    """Whether the handler wants the headers as its fourth argument, which may have any name or be a ``headers=``.

    Raises
    ------
    RequestError
        If it cannot be called with three arguments nor with four.
    """
    if not callable(handler):
        raise RequestError(f"A handler is a callable (body, content_type, accept), got {type(handler).__name__}.")
    try:
        signature = inspect.signature(handler)
    except ValueError:  # some that are written in C do not tell
        return False
    wanted = [count for count in (3, 4) if _binds(signature, count)]
    if not wanted:
        name = getattr(handler, "__qualname__", type(handler).__name__)
        raise RequestError(
            f"A handler takes (body, content_type, accept), or (body, content_type, accept, headers); "
            f"{name}{signature} does not."
        )
    fourth = [*signature.parameters.values()][3:4]
    return wanted == [4] or any(parameter.name == "headers" for parameter in fourth)


async def answer_of(handler: Handler, *arguments: Any, in_thread: bool = True) -> Answer | NoAnswer:
    """Ask the handler; whatever it raises is an answer too, as it is for a container.

    A synchronous handler runs on a thread of its own unless ``in_thread`` is false. A thread cannot be stopped: when
    this coroutine is cancelled, the handler runs on and its answer is dropped.

    Parameters
    ----------
    arguments
        ``body, content_type, accept``, and the headers if :func:`takes_headers` says so.
    """
    accept = arguments[2]

    def ask() -> Reply:
        try:
            returned = handler(*arguments)
            return returned if inspect.isawaitable(returned) else as_answer(returned, accept)
        except (Exception, SystemExit, asyncio.CancelledError) as error:  # noqa: BLE001 - a model may fail in any way
            return error_reply(error)

    reply = await _on_a_thread(ask) if in_thread and not is_asynchronous(handler) else ask()
    return reply if isinstance(reply, (Answer, NoAnswer)) else await _awaited(reply, accept)


def is_asynchronous(handler: Handler) -> bool:
    """Whether calling the handler gives a coroutine; a callable object is judged by its ``__call__``."""
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(type(handler).__call__)


def as_answer(returned: object, accept: str | None) -> Answer:
    """What a handler returned, as an :class:`Answer`; bare bytes or text have the content type that was asked for.

    Raises
    ------
    TypeError
        If it is none of bytes, str and Answer.
    """
    if isinstance(returned, Answer):
        return returned
    if isinstance(returned, (bytes, str)):
        return Answer(_as_bytes(returned), default_content_type(accept))
    raise TypeError(f"A handler returns bytes, str or Answer, got {type(returned).__name__}.")


def default_content_type(accept: str | None) -> str:
    """The accept, when it names one type, else ``application/json``."""
    return accept if accept and "*" not in accept and "," not in accept else DEFAULT_CONTENT_TYPE


def asks_to_end(error: BaseException) -> bool:
    """Whether an exception tells this task, or the process, to end: it is no failure of what was awaited here."""
    if isinstance(error, asyncio.CancelledError):
        # Without this task being cancelled, it is one that was, and that was awaited here.
        task = asyncio.current_task()
        return task is None or task.cancelling() > 0
    return isinstance(error, (KeyboardInterrupt, GeneratorExit))


def error_reply(error: BaseException) -> Answer | NoAnswer:
    """What comes of an exception: an answer, unless it says that there was none."""
    return error if isinstance(error, NoAnswer) else error_answer(error)


def error_answer(error: BaseException) -> Answer:
    """What a container answers when its model raises: the shape of MMS and TorchServe, status 500."""
    status = error.status if isinstance(error, ModelError) else 500
    if isinstance(error, ModelError) and error.body is not None:
        return Answer(_as_bytes(error.body), status=status)
    told = {"code": status, "type": type(error).__name__, "message": str(error)}
    return Answer(json.dumps(told, separators=(",", ":")).encode(), status=status)


async def _awaited(coming: Awaitable[Returned], accept: str | None) -> Answer | NoAnswer:
    try:
        return as_answer(await coming, accept)
    except BaseException as error:
        if asks_to_end(error):
            raise
        return error_reply(error)


async def _on_a_thread(ask: Callable[[], Reply]) -> Reply:
    # Not the loop's executor: it has few threads, a handler that hangs would keep one for good, and the interpreter
    # waits for them when it exits. A daemon thread per call costs some 50 microseconds and none of that.
    loop = asyncio.get_running_loop()
    reply: asyncio.Future[Reply] = loop.create_future()

    def deliver(answer: Reply) -> None:
        if not reply.done():
            reply.set_result(answer)

    def work() -> None:
        try:
            answer = ask()
        except BaseException as error:  # noqa: BLE001 - a thread that dies would keep its slot until the time-out
            answer = NoAnswer(f"the handler's thread ended with {type(error).__name__}")
        # The loop is closed when the endpoint was; nobody waits for this answer then.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(deliver, answer)

    thread = threading.Thread(target=work, name=THREAD_NAME, daemon=True)
    thread.start()
    answer = await reply
    # It has nothing left to do, and an endpoint that is idle has no threads.
    thread.join()
    return answer


def _as_bytes(text: bytes | str) -> bytes:
    return text.encode() if isinstance(text, str) else text


def _binds(signature: inspect.Signature, count: int) -> bool:
    try:
        signature.bind(*range(count))
    except TypeError:
        return False
    return True
