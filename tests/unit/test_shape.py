"""From answers to columns: what is picked, and what is said when it cannot be."""

import numpy as np
import pandas as pd
import pytest

from sm_async_nb.errors import RequestError
from sm_async_nb.job.shape import Shape

INDEX = pd.Index([5, 6, 7])
ALL = np.array([True, True, True])


def frame(values, known=ALL, **shape):
    return Shape(**shape).frame(values, known, INDEX)


def test_the_keys_of_dicts_are_columns_and_all_else_is_the_output():
    """Side by side, when a model answers now this way and now that."""
    result = frame([{"a": 1}, 2.5, {"a": 3, "b": "x"}])

    assert ["a", "output", "b"] == result.columns.tolist()
    assert [1.0, None, 3.0] == [None if pd.isna(a) else a for a in result["a"]]
    assert 2.5 == result.loc[6, "output"]


def test_a_row_without_an_answer_is_missing():
    """And picked from by nobody."""
    result = frame([{"a": 1}, None, {"a": 3}], np.array([True, False, True]), output=lambda answer: answer["a"])

    assert [1.0, None, 3.0] == [None if pd.isna(a) else a for a in result["output"]]


def test_a_path_that_finds_nothing_gives_a_missing_value():
    """As JMESPath has it."""
    assert frame([{"a": 1}, {}, {"a": 3}], output="a")["output"].isna().tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ({"errors": "drop"}, "errors must be one of 'raise', 'coerce', 'ignore', got 'drop'."),
        ({"output": 3}, "output must be a JMESPath, a function or 'raw', got int."),
    ],
)
def test_a_shape_that_cannot_be_is_refused(shape, message):
    """Before anything is fetched."""
    with pytest.raises(RequestError) as caught:
        Shape(**shape)

    assert message == str(caught.value)


def test_a_path_that_is_none_is_refused_with_the_place():
    """The parser's own words, and ours around them."""
    with pytest.raises(RequestError, match=r"^output='a\[\[' is no JMESPath: "):
        Shape(output="a[[")


def test_a_function_that_fails_names_the_row():
    """Its label, and what was raised."""
    with pytest.raises(RequestError) as caught:
        frame([{"p": 1}, {}, {"p": 2}], output=lambda answer: answer["p"])

    assert "output= fails on the answer of row 6: KeyError: 'p'." == str(caught.value)


def test_items_of_a_list_become_rows():
    """An empty list leaves a row without an answer, as in pandas; a scalar stays one row."""
    result = frame([[1, 2], [], 3], explode=True)

    assert [5, 5, 6, 7] == result.index.tolist()
    assert [1.0, 2.0, None, 3.0] == [None if pd.isna(x) else x for x in result["output"]]


def test_types_are_given_by_column():
    """Those of columns that no answer has are no matter."""
    result = frame([{"a": "1"}, {"a": "2"}, {"a": "3"}], dtype={"a": "int8", "b": "float32"})

    assert np.int8 == result["a"].dtype
