"""S3 on the wire: what each verb sends, and what S3's answers become."""

import asyncio

import pytest
from acceptance.aws_answers import answering, session_at, session_of

from sm_async_nb.aws.metering import Meter, MeteredStorage
from sm_async_nb.aws.session import aio_session
from sm_async_nb.aws.storage import StorageTerms, open_storage
from sm_async_nb.core.locations import S3Location
from sm_async_nb.errors import CredentialsError, ServiceTroubleError, StorageAccessError
from sm_async_nb.local import Faults, LocalEndpoint

BUCKET = "sm-async-local"
HERE = S3Location(BUCKET, "a/b.json")


def run(session, work, **options):
    """What ``work`` returns, given a storage of this session."""

    async def inside():
        async with open_storage(session, **options) as storage:
            return await work(storage)

    return asyncio.run(inside())


async def _pages(storage, prefix):
    return [stored.location.key async for page in storage.list(prefix) for stored in page]


@pytest.fixture(scope="module")
def faulty():
    with LocalEndpoint(lambda body, *_: body, endpoint_name="faulty") as running:
        yield running


@pytest.fixture
def faults(faulty):
    """Sets the faults of an endpoint, and takes them back."""

    def are(**switches):
        faulty.faults = Faults(**switches)
        return faulty.session()

    yield are
    faulty.faults = Faults()


# Terms


def test_objects_are_encrypted_with_the_key_that_is_asked_for(session):
    """Every put says so, also one that may only create."""

    async def story(storage):
        await storage.put(HERE, b"1")
        await storage.put(S3Location(BUCKET, "a/new"), b"1", create_only=True)

    run(session, story, terms=StorageTerms(sse_kms_key_id="alias/mine"))

    s3 = session.client("s3")
    for key in ("a/b.json", "a/new"):
        head = s3.head_object(Bucket=BUCKET, Key=key)
        assert ("aws:kms", "alias/mine") == (head["ServerSideEncryption"], head["SSEKMSKeyId"])


def test_every_call_of_every_verb_names_the_expected_owner(session):
    """A bucket that somebody else has taken over gets no data and gives none."""
    owners = []

    def note(request, **_):
        owners.append((request.method, request.headers.get("x-amz-expected-bucket-owner", b"").decode()))

    aio_session(session).register("before-send.s3", note)

    async def every_verb(storage):
        await storage.put(HERE, b"1")
        await storage.get(HERE)
        await storage.head(HERE)
        await _pages(storage, S3Location(BUCKET, "a/"))
        await storage.directories(S3Location(BUCKET, "a/"))
        await storage.delete([HERE])

    run(session, every_verb, terms=StorageTerms(expected_bucket_owner="123456789012"))

    assert owners == [(method, "123456789012") for method in ("PUT", "GET", "HEAD", "GET", "GET", "POST")]


def test_without_terms_nothing_more_is_sent(session):
    """The bucket's own settings hold."""
    seen = []
    aio_session(session).register("before-send.s3", lambda request, **_: seen.append(set(request.headers)))

    run(session, lambda storage: storage.put(HERE, b"1"))

    assert 1 == len(seen)
    assert not [name for name in seen[0] if "encryption" in name.lower() or "owner" in name.lower()]


def test_a_refusal_mentions_the_owner_that_was_expected(faults):
    """S3 says AccessDenied to both, a missing permission and a bucket of somebody else's."""
    with pytest.raises(StorageAccessError) as caught:
        run(
            faults(s3_denied=1.0),
            lambda storage: storage.put(HERE, b"1"),
            terms=StorageTerms(expected_bucket_owner="123456789012"),
        )

    assert str(caught.value) == (
        "S3 refused s3:PutObject on s3://sm-async-local/a/b.json (AccessDenied). These credentials need s3:PutObject."
        " And the bucket must belong to the account 123456789012, as expected_bucket_owner= says."
    )


# Directories


@pytest.mark.parametrize("key", ["jobs", "jobs/"])
def test_directories_are_the_names_right_below(session, key):
    """Whether the prefix ends with a slash or not; objects beside them are none, and odd names come whole."""

    async def story(storage):
        for below in ("b-1/manifest.json", "b/manifest.json", "b/x/y", "notes.txt", "ü +%/z"):
            await storage.put(S3Location(BUCKET, f"jobs/{below}"), b"")
        await storage.put(S3Location(BUCKET, "jobs-2/c/d"), b"")
        return await storage.directories(S3Location(BUCKET, key))

    assert ["b-1", "b", "ü +%"] == run(session, story)


def test_directories_of_nothing_are_none(session):
    """A prefix that nobody has used yet."""
    assert [] == run(session, lambda storage: storage.directories(S3Location(BUCKET, "nobody/was/here")))


def test_directories_come_from_every_page(tmp_path):
    """A thousand names a page, as S3 has it; each page is asked for with the delimiter."""
    xml = {"Content-Type": "application/xml"}
    with answering() as s3:
        s3.answer = lambda call: (200, _PAGE_WITH_MORE if call == 1 else _LAST_PAGE, xml)
        found = run(session_at(tmp_path, s3.url), lambda storage: storage.directories(S3Location("bucket", "jobs")))

    assert ["a", "b", "c"] == found
    queries = [path.partition("?")[2] for _, path, _ in s3.calls]
    assert ["delimiter=%2F" in query for query in queries] == [True, True]
    assert ["continuation-token=t-1" in query for query in queries] == [False, True]


def test_calls_say_who_makes_them(tmp_path):
    """The SDK, its version, and the name that somebody has given to their application."""
    with answering() as s3:
        config = f"[default]\naws_access_key_id = k\naws_secret_access_key = s\nendpoint_url = {s3.url}\n"
        session = session_of(tmp_path, f"{config}sdk_ua_app_id = churn-team\n")
        run(session, lambda storage: storage.put(HERE, b"1"))

    (told,) = {headers["User-Agent"] for _, _, headers in s3.calls}
    assert told.startswith("aiobotocore/")
    assert " app/churn-team" in told


_PAGE_WITH_MORE = b"""<?xml version="1.0"?><ListBucketResult><IsTruncated>true</IsTruncated>
<NextContinuationToken>t-1</NextContinuationToken><CommonPrefixes><Prefix>jobs/a/</Prefix></CommonPrefixes>
<CommonPrefixes><Prefix>jobs/b/</Prefix></CommonPrefixes></ListBucketResult>"""
_LAST_PAGE = b"""<?xml version="1.0"?><ListBucketResult><IsTruncated>false</IsTruncated>
<CommonPrefixes><Prefix>jobs/c/</Prefix></CommonPrefixes></ListBucketResult>"""


# What S3 says no to


def test_a_403_to_a_head_names_the_permission_that_is_most_likely_missing(faults):
    """Without s3:ListBucket S3 does not tell a missing object from a forbidden one, so it is neither."""
    with pytest.raises(StorageAccessError) as caught:
        run(faults(s3_without_list_bucket=1.0), lambda storage: storage.head(S3Location(BUCKET, "none")))

    assert str(caught.value) == (
        "S3 answered 403 for s3://sm-async-local/none, which it also does where there is no object and s3:ListBucket is"
        " missing. These credentials need s3:ListBucket on the bucket 'sm-async-local', most likely, and s3:GetObject."
    )


def test_a_403_to_a_list_names_the_permission(faults):
    """The same one, this time for certain."""
    with pytest.raises(StorageAccessError) as caught:
        run(faults(s3_without_list_bucket=1.0), lambda storage: _pages(storage, S3Location(BUCKET, "a/")))

    assert str(caught.value) == (
        "S3 refused s3:ListBucket on s3://sm-async-local/a/ (AccessDenied). These credentials need s3:ListBucket."
    )


@pytest.mark.parametrize("verb", ["put", "get", "list", "delete"])
def test_credentials_that_have_expired_are_told_as_such(faults, verb):
    """By every verb but HEAD, whose answer has no body that could say why."""
    work = {
        "put": lambda storage: storage.put(HERE, b"1"),
        "get": lambda storage: storage.get(HERE),
        "list": lambda storage: _pages(storage, HERE),
        "delete": lambda storage: storage.delete([HERE]),
    }

    with pytest.raises(CredentialsError, match=r"^The AWS credentials have expired: "):
        run(faults(expired_credentials=1.0), work[verb])


def test_two_writers_of_one_new_object_are_trouble_and_not_a_loser(tmp_path):
    """409 says that S3 could not decide yet: the object may be there in the end or not, so it is asked again."""
    body = b"<Error><Code>ConditionalRequestConflict</Code><Message>Try again.</Message></Error>"
    with answering(409, body) as s3, pytest.raises(ServiceTroubleError) as caught:
        run(session_at(tmp_path, s3.url), lambda storage: storage.put(HERE, b"1", create_only=True))

    assert str(caught.value) == (
        "S3 did not answer for s3://sm-async-local/a/b.json: ConditionalRequestConflict: Try again."
    )


def test_an_object_that_is_there_already_is_not_overwritten(session):
    """412: the other writer was first."""

    async def story(storage):
        await storage.put(HERE, b"1", create_only=True)
        with pytest.raises(FileExistsError, match="There is an object at s3://sm-async-local/fresh already"):
            await storage.put(S3Location(BUCKET, "fresh"), b"2", create_only=True)
        return await storage.get(S3Location(BUCKET, "fresh"))

    s3 = session.client("s3")
    s3.delete_object(Bucket=BUCKET, Key=HERE.key)
    s3.put_object(Bucket=BUCKET, Key="fresh", Body=b"1")

    assert b"1" == run(session, story)[0]


# The meter


def test_the_meter_counts_what_the_service_counts(local, session):
    """Call by call, of each operation."""
    meter = Meter()

    async def story(storage):
        metered = MeteredStorage(storage, meter)
        await metered.put(HERE, b"12345")
        await metered.get(HERE)
        await metered.head(HERE)
        await _pages(metered, S3Location(BUCKET, "a/"))
        await metered.directories(S3Location(BUCKET, "a/"))
        await metered.delete([HERE])

    run(session, story)

    assert {f"s3 {name}": number for name, number in meter.calls.items()} == dict(local.calls)
    assert (5, 5) == (meter.bytes_sent, meter.bytes_received)
