"""The SageMaker Python SDK's AsyncPredictor, unmodified, against the local endpoint."""

from __future__ import annotations

import json
import threading

import pytest

from sm_async_nb.local import LocalEndpoint, ModelError

pytestmark = pytest.mark.sagemaker_sdk


@pytest.fixture(scope="module")
def sdk():
    """The names of the SDK that are used here."""
    reason = "the SageMaker Python SDK 2 is not installed (pip install 'sagemaker<3')"
    predictor_async = pytest.importorskip("sagemaker.predictor_async", reason=reason, exc_type=ImportError)
    import sagemaker.async_inference
    import sagemaker.deserializers
    import sagemaker.exceptions
    import sagemaker.predictor
    import sagemaker.serializers

    predictor_async.sagemaker = sagemaker
    return predictor_async


@pytest.fixture(scope="module")
def local(sdk):
    go_on = threading.Event()

    def model(body, content_type, accept):
        record = json.loads(body)
        if record["x"] == 0:
            go_on.wait(30)
        if record["x"] < 0:
            raise ModelError("x is below zero", body=b'{"message":"x is below zero"}')
        return json.dumps({"y": 2 * record["x"], "content_type": content_type})

    before = set(threading.enumerate())
    with LocalEndpoint(model, endpoint_name="from-the-sdk", bucket="from-the-sdk") as running:
        its_own = set(threading.enumerate())
        yield running
        go_on.set()
        # The SDK looks for the other object to the last attempt, also when one was found.
        for thread in set(threading.enumerate()) - its_own - before:
            if thread.name.startswith("Thread-"):
                thread.join(20)


@pytest.fixture
def predictor(sdk, local):
    sagemaker = sdk.sagemaker
    session = sagemaker.Session(boto_session=local.session(), default_bucket="from-the-sdk")
    return sdk.AsyncPredictor(
        sagemaker.predictor.Predictor(
            "from-the-sdk",
            sagemaker_session=session,
            serializer=sagemaker.serializers.JSONSerializer(),
            deserializer=sagemaker.deserializers.JSONDeserializer(),
        )
    )


def soon(sdk, attempts=5):
    return sdk.sagemaker.async_inference.WaiterConfig(max_attempts=attempts, delay=1)


def at_once(predictor, data, waiter_config):
    return predictor.predict(data, waiter_config=waiter_config)


def later(predictor, data, waiter_config):
    return predictor.predict_async(data).get_result(waiter_config)


def test_predict_waits_for_the_answer(sdk, predictor):
    """The SDK uploads, invokes, polls both locations and decodes by the object's content type."""
    assert {"y": 42, "content_type": "application/json"} == predictor.predict({"x": 21}, waiter_config=soon(sdk))


def test_predict_async_gives_a_response_whose_result_comes_later(sdk, predictor, local):
    """With the locations that the 202 told."""
    response = predictor.predict_async({"x": 1})
    local.drained(timeout=10)

    assert response.output_path.startswith("s3://from-the-sdk/async-output/")
    assert response.failure_path.startswith("s3://from-the-sdk/async-failures/")
    assert 2 == response.get_result(soon(sdk))["y"]


@pytest.mark.parametrize("ask", [at_once, later])
def test_a_model_error_is_the_sdks_model_error(sdk, predictor, ask):
    """It found the failure object."""
    with pytest.raises(sdk.sagemaker.exceptions.AsyncInferenceModelError, match="x is below zero"):
        ask(predictor, {"x": -1}, soon(sdk))


@pytest.mark.parametrize("ask", [at_once, later])
def test_a_wait_that_is_too_short_is_the_sdks_time_out(sdk, predictor, ask):
    """Neither object came."""
    with pytest.raises(sdk.sagemaker.exceptions.PollingTimeoutError):
        ask(predictor, {"x": 0}, soon(sdk, attempts=2))
