"""Where an output and a failure lie: the rule by which the service names its objects.

Seen on the real service (2022 to 2025)::

    <S3OutputPath>/<uuid>.out
    <S3FailurePath>/<the same uuid>-error.out

The uuid is the service's own and is not the InferenceId. Nothing derives a location from this rule but the local
endpoint itself: a client takes both from the response.
"""

from __future__ import annotations

from dataclasses import dataclass

from sm_async_nb.core.locations import S3Location, parse_s3_uri


@dataclass(frozen=True, kw_only=True)
class NamingRule:
    """The parts of the rule that no public source shows, as switches. All are UNVERIFIED.

    ``extension_on_failures``
        S3OutputPathExtension is put under the failure path too. Its documentation speaks of the output path only.
    ``filename_on_failures``
        Filename names the failure too, as ``<stem>-error.out``; otherwise the failure keeps its generated name.
    ``out_after_filename``
        An output that Filename names ends with ``.out`` too; otherwise it is named as it was sent.
    """

    extension_on_failures: bool = False
    filename_on_failures: bool = True
    out_after_filename: bool = False


_DEFAULT_RULE = NamingRule()


def output_location(
    s3_output_path: str, *, name: str, extension: str = "", filename: str = "", rule: NamingRule = _DEFAULT_RULE
) -> S3Location:
    """``<S3OutputPath>[/<S3OutputPathExtension>]/<name>.out``; ``Filename`` takes the place of ``<name>.out``.

    UNVERIFIED: that the extension is a folder of its own. ``rule`` says what is appended to Filename.

    Raises ValueError if the path is not an S3 URI.
    """
    ending = ".out" if rule.out_after_filename or not filename else ""
    return parse_s3_uri(s3_output_path).child(extension, f"{filename or name}{ending}")


def failure_location(
    s3_failure_path: str,
    *,
    name: str,
    extension: str = "",
    filename: str = "",
    rule: NamingRule,
) -> S3Location:
    """``<S3FailurePath>/<name>-error.out``; ``rule`` says what an extension and a Filename change.

    Raises ValueError if the path is not an S3 URI.
    """
    stem = filename.partition(".")[0] if filename and rule.filename_on_failures else name
    folder = extension if rule.extension_on_failures else ""
    return parse_s3_uri(s3_failure_path).child(folder, f"{stem}-error.out")
