"""Inference scripts as handlers, and where handlers are found."""

from __future__ import annotations

import io
import json
import sys

import numpy as np
import pytest

from sm_async_nb.errors import RequestError
from sm_async_nb.local import ModelError, load_handler
from sm_async_nb.local.handler import as_answer

DOUBLE = """
def model_fn(model_dir):
    return 2

def predict_fn(data, model):
    return data * model
"""


@pytest.fixture(autouse=True)
def _own_modules(monkeypatch):
    """What a test loads is gone with it."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "modules", sys.modules)
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.fixture
def script(tmp_path):
    def write(text, name="inference.py"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def npy(array):
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ((b"[1, 2]", "application/json", None), (b"[2, 4]", "application/json")),
        ((b"1,2\n3,4\n", "text/csv", "text/csv"), (b"2,4\n6,8\n", "text/csv")),
        ((npy(np.array([1.5])), "application/x-npy", "*/*"), (b"[3.0]", "application/json")),
        ((b"[1]", "application/json", "application/x-npy"), (npy(np.array([2])), "application/x-npy")),
        ((b"[1]", "application/json", "image/png, text/csv"), (b"2\n", "text/csv")),
    ],
)
def test_the_toolkits_own_functions_read_and_write_json_csv_and_npy(script, asked, expected):
    """The first of the accepted types that there is a function for."""
    answer = load_handler(script(DOUBLE))(*asked)

    assert expected == (answer.body, answer.content_type)


def test_a_script_may_bring_all_its_functions_and_files_beside_it(script):
    """With and without a context; the folder of the script is where model_fn looks by default."""
    script("GREETING = 'hello'", "greetings.py")
    handler = load_handler(
        script(
            """
import os
from greetings import GREETING

def model_fn(model_dir, context):
    is_told = context.system_properties["model_dir"] == model_dir
    return is_told and os.path.exists(os.path.join(model_dir, "greetings.py"))

def input_fn(data, content_type):
    return data, content_type

def predict_fn(data, model, context):
    return [GREETING, model, *data]

def output_fn(prediction, accept):
    return " ".join(map(str, prediction)), "text/plain"
"""
        )
    )
    answer = handler(b"x", "text/x", "text/html")

    assert (b"hello True b'x' text/x", "text/plain") == (answer.body, answer.content_type)


def test_a_transform_fn_does_it_all(script):
    """JSON arrives as text, and what is returned has the type that was accepted."""
    handler = load_handler(
        script(
            """
def model_fn(model_dir):
    return model_dir

def transform_fn(model, data, content_type, accept):
    return f"{model} {data} {accept}".encode()
"""
        ),
        model_dir="/opt/ml/model",
    )
    answer = handler(b"{}", "application/json", "text/plain")

    assert (b"/opt/ml/model {} text/plain", "text/plain") == (answer.body, answer.content_type)


@pytest.mark.parametrize(
    ("body", "content_type", "told"),
    [
        (b"[1", "application/json", "JSONDecodeError"),
        (b"[1]", "image/png", "Content type image/png is not supported by this framework."),
        (b"\x80\x04N.", "application/x-npy", "pickle"),
    ],
)
def test_what_goes_wrong_is_told_with_its_traceback(script, body, content_type, told):
    """As the toolkit does; and a pickle that was sent is not run."""
    with pytest.raises(ModelError) as error:
        load_handler(script(DOUBLE))(body, content_type, None)

    assert 500 == error.value.status
    assert told in error.value.body
    assert "Traceback" in error.value.body


def test_an_error_of_the_toolkit_keeps_its_status(script):
    """BaseInferenceToolkitError has a status_code."""
    text = DOUBLE + "class Error(Exception): status_code = 422\ndef input_fn(data, content_type): raise Error('no')\n"
    with pytest.raises(ModelError) as error:
        load_handler(script(text))(b"", None, None)

    assert 422 == error.value.status


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "has no model_fn"),
        ("def model_fn(d): ...", "needs either predict_fn or transform_fn"),
        (DOUBLE + "def transform_fn(m, d, c, a): ...", "needs either predict_fn or transform_fn"),
        (
            "def model_fn(d): ...\ndef transform_fn(m, d, c, a): ...\ndef input_fn(d, c): ...",
            "which replaces input_fn",
        ),
    ],
)
def test_a_script_that_cannot_serve_is_refused_at_once(script, text, told):
    """Not with the first request."""
    with pytest.raises(RequestError, match=told):
        load_handler(script(text))


def test_a_function_is_found_in_a_file_or_in_a_module(script):
    """FILE.py:function and module:function."""
    path = script("def shout(body, content_type, accept): return body.upper()\nNUMBER = 3", "voices.py")
    handlers = [load_handler(f"{path}:shout"), load_handler("voices:shout")]

    assert [b"A", b"A"] == [as_answer(handler(b"a", None, None), None).body for handler in handlers]
    with pytest.raises(RequestError, match="has no whisper"):
        load_handler("voices:whisper")
    with pytest.raises(RequestError, match="A handler is a callable"):
        load_handler("voices:NUMBER")


@pytest.mark.parametrize(
    ("where", "told"), [("nowhere.py", "There is no file"), ("no.such.module:f", "There is no module no.such.module")]
)
def test_what_is_not_there_is_told(where, told):
    """With its name."""
    with pytest.raises(RequestError, match=told):
        load_handler(where)


def test_the_default_accept_may_be_set_as_for_the_toolkit(script, monkeypatch):
    """SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT."""
    monkeypatch.setenv("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT", "text/csv")
    answer = load_handler(script(DOUBLE))(json.dumps([1]).encode(), "application/json", None)

    assert (b"2\n", "text/csv") == (answer.body, answer.content_type)
