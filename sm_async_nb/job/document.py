"""The manifest of a job and its revisions: what was asked for, as JSON that people may read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from importlib.metadata import version
from typing import Self

import orjson

from sm_async_nb.aws.storage import Storage, StorageTerms
from sm_async_nb.core.asked import Asked
from sm_async_nb.core.locations import JobLayout, S3Location
from sm_async_nb.core.plan import Limits
from sm_async_nb.errors import JobNotFoundError, RequestError

FORMAT = 1

_REVISION = re.compile(r"(\d+)\.json")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a job runs, whatever it sends: it goes on like this wherever it is attached to."""

    concurrency: int = 64
    max_in_flight: int = 100_000
    retries: int = 0
    max_failures: float | None = None
    tracker: str = "list"
    sse_kms_key_id: str | None = None
    expected_bucket_owner: str | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be, before anything is sent."""
        assert self.limits
        assert self.storage_terms
        kind, _, url = self.tracker.partition(":") if isinstance(self.tracker, str) else ("", "", "")
        if not (self.tracker == "list" or (kind == "sqs" and url.startswith(("https://", "http://")))):
            raise RequestError(
                f"tracker= must be 'list' or 'sqs:' and the queue's URL, got {self.tracker!r}. Nothing was sent."
            )

    @property
    def limits(self) -> Limits:
        return Limits(
            concurrency=self.concurrency,
            max_in_flight=self.max_in_flight,
            retries=self.retries,
            max_failures=self.max_failures,
        )

    @property
    def storage_terms(self) -> StorageTerms:
        return StorageTerms(sse_kms_key_id=self.sse_kms_key_id, expected_bucket_owner=self.expected_bucket_owner)


@dataclass(frozen=True, kw_only=True)
class Document:
    """What a job, or one revision of it, is. ``created_at`` is in seconds since the epoch, of the job's beginning.

    ``base`` is the checkpoint that tells of requests which this revision does not show.
    """

    job_id: str
    created_at: float
    asked: Asked
    settings: Settings
    rows: int
    requests: int
    revision: int = 0
    base: int | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    note: str = ""

    def to_json(self) -> bytes:
        """The bytes of the manifest, or of the revision's file."""
        told = {field.name: getattr(self, field.name) for field in fields(self)}
        told |= {"asked": self.asked.to_json(), "settings": asdict(self.settings)}
        made_by = f"sm-async-nb {version('sm-async-nb')}"
        document = {
            "format": FORMAT,
            "created_by": made_by,
            "endpoint_name": self.asked.arguments.endpoint_name,
            **told,
        }
        return orjson.dumps(document, option=orjson.OPT_INDENT_2)

    @classmethod
    def from_json(cls, body: bytes, place: object) -> Self:
        """Read it back.

        Raises
        ------
        RequestError
            If it is none, or was written by a version that knows more than this one.
        """
        try:
            told = orjson.loads(body)
            if told.get("format") != FORMAT:
                raise RequestError(
                    f"{place} was written by {told.get('created_by', 'another program')} in format"
                    f" {told.get('format')!r}, which this version cannot read. Update sm-async-nb."
                )
            known = {field.name: told[field.name] for field in fields(cls)}
            known |= {"asked": Asked.from_json(told["asked"]), "settings": Settings(**told["settings"])}
            return cls(**known)
        except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError) as error:
            raise RequestError(f"{place} is no manifest of a job: {type(error).__name__}: {error}.") from None


async def write_document(storage: Storage, place: S3Location, document: Document) -> None:
    """Write what was not there before.

    Raises
    ------
    FileExistsError
        If another document lies there.
    """
    body = document.to_json()
    try:
        await storage.put(place, body, "application/json", create_only=True)
    except FileExistsError:
        # Our own write may have arrived although its answer did not.
        if (await storage.get(place))[0] != body:
            raise


async def read_document(storage: Storage, layout: JobLayout) -> Document | None:
    """The newest revision of a job; None if there is no job."""
    newest = 0
    async for page in storage.list(layout.revisions):
        for stored in page:
            name = _REVISION.fullmatch(stored.location.key.rpartition("/")[2])
            newest = int(name[1]) if name else newest  # something else may lie there, such as a folder
    place = layout.revision(newest)
    try:
        body, _ = await storage.get(place)
    except FileNotFoundError:
        return None
    return Document.from_json(body, place)


async def find_document(storage: Storage, layout: JobLayout) -> Document:
    """The same of a job that has to be there.

    Raises
    ------
    JobNotFoundError
        If it is not.
    """
    document = await read_document(storage, layout)
    if document is None:
        raise JobNotFoundError(f"There is no job at {layout.home}/: it has no manifest.json.")
    return document
