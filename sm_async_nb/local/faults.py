"""Faults on demand: what goes wrong, how often, and the dice that decide it.

Pure but for the lock: every switch has a random stream of its own, so the n-th decision about a switch depends on
the seed and on n alone, whatever other switches are set and whatever happens in between.
"""

from __future__ import annotations

import random
import re
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeAlias

from sm_async_nb.errors import RequestError

# In CustomAttributes: fault=throttle, or fault=throttle*2 for the first two attempts at the same InferenceId.
_ASKED = re.compile(r"(?<![^\s,;])fault=(?P<switch>\w+)(?:\*(?P<times>[0-9]{1,6}))?(?![^\s,;])")


@dataclass(frozen=True)
class Times:
    """At the first ``count`` opportunities, and never again."""

    count: int

    def __post_init__(self) -> None:
        if self.count < 0:
            raise RequestError(f"A fault happens 0 or more times, got Times({self.count}).")


Chance: TypeAlias = float | Times


@dataclass(frozen=True, kw_only=True)
class Faults:
    """What goes wrong, and how often: each switch is a rate from 0 to 1, or :class:`Times`. All are off by default.

    InvokeEndpointAsync:

    ``throttle``                 429 ThrottlingException; nothing is enqueued
    ``unavailable``              503 ServiceUnavailable; nothing is enqueued
    ``fail_before_enqueue``      500 InternalFailure; nothing is enqueued
    ``fail_after_enqueue``       500 InternalFailure, and the request is processed all the same
    ``reset_before_enqueue``     the connection is reset; nothing is enqueued
    ``reset_after_enqueue``      the connection is reset, and the request is processed all the same
    ``slow``                     the request is enqueued at once, the 202 is held back for ``slow_seconds``
    ``expired_credentials``      403 ExpiredTokenException, S3's and the control plane's ExpiredToken errors too

    The life of an accepted request:

    ``duplicate``                delivered twice: the model is asked twice, the objects are written twice
    ``reorder``                  overtakes everything that waits
    ``lose_output``              a success is notified, but its output object is never written
    ``lose_failure``             a model's error is notified, but its failure object is never written
    ``lose_notification``        its notification is never published

    The client's own calls to S3 (the service's own are left alone, so are those to an S3 of your own):

    ``s3_slow_down``             503 SlowDown
    ``s3_fail``                  500 InternalError
    ``s3_reset_before``          the connection is reset; nothing is done
    ``s3_reset_after``           the call is done, then the connection is reset
    ``s3_slow``                  the call is done, its answer is held back for ``slow_seconds``
    ``s3_denied``                403 AccessDenied
    ``s3_without_list_bucket``   as without s3:ListBucket: 403 for a key that is missing, and for every LIST

    Options:

    ``seed``                     of the dice
    ``slow_seconds``             how long a slow answer takes
    ``s3_only``                  a pattern as of :mod:`fnmatch` for ``"<Operation> <bucket>/<key>"``, which S3's
                                 faults are limited to, such as ``"PutObject */journal/*"``
    ``by_request``               a request may ask for a fault itself: ``CustomAttributes="fault=lose_output"``, or
                                 ``"fault=throttle*2"`` for the first two attempts at its InferenceId. Several are
                                 separated by commas. S3's faults cannot be asked for.

    Raises
    ------
    RequestError
        If a rate is not from 0 to 1.
    """

    throttle: Chance = 0
    unavailable: Chance = 0
    fail_before_enqueue: Chance = 0
    fail_after_enqueue: Chance = 0
    reset_before_enqueue: Chance = 0
    reset_after_enqueue: Chance = 0
    slow: Chance = 0
    expired_credentials: Chance = 0
    duplicate: Chance = 0
    reorder: Chance = 0
    lose_output: Chance = 0
    lose_failure: Chance = 0
    lose_notification: Chance = 0
    s3_slow_down: Chance = 0
    s3_fail: Chance = 0
    s3_reset_before: Chance = 0
    s3_reset_after: Chance = 0
    s3_slow: Chance = 0
    s3_denied: Chance = 0
    s3_without_list_bucket: Chance = 0
    seed: int = 0
    slow_seconds: float = 1.0
    s3_only: str = "*"
    by_request: bool = False

    def __post_init__(self) -> None:
        for switch in SWITCHES:
            _check(switch, getattr(self, switch))


_OPTIONS = {"seed", "slow_seconds", "s3_only", "by_request"}

SWITCHES = tuple(field.name for field in fields(Faults) if field.name not in _OPTIONS)
REQUEST_SWITCHES = tuple(switch for switch in SWITCHES if not switch.startswith("s3_"))


class ConnectionReset(Exception):  # noqa: N818 - not an error of ours: the caller asked for it
    """Hang up on the client without an answer, so that it sees a reset connection."""


class Injector:
    """Throws the dice, and counts the faults that were injected. Any thread may ask."""

    def __init__(self, faults: Faults | None = None) -> None:
        self._lock = threading.Lock()
        self._injected: Counter[str] = Counter()
        self.faults = faults or Faults()

    @property
    def faults(self) -> Faults:
        """What goes wrong from now on; setting it begins all dice and all :class:`Times` anew."""
        return self._faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        with self._lock:
            self._faults = faults
            self._dice: dict[str, random.Random] = {}
            self._used: Counter[object] = Counter()

    @property
    def injected(self) -> Counter[str]:
        """How often each fault was injected so far, by switch: a copy."""
        with self._lock:
            return self._injected.copy()

    def strikes(self, switch: str, request: Mapping[str, Any] | None = None) -> bool:
        """Whether this fault happens now. Each call is an opportunity, and a yes is counted as injected.

        Parameters
        ----------
        request
            The fields of the request that it would happen to, which may ask for it.
        """
        chance = getattr(self._faults, switch)
        asking = self._faults.by_request and request is not None and "custom_attributes" in request
        # Nearly always: an endpoint without faults owes them nothing, not even a lock.
        if chance == 0 and not asking:
            return False
        with self._lock:
            struck = self._chosen(switch, chance) or (asking and self._asked_for(switch, request or {}))
            self._injected[switch] += struck
            return struck

    def check(self, request: Mapping[str, Any]) -> None:
        """Refuse a request that asks for a fault there is not.

        Raises
        ------
        RequestError
            Saying which there are.
        """
        if self._faults.by_request:
            for asked in _asked(request):
                if asked["switch"] not in REQUEST_SWITCHES:
                    known = ", ".join(REQUEST_SWITCHES)
                    raise RequestError(f"CustomAttributes asks for fault={asked['switch']}; there are {known}.")

    def _chosen(self, switch: str, chance: Chance) -> bool:
        if isinstance(chance, Times):
            return self._use(switch, chance.count)
        if switch not in self._dice:
            self._dice[switch] = random.Random(f"{self._faults.seed}:{switch}")  # noqa: S311 - dice, not a secret
        return self._dice[switch].random() < chance

    def _asked_for(self, switch: str, request: Mapping[str, Any]) -> bool:
        return any(self._grant(asked, request) for asked in _asked(request) if asked["switch"] == switch)

    def _grant(self, asked: re.Match[str], request: Mapping[str, Any]) -> bool:
        if asked["times"] is None:
            return True
        attempt_at = request.get("inference_id") or request["custom_attributes"]
        return self._use((asked["switch"], attempt_at), int(asked["times"]))

    def _use(self, what: object, limit: int) -> bool:
        if self._used[what] >= limit:
            return False
        self._used[what] += 1
        return True


def _asked(request: Mapping[str, Any]) -> Iterator[re.Match[str]]:
    return _ASKED.finditer(request.get("custom_attributes") or "")


def _check(switch: str, chance: object) -> None:
    if isinstance(chance, Times):
        return
    if isinstance(chance, bool) or not isinstance(chance, (int, float)) or not 0 <= chance <= 1:
        raise RequestError(f"{switch} is a rate from 0 to 1, or Times(count), got {chance!r}.")
