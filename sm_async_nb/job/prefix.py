"""Where jobs lie in S3: as the caller says, or else as the environment does."""

from __future__ import annotations

import os
import re

from sm_async_nb.core.locations import S3Location, after_nearly_s3, parse_s3_uri
from sm_async_nb.errors import RequestError

INPUT_PREFIX_VARIABLE = "SM_ASYNC_INPUT_PREFIX"

# A bucket, and perhaps a key.
_PLACE = re.compile(r"[a-z0-9][a-z0-9.-]+[a-z0-9](/.*)?", re.DOTALL)


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
        raise RequestError(f"The input prefix is wrong. {error}{meant(given)} Nothing was sent.") from None


def meant(given: object) -> str:
    """The URI that was probably meant by what is none, as a question with a blank before it."""
    if not isinstance(given, str):
        return ""
    rest = after_nearly_s3(given)
    place = given if rest is None else rest
    return f" Did you mean 's3://{place}'?" if _PLACE.fullmatch(place) else ""
