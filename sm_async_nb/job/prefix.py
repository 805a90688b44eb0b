"""Where jobs lie in S3: as the caller says, or else as the environment does."""

from __future__ import annotations

import os

from sm_async_nb.core.locations import S3Location, parse_s3_uri
from sm_async_nb.errors import RequestError

INPUT_PREFIX_VARIABLE = "SM_ASYNC_INPUT_PREFIX"


def given_prefix(input_prefix: str | None) -> S3Location | None:
    """The input prefix, if it was given anywhere.

    Raises
    ------
    RequestError
        If it is no S3 URI.
    """
    given = input_prefix or os.environ.get(INPUT_PREFIX_VARIABLE)
    if not given:
        return None
    try:
        return parse_s3_uri(given)
    except ValueError as error:
        raise RequestError(f"The input prefix is wrong. {error} Nothing was sent.") from None
