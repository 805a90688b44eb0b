"""What a request can say and carry, seen by the model and by S3."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sm_async_nb.errors import InferenceFailedError, RequestError, SmAsyncWarning
from sm_async_nb.local import LocalEndpoint


class Model:
    """Answers with the payload itself, or with what `answers` says, and remembers what it was sent."""

    def __init__(self):
        self.seen = []
        self.answer = lambda body, content_type, accept: body

    def __call__(self, body, content_type, accept):
        self.seen.append((body, content_type, accept))
        return self.answer(body, content_type, accept)


MODEL = Model()


@pytest.fixture(scope="module")
def echo():
    with LocalEndpoint(MODEL, endpoint_name="echo") as running:
        yield running


@pytest.fixture
def model():
    MODEL.__init__()
    return MODEL


@pytest.fixture
def submit(echo, model):
    session = echo.session()
    echo.reset_calls()
    return lambda frame, **options: frame.sm_async.submit("echo", session=session, wait=True, **options)


@pytest.fixture(scope="module")
def knows_body(echo):
    from sm_async_nb.local.wire import installed_fields

    return "body" in installed_fields()


def test_a_template_makes_the_payload(submit, model):
    """Values are quoted and escaped by themselves."""
    frame = pd.DataFrame({"text": ['say "hi"', None], "n": [1, 2]}, index=["a", "b"])

    job = submit(frame, template='{"inputs": {{ text }}, "parameters": {"n": {{ n }}}}')

    assert [{"inputs": 'say "hi"', "parameters": {"n": 1}}, {"inputs": None, "parameters": {"n": 2}}] == sorted(
        (json.loads(body) for body, *_ in model.seen), key=lambda sent: sent["parameters"]["n"]
    )
    assert ['say "hi"', None] == job.results(output="inputs")["output"].replace({np.nan: None}).tolist()


def test_a_function_of_the_row_makes_the_payload(submit):
    """Any object is written as JSON."""
    frame = pd.DataFrame({"x": [1, 2]})

    job = submit(frame, payload=lambda row: [row["x"], {"double": row["x"] * 2}])

    assert [[1, {"double": 2}], [2, {"double": 4}]] == job.results()["output"].tolist()


def test_a_serializer_of_the_sagemaker_sdk_makes_the_payload(submit, model):
    """Its CONTENT_TYPE goes with it."""

    class CsvSerializer:
        CONTENT_TYPE = "text/csv"

        def serialize(self, data):
            return ";".join(map(str, data))

    submit(pd.DataFrame({"a": [1], "b": ["x"]}), payload=CsvSerializer())

    assert [(b"1;x", "text/csv", None)] == model.seen


def test_fields_differ_from_row_to_row(submit, model):
    """A column's name, a template, a constant: each field as it was asked for."""
    frame = pd.DataFrame({"x": [1, 2], "id": ["r-1", "r-2"], "kind": ["text/csv", "application/json"]})

    job = submit(
        frame,
        columns=["x"],
        inference_id="id",
        accept="kind",
        custom_attributes="trace={{ id }}",
        request_ttl_seconds="{{ 60 * x }}",
    )

    assert ["r-1", "r-2"] == job.table()["inference_id"].tolist()
    assert {"text/csv", "application/json"} == {accept for *_, accept in model.seen}


def test_inputs_that_lie_in_s3_already_are_not_uploaded_again(submit, model, echo):
    """The column says where."""
    s3 = echo.session().client("s3")
    uris = []
    for name, body in (("a", b'{"x": 1}'), ("b", b'{"x": 2}')):
        s3.put_object(Bucket=echo.bucket, Key=f"mine/{name}.json", Body=body, ContentType="application/json")
        uris.append(f"s3://{echo.bucket}/mine/{name}.json")
    before = echo.calls["s3 PutObject"]

    job = submit(pd.DataFrame({"uri": uris}), input_location="uri")

    assert [1, 2] == job.results()["x"].tolist()
    assert uris == job.table()["input_location"].tolist()
    assert echo.calls["s3 PutObject"] - before < 10
    assert 0 == len([key for key in _keys(s3, echo.bucket, f"sm-async-nb/{job.id}/") if "/inputs/" in key])


def _keys(s3, bucket, prefix):
    return [item["Key"] for item in s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])]


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "application/jsonlines", "text/csv", "application/x-npy", "application/x-parquet"],
)
def test_rows_that_share_a_request_get_their_own_answers_back(submit, model, echo, content_type):
    """Seven rows in packs of three: three calls, seven answers, on the index."""
    frame = pd.DataFrame({"x": [1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5]}, index=list("abcdefg"))
    model.answer = lambda body, content_type, accept: _as_answer(body, content_type)

    job = submit(frame, content_type=content_type, rows_per_request=3, accept=content_type)

    results = job.results()
    assert list("abcdefg") == results.index.tolist()
    assert frame["x"].tolist() == [np.ravel(value)[0] for value in results[results.columns[0]]]
    assert 3 == echo.calls["sagemaker-runtime InvokeEndpointAsync"]
    assert 7 == len(job.table()) == len(job)


def _as_answer(body, content_type):
    from sm_async_nb.local import Answer

    return Answer(body, content_type)


def test_an_answer_of_another_length_fails_its_rows_and_says_so(submit, model):
    """The expected and the found number, and where the output lies."""
    frame = pd.DataFrame({"x": range(4)})
    model.answer = lambda body, content_type, accept: json.dumps(json.loads(body)[:2])

    job = submit(frame, rows_per_request=3)

    with pytest.warns(SmAsyncWarning, match=r"1 completed requests have no readable output\. The first: Its output at"):
        assert job.results()["x"].isna().tolist() == [True, True, True, False]
    failures = job.failures()
    assert [0, 1, 2] == failures.index.tolist()
    assert failures["error"][0].startswith("Its output at s3://sm-async-local/async-output/")
    assert failures["error"][0].endswith(" cannot be split: the answer has 2 rows for 3 sent.")


def test_rows_are_packed_by_size(submit, echo):
    """No payload is larger than asked for."""
    frame = pd.DataFrame({"t": ["x" * 40] * 10})

    job = submit(frame, max_payload_bytes=110)

    assert ["x" * 40] * 10 == job.results()["t"].tolist()
    assert 5 == echo.calls["sagemaker-runtime InvokeEndpointAsync"]


def test_rows_that_are_the_same_are_sent_once(submit, echo):
    """Each of them has the answer."""
    frame = pd.DataFrame({"x": [1, 2, 1, 1, 2]}, index=list("abcde"))

    job = submit(frame, deduplicate=True)

    assert [1, 2, 1, 1, 2] == job.results()["x"].tolist()
    assert 2 == echo.calls["sagemaker-runtime InvokeEndpointAsync"]
    assert 5 == len(job.table())


def test_small_payloads_go_inside_the_request(submit, echo, knows_body):
    """With inline='auto' only what is too large is uploaded; an SDK without Body uploads all."""
    frame = pd.DataFrame({"t": ["small", "x" * 130_000]}, index=["small", "large"])

    job = submit(frame, inline="auto")

    assert [5, 130_000] == job.results()["t"].str.len().tolist()
    places = job.table()["input_location"]
    assert (places["small"] == "") == knows_body
    assert places["large"].startswith("s3://")


def test_inline_always_refuses_what_is_too_large(submit, echo, knows_body):
    """By row, before anything is sent; or at once, if the SDK has no Body."""
    frame = pd.DataFrame({"t": ["small", "x" * 130_000]}, index=["small", "large"])
    with pytest.raises(RequestError) as caught:
        submit(frame, inline="always")

    expected = (
        "1 row cannot be sent:\n"
        "  row 'large': its payload has 130,008 bytes, and a request carries 128,000 at most.\n"
        "Nothing was sent."
        if knows_body
        else "inline='always' needs an SDK that knows Body, which botocore does since 1.43.29."
        " Update boto3, or use inline='auto'. Nothing was sent."
    )
    assert expected == str(caught.value)
    assert 0 == echo.calls["sagemaker-runtime InvokeEndpointAsync"]


def test_raw_bytes_go_as_they_are(submit, tmp_path):
    """From a column of bytes, or of paths of local files."""
    path = tmp_path / "image.png"
    path.write_bytes(b"\x89PNG...")
    frame = pd.DataFrame({"image": [b"\x89PNG", str(path)], "label": [1, 2]})

    job = submit(frame, columns="image", content_type="image/png", accept="image/png")

    assert [b"\x89PNG", b"\x89PNG..."] == job.results()["output"].tolist()


def test_results_take_the_shape_that_is_asked_for(submit, model):
    """A path into the answer, a function, the bytes, types, and a row for each item."""
    frame = pd.DataFrame({"x": [1, 2]}, index=["a", "b"])
    model.answer = lambda body, *_: json.dumps({"p": [{"s": 0.25}, {"s": 0.5}], "label": "7"})
    job = submit(frame)

    assert [0.25, 0.25] == job.results(output="p[0].s")["output"].tolist()
    assert [0.5, 0.5] == job.results(output=lambda answer: answer["p"][1]["s"])["output"].tolist()
    assert [b'{"p": [{"s": 0.25}, {"s": 0.5}], "label": "7"}'] * 2 == job.results(output="raw")["output"].tolist()
    assert [7, 7] == job.results(output="{label: label}", dtype={"label": int})["label"].tolist()
    exploded = job.results(output="p", explode=True)
    assert ["a", "a", "b", "b"] == exploded.index.tolist()
    assert [0.25, 0.5, 0.25, 0.5] == exploded["s"].tolist()
    joined = job.results(output="p", explode=True, join=True)
    assert [1, 1, 2, 2] == joined["x"].tolist()


@pytest.mark.parametrize(("errors", "expected"), [("coerce", [1.0, None, 3.0]), ("ignore", [1.0, 3.0])])
def test_failed_rows_are_missing_or_left_out(submit, model, errors, expected):
    """As errors= says."""
    job = _one_of_three_fails(submit, model)

    assert expected == [None if pd.isna(x) else x for x in job.results(errors=errors)["x"]]


def test_failed_rows_raise_if_asked_to(submit, model):
    """With the label and the model's own words."""
    job = _one_of_three_fails(submit, model)

    with pytest.raises(InferenceFailedError) as caught:
        job.results(errors="raise")

    assert str(caught.value) == (
        """Row 'b', failed: {"code":500,"type":"ValueError","message":"two"} job.failures() has them all."""
    )


def test_an_answer_that_cannot_be_read_raises_the_first_time_too(submit, model):
    """It is known when the outputs have been fetched, which raising waits for."""
    model.answer = lambda *_: b"not json"
    job = submit(pd.DataFrame({"x": [1, 2]}, index=["a", "b"]))

    with pytest.raises(
        InferenceFailedError, match=r"^Row 'a', unreadable: Its output at s3://.* 1 more did not end well"
    ):
        job.results(errors="raise")
    assert ["a", "b"] == job.failures().index.tolist()


def _one_of_three_fails(submit, model):
    def answer(body, content_type, accept):
        if json.loads(body)["x"] == 2:
            raise ValueError("two")
        return body

    model.answer = answer
    return submit(pd.DataFrame({"x": [1, 2, 3]}, index=list("abc")))


@pytest.mark.parametrize("place", ["folder", "s3"])
def test_results_can_be_written_in_parts(submit, echo, tmp_path, place, monkeypatch):
    """Parquet files in row order, one GET an output, and nothing of it kept in memory."""
    monkeypatch.setattr("sm_async_nb.job.export.ROWS_A_PART", 4)
    frame = pd.DataFrame({"x": range(10)}, index=[f"r{n}" for n in range(10)])
    into = str(tmp_path / "scored") if place == "folder" else f"s3://{echo.bucket}/scored"
    job = submit(frame, rows_per_request=3)

    written = job.results(into=into)

    assert [f"{into}/part-{n:05d}.parquet" for n in range(3)] == written
    assert 4 == echo.calls["s3 GetObject"]
    assert not job._reports._answers.has_value.any()
    options = {"client_kwargs": {"endpoint_url": echo.environment["AWS_ENDPOINT_URL"]}, **KEYS}
    parts = [pd.read_parquet(part, storage_options=options if place == "s3" else None) for part in written]
    together = pd.concat(parts)
    pd.testing.assert_frame_equal(frame, together, check_index_type=False)
    with pytest.raises(RequestError, match=r"There are results at .*part-00000\.parquet already"):
        job.results(into=into)


KEYS = {"key": "local", "secret": "local"}


@pytest.mark.parametrize("options", [{}, {"errors": "raise"}, {"dtype": float}, {"dtype": int}, {"join": True}])
def test_a_mistyped_path_is_refused(submit, options):
    """It was a column of missing values, without a word."""
    job = submit(pd.DataFrame({"score": [1, 2]}))

    with pytest.raises(ValueError) as caught:
        job.results(output="scor", **options)
    assert str(caught.value) == (
        "output='scor' does not fit any of the 2 answers: there is no key 'scor'. Did you mean 'score'?"
        " The key there is 'score'."
    )


def test_a_path_that_does_not_fit_all_answers_is_warned_of_once(submit):
    """With the label of the first, beside the submitted columns too; or it is an error, if that is asked for."""
    job = submit(
        pd.DataFrame({"x": [{"y": None}, {"z": 1}, {"y": 2}, {}]}, index=list("abcd")), payload=lambda row: row["x"]
    )
    expected = (
        "output='y' does not fit 2 of 4 answers. The first is that of row 'b': there is no key 'y'."
        " The key there is 'z'. Around what may be missing, write not_null(…, `null`)."
    )

    for join in (False, True):
        with pytest.warns(SmAsyncWarning) as warned:
            assert [None, None, 2.0, None] == _plain(job.results(output="y", join=join)["output"])
        assert [(expected, __file__)] == [(str(one.message), one.filename) for one in warned]
    with pytest.raises(InferenceFailedError, match=r"^Row 'b', completed: output='y' does not fit its answer"):
        job.results(output="y", errors="raise")
    assert [None, None, 2.0, None] == _plain(job.results(output="not_null(y, `null`)", errors="raise")["output"])


def _plain(column):
    return [None if pd.isna(value) else value for value in column]


def test_a_failed_row_is_raised_before_a_path_that_does_not_fit(submit, model):
    """What is wrong with the model comes before what is wrong with the question."""
    job = _one_of_three_fails(submit, model)

    with pytest.raises(InferenceFailedError, match=r"^Row 'b', failed: "):
        job.results(output="y", errors="raise")


def test_a_path_into_no_answer_at_all_is_no_matter(submit, model):
    """Every row has failed, which is told elsewhere."""
    model.answer = lambda *_: 1 / 0
    job = submit(pd.DataFrame({"x": [1, 2]}))

    assert (2, 0) == job.results(output="y", dtype={"y": int}).shape


def test_a_type_for_a_column_that_is_not_there_is_refused(submit):
    """As ``DataFrame.astype`` does."""
    job = submit(pd.DataFrame({"score": [1, 2]}))

    with pytest.raises(RequestError) as caught:
        job.results(dtype={"nope": int})
    assert "dtype= names 'nope', and no answer has such a column. The column there is 'score'." == str(caught.value)


@pytest.mark.parametrize("options", [{"output": "scor"}, {"dtype": {"scor": int}}], ids=["path", "dtype"])
def test_nothing_is_written_of_a_shape_that_fits_no_answer(submit, echo, tmp_path, options, monkeypatch):
    """The first part decides, and no answer of another is fetched."""
    monkeypatch.setattr("sm_async_nb.job.export.ROWS_A_PART", 2)
    job = submit(pd.DataFrame({"score": range(6)}))

    with pytest.raises(RequestError, match=r"Did you mean 'score'\?"):
        job.results(into=tmp_path / "there", **options)
    assert not (tmp_path / "there").exists()
    assert 2 == echo.calls["s3 GetObject"]


def test_a_path_that_fits_the_first_part_is_warned_of_at_the_end(submit, echo, tmp_path, monkeypatch):
    """Once, with the count of all parts, and each answer is fetched once."""
    monkeypatch.setattr("sm_async_nb.job.export.ROWS_A_PART", 2)
    rows = [{"y": 1}, {"y": 2}, {"z": 3}, {"z": 4}, {"y": 5}, {"z": 6}]
    job = submit(pd.DataFrame({"x": rows}, index=list("abcdef")), payload=lambda row: row["x"])

    with pytest.warns(SmAsyncWarning, match=r"^output='y' does not fit 3 of 6 answers\. .* row 'c': ") as warned:
        written = job.results(into=tmp_path, output="y")

    assert [__file__] == [one.filename for one in warned]
    parts = [_plain(pd.read_parquet(part)["output"]) for part in written]
    assert [[1.0, 2.0], [None, None], [5.0, None]] == parts
    assert 6 == echo.calls["s3 GetObject"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("into", "hint"),
    [
        ("s3//x/y", " Did you mean 's3://x/y'?"),
        ("s3:/x", " Did you mean 's3://x'?"),
        ("s3:x", " Did you mean 's3://x'?"),
        ("s3:///x", " Did you mean 's3://x'?"),
        ("s3a://x", " Did you mean 's3://x'?"),
        ("S3://x/Y", " Did you mean 's3://x/Y'?"),
        (" s3://x", " Did you mean 's3://x'?"),
        (Path("s3://x/y"), " Did you mean 's3://x/y'?"),
        ("s3://", ""),
        ("gs://x", ""),
        ("file:///tmp/x", ""),
    ],
)
def test_an_address_that_is_none_in_s3_is_no_folder(submit, echo, here, into, hint):
    """A mistyped URI was a folder of that name, and the results were not where they were looked for."""
    job = submit(pd.DataFrame({"x": [1]}))

    with pytest.raises(RequestError) as caught:
        job.results(into=into)

    expected = f"into= is a folder or an S3 URI, and {str(into)!r} is neither.{hint} Nothing was fetched."
    assert expected == str(caught.value)
    assert ([], 0) == (list(here.iterdir()), echo.calls["s3 GetObject"])


@pytest.mark.parametrize("into", ["s3", "s3/x", "./s3:/x", "a//b", "results 1", "s3-results"])
@pytest.mark.usefixtures("here")
def test_a_folder_may_be_called_almost_anything(submit, into):
    """Only what looks like an address is refused."""
    written = submit(pd.DataFrame({"x": [1]})).results(into=into)

    assert [str(Path(into) / "part-00000.parquet")] == written


def test_refused_requests_are_rejected_rows_and_the_others_go_on(submit, echo, monkeypatch):
    """A 4xx about one request is that row's end, with the service's words and its status."""
    from sm_async_nb.core.request import Field

    # Let the client's own check pass, so that the service's is seen at work.
    monkeypatch.setattr(Field, "problem", lambda self, value: None)
    frame = pd.DataFrame({"x": [1, 2], "ttl": [60, 1]}, index=["good", "bad"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("botocore.validate.ParamValidator.validate", lambda *_: type("R", (), {"has_errors": bool})())
        job = submit(frame, columns="x", request_ttl_seconds="ttl")

    table = job.table()
    assert {"good": "completed", "bad": "rejected"} == table["status"].astype(str).to_dict()
    assert {"good": 202, "bad": 400} == table["http_status"].to_dict()
    assert "Member must have value greater than or equal to 60" in job.failures()["error"]["bad"]
