"""How rows become requests: how many share one, and whether its payload travels inside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sm_async_nb.core.flags import check_flags
from sm_async_nb.core.request import Field
from sm_async_nb.errors import RequestError

# The service's limit on an input in S3, and its defaults for the two times, in seconds.
MAX_INPUT_BYTES = 1_000_000_000
DEFAULT_REQUEST_TTL_SECONDS = 21_600
DEFAULT_INVOCATION_TIMEOUT_SECONDS = 900

# The first SDK that can send a payload inside the request.
BODY_SINCE = "1.43.29"

_INLINE = ("never", "auto", "always")
_NO_LIMIT = 2**62


@dataclass(frozen=True, kw_only=True)
class Terms:
    """How rows become requests.

    Parameters
    ----------
    rows_per_request, max_payload_bytes
        How many rows, and how many bytes, share a request at most. With the second alone, as many rows as fit.
    inline
        ``"never"``: every input is an object in S3; ``"auto"``: payloads that fit go inside the request;
        ``"always"``: larger ones are refused.
    deduplicate
        Whether rows that would send the same are sent once.

    Raises
    ------
    RequestError
        If one of them is not as it must be.
    """

    rows_per_request: int | None = None
    max_payload_bytes: int | None = None
    inline: str = "never"
    deduplicate: bool = False

    def __post_init__(self) -> None:
        for name in ("rows_per_request", "max_payload_bytes"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
                raise RequestError(f"{name} must be a whole number of at least 1, got {value!r}. Nothing was sent.")
        check_flags("Nothing was sent.", deduplicate=self.deduplicate)
        if self.inline not in _INLINE:
            raise RequestError(
                f"inline must be one of 'never', 'auto', 'always', got {self.inline!r}. Nothing was sent."
            )

    @property
    def packed(self) -> bool:
        """Whether a request may have several rows, and its payload the form for several."""
        return self.rows_at_most > 1

    @property
    def rows_at_most(self) -> int:
        """How many rows share a request at most."""
        if self.rows_per_request is not None:
            return self.rows_per_request
        return 1 if self.max_payload_bytes is None else _NO_LIMIT

    def check_ability(self, known_fields: Mapping[str, Field]) -> None:
        """Refuse what the installed SDK cannot send.

        Raises
        ------
        RequestError
            Naming the version that can.
        """
        if self.inline == "always" and "body" not in known_fields:
            raise RequestError(
                f"inline='always' needs an SDK that knows Body, which botocore does since {BODY_SINCE}."
                " Update boto3, or use inline='auto'. Nothing was sent."
            )
