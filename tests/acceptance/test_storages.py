"""One promise, three storages: what holds in memory holds over s3fs and over obstore."""

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import botocore.session
import pytest
from acceptance.aws_answers import answering
from acceptance.recording import session_at, session_of
from botocore.config import Config
from botocore.credentials import RefreshableCredentials

from sm_async_nb.aws import learning, obstore_storage
from sm_async_nb.aws.metering import Meter, MeteredStorage
from sm_async_nb.aws.session import botocore_session
from sm_async_nb.aws.storage import S3fsStorage, StorageTerms, open_storage
from sm_async_nb.core.locations import S3Location
from sm_async_nb.errors import CredentialsError, RequestError, ServiceTroubleError, StorageAccessError
from sm_async_nb.local import Faults, LocalEndpoint
from sm_async_nb.testing import MemoryStorage

BUCKET = "sm-async-local"
KINDS = ["memory", "s3fs", "obstore"]
ON_THE_WIRE = ["s3fs", "obstore"]
ODD_KEYS = [
    "odd/ü +%/z",
    "odd/a//b",
    "odd/./c",
    "odd/slash/",
    "odd/q?x=1&y#z",
    "odd/%2F",
    "odd/tab\there",
    "odd/~a'(b)*!",
]

pytest.importorskip("obstore")


@pytest.fixture(scope="module")
def service():
    """A local endpoint, whose S3 is moto."""
    with LocalEndpoint(lambda body, *_: body, endpoint_name="storages") as running:
        yield running


def _behind_the_scenes():
    """moto's own hands, which take no time."""
    from moto.s3.models import s3_backends

    backends = [backend for account in s3_backends.values() for backend in account.values()]
    return next(backend for backend in backends if BUCKET in backend.buckets)


@pytest.fixture(scope="module")
def its_session(service):
    """One for all, since reading the SDK's models takes longer than most of what is done here."""
    return service.session()


@pytest.fixture
def session(service, its_session):
    yield its_session
    service.faults = Faults()
    _behind_the_scenes().buckets[BUCKET].keys.clear()


@asynccontextmanager
async def opened(kind, session, **options):
    if kind == "memory":
        yield MemoryStorage(lambda: datetime.now(UTC).timestamp())
        return
    async with open_storage(session, storage=kind, **options) as storage:
        assert (kind == "s3fs") == isinstance(storage, S3fsStorage)
        yield storage


def run(kind, session, work, **options):
    """What ``work`` returns, given a storage of this kind."""

    async def inside():
        async with opened(kind, session, **options) as storage:
            return await work(storage)

    return asyncio.run(inside())


def at(key):
    return S3Location(BUCKET, key)


async def keys(storage, prefix, **options):
    return [[stored.location.key for stored in page] async for page in storage.list(at(prefix), **options)]


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


# What every storage promises


def test_what_was_put_is_got(kind, session):
    """Every byte of it, and the content type; also of nothing at all."""

    async def story(storage):
        await storage.put(at("a/b.json"), b"\x00\xff\r\n", "application/json; charset=utf-8")
        await storage.put(at("a/none"), b"", "text/csv")
        await storage.put(at("a/large"), b"x" * 6_000_000, "x/y")
        large, _ = await storage.get(at("a/large"))
        return await storage.get(at("a/b.json")), await storage.get(at("a/none")), (type(large), len(large))

    assert (
        (b"\x00\xff\r\n", "application/json; charset=utf-8"),
        (b"", "text/csv"),
        (bytes, 6_000_000),
    ) == run(kind, session, story)


def test_the_last_one_put_counts(kind, session):
    """Overwriting is a put."""

    async def story(storage):
        for body in (b"1", b"2"):
            await storage.put(at("a"), body)
        return (await storage.get(at("a")))[0]

    assert b"2" == run(kind, session, story)


def test_an_object_that_is_not_there(kind, session):
    """Is told by its name, and has no size; to delete it is no matter."""

    async def story(storage):
        with pytest.raises(FileNotFoundError) as caught:
            await storage.get(at("none"))
        await storage.delete([at("none")])
        return str(caught.value), await storage.head(at("none"))

    assert ("There is no object at s3://sm-async-local/none.", None) == run(kind, session, story)


def test_only_the_first_creates(kind, session):
    """Which is what a lease and a journal rest on."""

    async def story(storage):
        await storage.put(at("a"), b"1", create_only=True)
        with pytest.raises(FileExistsError) as caught:
            await storage.put(at("a"), b"2", create_only=True)
        return str(caught.value), (await storage.get(at("a")))[0]

    assert ("There is an object at s3://sm-async-local/a already.", b"1") == run(kind, session, story)


def test_of_many_that_create_at_once_one_wins(kind, session):
    """Sixteen kernels, one lease."""

    async def story(storage):
        tries = (storage.put(at("a"), b"%d" % n, create_only=True) for n in range(16))
        return await asyncio.gather(*tries, return_exceptions=True)

    outcomes = run(kind, session, story)
    assert 1 == outcomes.count(None)
    assert {FileExistsError} == {type(one) for one in outcomes if one is not None}


def test_a_listing_has_every_object_below_in_key_order(kind, session):
    """Sizes and times come with it."""

    async def story(storage):
        for key, body in (("p/b", b"22"), ("p/a/z", b"1"), ("p/a-1", b""), ("p.txt", b""), ("pp/a", b"")):
            await storage.put(at(key), body)
        return [stored async for page in storage.list(at("p/")) for stored in page]

    before = datetime.now(UTC) - timedelta(seconds=2)
    found = run(kind, session, story)
    assert [("p/a-1", 0), ("p/a/z", 1), ("p/b", 2)] == [(stored.location.key, stored.size) for stored in found]
    assert all(stored.modified_at >= before.timestamp() for stored in found)


def test_a_listing_goes_on_after_a_key(kind, session):
    """Also after one that is not there, and one that has something below it."""

    async def story(storage):
        for key in ("p/a", "p/b", "p/b/c", "p/d"):
            await storage.put(at(key), b"")
        return [await keys(storage, "p/", start_after=key) for key in ("p/a", "p/aa", "p/b", "p/d")]

    assert [[["p/b", "p/b/c", "p/d"]], [["p/b", "p/b/c", "p/d"]], [["p/b/c", "p/d"]], [[]]] == run(kind, session, story)


@pytest.mark.parametrize("prefix", ["", "p", "p/b", "nobody/"])
def test_a_prefix_need_not_be_a_directory(kind, session, prefix):
    """S3 compares characters, and knows no directories."""
    written = ["a", "p/b", "p/bc", "pq"]

    async def story(storage):
        for key in written:
            await storage.put(at(key), b"")
        return await keys(storage, prefix)

    assert [[key for key in written if key.startswith(prefix)]] == run(kind, session, story)


def test_listings_come_in_pages_of_a_thousand(kind, session, service):
    """1,100 objects are two calls, and the meter and the service agree on it."""
    meter = Meter()

    async def story(storage):
        names = [f"many/{n:04d}" for n in range(1_100)]
        if kind == "memory":
            for name in names:
                await storage.put(at(name), b"")
        else:
            for name in names:
                _behind_the_scenes().put_object(BUCKET, name, b"")
        service.reset_calls()
        return [len(page) for page in await keys(MeteredStorage(storage, meter), "many/")]

    assert [1_000, 100] == run(kind, session, story)
    assert 2 == meter.calls["ListObjectsV2"]
    assert (0 if kind == "memory" else 2) == service.calls["s3 ListObjectsV2"]


@pytest.mark.parametrize("key", ODD_KEYS)
def test_an_odd_key_is_a_key(kind, session, key):
    """Whatever S3 takes: written, read and listed under this very name."""

    async def story(storage):
        await storage.put(at(key), b"1", "text/csv")
        return await storage.get(at(key)), await keys(storage, "odd/")

    # object_store lists what ends with a slash without it; nothing of ours does.
    listed = key.rstrip("/") if kind == "obstore" else key
    assert ((b"1", "text/csv"), [[listed]]) == run(kind, session, story)


def test_many_calls_at_once(kind, session):
    """As a job makes them."""

    async def story(storage):
        await asyncio.gather(*(storage.put(at(f"m/{n}"), b"%d" % n, f"x/{n}") for n in range(60)))
        return await asyncio.gather(*(storage.get(at(f"m/{n}")) for n in range(60)))

    assert [(b"%d" % n, f"x/{n}") for n in range(60)] == run(kind, session, story)


def test_directories_heads_and_deletes(kind, session):
    """The verbs that are not for bulk."""

    async def story(storage):
        for key in ("d/x/1", "d/y/1", "d/1"):
            await storage.put(at(key), b"123")
        head = await storage.head(at("d/1"))
        await storage.delete([at("d/x/1"), at("d/1")])
        return head.size, await storage.directories(at("d")), await keys(storage, "d/")

    assert (3, ["y"], [["d/y/1"]]) == run(kind, session, story)


# On the wire


@pytest.fixture(params=ON_THE_WIRE)
def wired(request):
    return request.param


def test_each_verb_is_one_call(wired, session, service):
    """No HEAD before a GET, nothing asked beforehand."""

    async def story(storage):
        service.reset_calls()
        await storage.put(at("a/b"), b"1", "x/y")
        await storage.put(at("a/c"), b"1", create_only=True)
        await storage.get(at("a/b"))
        await keys(storage, "a/")

    run(wired, session, story)

    assert {"s3 PutObject": 2, "s3 GetObject": 1, "s3 ListObjectsV2": 1} == dict(service.calls)


def test_objects_are_encrypted_with_the_key_that_is_asked_for(wired, session):
    """By every put, also one that may only create."""

    async def story(storage):
        await storage.put(at("a"), b"1")
        await storage.put(at("b"), b"1", create_only=True)

    run(wired, session, story, terms=StorageTerms(sse_kms_key_id="alias/mine"))

    s3 = session.client("s3")
    heads = [s3.head_object(Bucket=BUCKET, Key=key) for key in ("a", "b")]
    assert [("aws:kms", "alias/mine")] * 2 == [(head["ServerSideEncryption"], head["SSEKMSKeyId"]) for head in heads]


VERBS = {
    "put": lambda storage: storage.put(at("a"), b"1"),
    "get": lambda storage: storage.get(at("a")),
    "list": lambda storage: keys(storage, "a/"),
}


def errors_of_each_verb(wired, session):
    """What is raised by each of them, in their order."""

    async def story(storage):
        outcomes = [await asyncio.gather(verb(storage), return_exceptions=True) for verb in VERBS.values()]
        return [outcome for (outcome,) in outcomes]

    return run(wired, session, story)


@pytest.fixture
def _soon_again(monkeypatch):
    """Both make three attempts, and wait between them."""
    monkeypatch.setitem(obstore_storage._RETRIES["backoff"], "init_backoff", timedelta(milliseconds=1))
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.0)


@pytest.mark.usefixtures("_soon_again")
@pytest.mark.parametrize(
    ("faults", "error"),
    [
        (Faults(s3_denied=1.0), StorageAccessError),
        (Faults(expired_credentials=1.0), CredentialsError),
        (Faults(s3_reset_before=1.0), ServiceTroubleError),
        (Faults(s3_slow_down=1.0), ServiceTroubleError),
        (Faults(s3_fail=1.0), ServiceTroubleError),
    ],
    ids=["denied", "expired", "reset", "slow down", "failed"],
)
def test_faults_are_told_apart(wired, session, service, faults, error):
    """The same kinds over both, which is all that a job goes by."""
    service.faults = faults

    told = errors_of_each_verb(wired, session)

    assert [error] * 3 == [type(one) for one in told]
    assert [bool(faults.s3_slow_down)] * 3 == [getattr(one, "throttled", False) for one in told]


@pytest.mark.parametrize("faults", [Faults(s3_denied=1.0), Faults(expired_credentials=1.0)], ids=["denied", "expired"])
def test_what_needs_somebody_to_act_is_told_in_the_same_words(session, service, faults):
    """A permission that is missing, and keys that have expired."""
    service.faults = faults

    theirs, ours = ([str(one) for one in errors_of_each_verb(wired, session)] for wired in ON_THE_WIRE)
    assert theirs == ours


def test_a_bucket_that_is_not_there_is_told_as_such(wired, session):
    """And is not taken for an object that is missing."""
    there = S3Location("no-such-bucket", "a")

    async def story(storage):
        return await asyncio.gather(storage.put(there, b"1"), storage.get(there), return_exceptions=True)

    told = run(wired, session, story)
    assert [StorageAccessError] * 2 == [type(one) for one in told]
    assert ["There is no bucket 'no-such-bucket'."] * 2 == [str(one).partition(" Check")[0] for one in told]


def test_credentials_are_asked_of_the_session(wired, tmp_path):
    """Which refreshes them by itself when they are about to expire."""
    ends = [datetime.now(UTC) + timedelta(seconds=60), datetime.now(UTC) + timedelta(hours=10)]
    names = iter(["first", "second"])

    def refresh():
        return {"access_key": next(names), "secret_key": "s", "token": "t", "expiry_time": ends.pop(0).isoformat()}

    with answering(200, b"", ETag='"e"') as s3:
        session = session_at(tmp_path, s3.url)
        botocore_session(session)._credentials = RefreshableCredentials.create_from_metadata(
            refresh(), refresh_using=refresh, method="test"
        )
        run(wired, session, lambda storage: storage.put(at("a"), b"1"))

    ((_, path, headers),) = s3.calls
    headers = {name.lower(): value for name, value in headers.items()}
    assert f"/{BUCKET}/a" == path
    assert headers["authorization"].partition("Credential=")[2].startswith("second/")
    assert "t" == headers["x-amz-security-token"]


def test_credentials_that_cannot_be_refreshed_pause_a_job(wired, tmp_path):
    """They are told as such, and nothing is sent."""

    def refuse():
        raise RuntimeError("Credentials were refreshed, but the refreshed credentials are still expired.")

    with answering(200, b"") as s3:
        session = session_at(tmp_path, s3.url)
        botocore_session(session)._credentials = RefreshableCredentials(
            "k", "s", "t", datetime.now(UTC) - timedelta(hours=1), refuse, "test"
        )
        with pytest.raises(CredentialsError, match="cannot be refreshed"):
            run(wired, session, lambda storage: storage.put(at("a"), b"1"))

    assert [] == s3.calls


@pytest.mark.usefixtures("_soon_again")
def test_two_writers_of_one_new_object_are_trouble_and_not_a_loser(wired, tmp_path):
    """409 says that S3 could not decide yet: the object may be there in the end or not, so it is asked again."""
    body = b"<Error><Code>ConditionalRequestConflict</Code><Message>Try again.</Message></Error>"
    with answering(409, body) as s3, pytest.raises(ServiceTroubleError) as caught:
        run(wired, session_at(tmp_path, s3.url), lambda storage: storage.put(at("a"), b"1", create_only=True))

    assert "S3 did not answer for s3://sm-async-local/a: ConditionalRequestConflict: Try again." == str(caught.value)


@pytest.mark.usefixtures("_soon_again")
def test_nobody_there_is_trouble(wired, tmp_path):
    """Which a job waits out."""
    with pytest.raises(ServiceTroubleError):
        run(wired, session_at(tmp_path, "http://127.0.0.1:9"), lambda storage: storage.get(at("a")))


# What obstore leaves to s3fs


def _s3fs_because(session, monkeypatch, caplog, work=None, **options):
    """Why, in the words of the log; and that it is said once."""

    async def inside():
        async with open_storage(session, storage="auto", **options) as storage:
            return await work(storage) if work else isinstance(storage, S3fsStorage)

    monkeypatch.setattr(learning, "_told", set())
    with caplog.at_level("INFO", "sm_async_nb"):
        found = [asyncio.run(inside()) for _ in range(2)]
    (said,) = [record.getMessage() for record in caplog.records if record.name == "sm_async_nb.aws.learning"]
    return said.removeprefix("S3 is used over s3fs and not over obstore, which takes more CPU: "), found


def test_an_expected_owner_is_left_to_s3fs(session, monkeypatch, caplog):
    """obstore cannot sign that header, and S3 takes it only signed."""
    terms = StorageTerms(expected_bucket_owner="123456789012")

    assert (
        "it cannot sign the account that a bucket is expected to belong to.",
        [True, True],
    ) == _s3fs_because(session, monkeypatch, caplog, terms=terms)


def _handler_of_mine(**_):
    pass


def test_a_handler_of_somebody_elses_is_honoured(service, monkeypatch, caplog):
    """Whoever changes calls, watches or stubs them, goes on doing so."""
    session = service.session()
    session.events.register("before-sign.s3", _handler_of_mine)

    reason, found = _s3fs_because(session, monkeypatch, caplog)

    assert reason.endswith("test_storages._handler_of_mine is registered on the session.")
    assert [True, True] == found


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"signature_version": botocore.UNSIGNED}, "requests are signed with "),
        ({"client_cert": "/some/file.pem"}, "a client certificate is configured, for the bucket 'sm-async-local'."),
        ({"proxies": {"http": "http://me:secret@127.0.0.1:9"}}, "the proxy is not a plain http:// one without"),
    ],
)
def test_what_only_botocore_can_do_is_left_to_it(tmp_path, monkeypatch, caplog, config, reason):
    """Bucket by bucket, and never with a secret in the log."""
    with answering(200, b"") as s3:
        session = session_at(tmp_path, s3.url)
        botocore_session(session).set_default_client_config(Config(**config))
        monkeypatch.setattr(S3fsStorage, "put", _taken)

        said, _ = _s3fs_because(session, monkeypatch, caplog, lambda storage: storage.put(at("a"), b"1"))

    assert said.startswith(reason)
    assert [] == s3.calls


@pytest.mark.parametrize(
    ("proxy", "words"), [({}, []), ({"http_proxy": "http://127.0.0.1:9"}, ["it would use a proxy"])]
)
def test_hosts_that_need_no_proxy_are_no_proxy(session, monkeypatch, caplog, proxy, words):
    """NO_PROXY alone took obstore from everybody who has it once."""
    for name, value in {"no_proxy": "127.0.0.1,internal.example", **proxy}.items():
        monkeypatch.setenv(name, value)

    async def put():
        async with open_storage(session, storage="auto") as storage:
            await storage.put(at("spared"), b"1")

    monkeypatch.setattr(learning, "_told", set())
    with caplog.at_level("INFO", "sm_async_nb"):
        asyncio.run(put())

    told = [record.getMessage() for record in caplog.records if record.name == "sm_async_nb.aws.learning"]
    assert len(words) == len(told)
    assert all(word in one for word, one in zip(words, told, strict=True))


async def _taken(*_, **__):
    pass


def test_a_bucket_in_another_region_is_left_to_s3fs(tmp_path, monkeypatch, caplog):
    """botocore follows to where it is; obstore does not."""
    body = b"<Error><Code>PermanentRedirect</Code><Message>elsewhere</Message></Error>"
    with answering(301, body) as s3:
        monkeypatch.setattr(S3fsStorage, "put", _taken)

        async def twice(storage):
            await storage.put(at("a"), b"1")
            await storage.put(at("a"), b"1")

        said, _ = _s3fs_because(session_at(tmp_path, s3.url), monkeypatch, caplog, twice)

    assert "it does not follow to another region, for the bucket 'sm-async-local'." == said
    assert 2 == len(s3.calls)  # one for each time that a storage was opened, none for the second put


def test_a_bucket_is_learnt_once(session, monkeypatch):
    """Also where a job's first calls come together."""
    learnt = []
    learn = obstore_storage._learn_place
    monkeypatch.setattr(obstore_storage, "_learn_place", lambda *given: learnt.append(given[1]) or learn(*given))

    async def story(storage):
        await asyncio.gather(*(storage.put(at(f"{n}"), b"") for n in range(20)))

    run("obstore", session, story)

    assert [BUCKET] == learnt


@pytest.mark.parametrize(
    ("config", "region_name", "url"),
    [
        ("", "eu-west-1", "https://bucket.s3.eu-west-1.amazonaws.com"),
        ("", "cn-north-1", "https://bucket.s3.cn-north-1.amazonaws.com.cn"),
        ("use_fips_endpoint = true\n", "us-east-2", "https://bucket.s3-fips.us-east-2.amazonaws.com"),
        ("use_dualstack_endpoint = true\n", "eu-west-1", "https://bucket.s3.dualstack.eu-west-1.amazonaws.com"),
        ("s3 =\n  addressing_style = path\n", "eu-west-1", "https://s3.eu-west-1.amazonaws.com/bucket"),
        ("endpoint_url = https://minio.example:9000\n", "eu-west-1", "https://minio.example:9000/bucket"),
    ],
)
def test_a_bucket_is_where_the_sdk_says(tmp_path, config, region_name, url):
    """For every partition, kind of endpoint and style of addresses, without a table here."""
    keys = "aws_access_key_id = k\naws_secret_access_key = s\n"
    client = session_of(tmp_path, f"[default]\n{keys}{config}", region_name=region_name).client("s3")

    place = obstore_storage._learn_place(client, "bucket")

    assert (url, region_name) == (place.url, place.region_name)


def test_obstore_that_is_not_installed_is_said_at_once(session, monkeypatch):
    """Asked for by name; with auto, s3fs does it all."""
    monkeypatch.setattr(obstore_storage, "is_installed", lambda: False)

    async def kind_of(storage):
        async with open_storage(session, storage=storage) as found:
            return type(found)

    with pytest.raises(RequestError) as caught:
        asyncio.run(kind_of("obstore"))
    assert "storage='obstore' needs obstore: pip install 'sm-async-nb[fast]'. Nothing was sent." == str(caught.value)
    assert S3fsStorage is asyncio.run(kind_of("auto"))


def test_an_obstore_that_does_not_know_a_setting_is_not_used(session, monkeypatch, caplog):
    """An older one, or a newer: whatever it was that it was told, it would not have been heeded."""
    options = obstore_storage._client_options
    monkeypatch.setattr(obstore_storage, "_client_options", lambda *given: {**options(*given), "no_such_option": "1"})

    async def story(storage):
        await storage.put(at("a"), b"1", "x/y")
        return await storage.get(at("a"))

    said, found = _s3fs_because(session, monkeypatch, caplog, story)

    assert said.startswith("it says: ")
    assert [(b"1", "x/y")] * 2 == found
