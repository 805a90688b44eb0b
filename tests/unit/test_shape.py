"""From answers to columns: what is picked, and what is said when it cannot be."""

import jmespath
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_async_nb.errors import InferenceFailedError, RequestError
from sm_async_nb.job.paths import Path
from sm_async_nb.job.shape import Shape, Shaping

INDEX = pd.Index([5, 6, 7])
ALL = np.array([True, True, True])


def frame(values, known=ALL, **shape):
    shaping = Shaping(Shape(**shape), INDEX)
    return shaping.typed(shaping.frame(values, known, INDEX))


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


def test_a_path_that_finds_nothing_in_some_answers_gives_missing_values_there():
    """As JMESPath has it; and which they are can be told."""
    shaping = Shaping(Shape(output="a"), INDEX)
    result = shaping.frame([{"a": 1}, {"b": 2}, {"c": 3}], ALL, INDEX)

    assert [False, True, True] == result["output"].isna().tolist()
    assert shaping.misfits() == (
        "output='a' does not fit 2 of 3 answers. The first is that of row 6: there is no key 'a'. The key there is 'b'."
        " Around what may be missing, write not_null(…, `null`)."
    )


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
    """A column that some answers have is one."""
    result = frame([{"a": "1"}, {"a": "2"}, {"a": "3", "b": 0.5}], dtype={"a": "int8", "b": "float32"})

    assert [np.int8, np.float32] == result.dtypes.tolist()


def refusal(values, known=ALL, **shape):
    with pytest.raises(RequestError) as caught:
        frame(values, known, **shape)
    return str(caught.value)


def test_a_type_for_a_column_that_no_answer_has_is_refused():
    """It was passed over, and the column that was meant kept the type it had."""
    answers = [{"score": 1, "label": "x"}] * 3

    assert refusal(answers, dtype={"scor": int}) == (
        "dtype= names 'scor', and no answer has such a column. Did you mean 'score'?"
        " The columns there are 'score', 'label'."
    )
    assert refusal(answers, output="score", dtype={"score": int}) == (
        "dtype= names 'score', and no answer has such a column. The column there is 'output'."
    )


def test_types_are_no_matter_where_there_is_no_answer():
    """Nobody knows then which columns there are."""
    assert [] == frame([None] * 3, ~ALL, dtype={"a": int}).columns.tolist()


# Paths that lead nowhere


@pytest.mark.parametrize(
    ("path", "answer", "expected"),
    [
        (
            "scor",
            {"label": "x", "score": 1},
            "there is no key 'scor'. Did you mean 'score'? The keys there are 'score', 'label'.",
        ),
        ("nope", {"y": 1}, "there is no key 'nope'. The key there is 'y'."),
        ("p[0].scor", {"p": [{"score": 1}]}, "there is no key 'scor'. Did you mean 'score'? The key there is 'score'."),
        ("q.score", {"p": 1}, "there is no key 'q'. The key there is 'p'."),
        ("p[2]", {"p": [1, 2]}, "there is no item 2, but a list of 2."),
        ("[0]", {"p": [1, 2]}, "there is no item 0, but an object."),
        ("score", [{"score": 1}], "there is no key 'score', but a list of 1."),
        ("score", "0.5", "there is no key 'score', but a text."),
        ("score", {}, "there is no key 'score', but an empty object."),
        ("p.score", {"p": None}, "there is no key 'score', but null."),
        (
            "p[*].scor",
            {"p": [{"score": 1}] * 2},
            "there is no key 'scor'. Did you mean 'score'? The key there is 'score'.",
        ),
        (
            "p[].scor",
            {"p": [[{"score": 1}]]},
            "there is no key 'scor'. Did you mean 'score'? The key there is 'score'.",
        ),
        ("p[?a].b", {"p": [{"a": 1}]}, "there is no key 'b'. The key there is 'a'."),
        ("p[*]", {"p": {"a": 1}}, "there is no list, but an object."),
        ("p[:2]", {"p": 0.5}, "there is no list, but a number."),
        ("p[].a", {"p": "x"}, "there is no list, but a text."),
        ("*.b", {"x": {"a": 1}}, "there is no key 'b'. The key there is 'a'."),
        ("p.*", {"p": True}, "there is no object, but a boolean."),
        ("{s: scor}", {"score": 1}, "there is no key 'scor'. Did you mean 'score'? The key there is 'score'."),
        ("[scor, score]", {"score": 1}, "there is no key 'scor'. Did you mean 'score'? The key there is 'score'."),
        ("scor || sco", {"score": 1}, "there is no key 'scor'. Did you mean 'score'? The key there is 'score'."),
        ("to_number(scor)", {"score": 1}, "there is no key 'scor'. Did you mean 'score'? The key there is 'score'."),
        ("scor > `0.5`", {"score": 1}, "there is no key 'scor'. Did you mean 'score'? The key there is 'score'."),
        (
            "k10",
            {f"k{n}": n for n in range(10)},
            "there is no key 'k10'. Did you mean 'k0'?"
            " The keys there are 'k0', 'k1', 'k2', 'k3', 'k4', 'k5', 'k6', 'k7' and 2 more.",
        ),
    ],
)
def test_a_path_that_fits_no_answer_is_refused(path, answer, expected):
    """It was a column of missing values, without a word."""
    assert f"output={path!r} does not fit any of the 3 answers: {expected}" == refusal([answer] * 3, output=path)
    assert f"output={path!r} does not fit the only answer: {expected}" == refusal(
        [None, answer, None], np.array([False, True, False]), output=path, dtype=float
    )


@pytest.mark.parametrize(
    ("path", "answer", "expected"),
    [
        ("a", {"a": None}, None),
        ("a.b", {"a": {"b": None}}, None),
        ("p[0]", {"p": [None]}, None),
        ("p[-1]", {"p": [1, 2]}, 2),
        ("p[*].b", {"p": []}, []),
        ("p[*].b", {"p": [{"b": None}, {}]}, []),
        ("p[*].b", {"p": [{}, {"b": 1}]}, [1]),
        ("p[?b > `1`].b", {"p": [{"b": 1}]}, []),
        ("p[?flag].b", {"p": [{"b": 1}]}, []),
        ("p[1:]", {"p": [1, 2]}, [2]),
        ("p[]", {"p": [1, [2, [3]]]}, [1, 2, [3]]),
        ("*.b", {}, []),
        ("a || b", {"b": 1}, 1),
        ("a || b", {"a": 1}, 1),
        ("a || b", {"a": None}, None),
        ("not_null(a, `null`)", {}, None),
        ("not_null(a, `null`)", {"a": False}, False),
        ("{a: a, b: not_null(b, `0`)}.[a, b]", {"a": 1}, [1, 0]),
        ("sort_by(p, &a)[0].a", {"p": [{"a": 2}, {"a": 1}]}, 1),
        ("map(&b, p)", {"p": [{}]}, [None]),
        ("a == `null`", {"a": None}, True),
        ("`1`", {}, 1),
        ("@", None, None),
    ],
)
def test_a_null_that_is_there_and_a_part_that_may_be_missing_are_found(path, answer, expected):
    """A refusal that is not needed is a wrong one; and the value is JMESPath's own."""
    shaping = Shaping(Shape(output=path, errors="raise"), INDEX)

    assert [expected] * 3 == shaping.frame([answer] * 3, ALL, INDEX)["output"].astype(object).tolist()
    assert expected == jmespath.search(path, answer)
    assert shaping.misfits() is None


SCALARS = st.none() | st.booleans() | st.integers(0, 2) | st.sampled_from(["", "x"])
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner), max_leaves=8
)


@pytest.mark.parametrize(
    "path", ["a.b", "a[0]", "a[1:].b", "a[].b", "a[*].[b, c]", "a[?b].c", "*.a", "a || b.c", "{x: a, y: b[*]}", "[*].*"]
)
@given(answer=VALUES)
def test_a_path_finds_what_jmespath_finds(path, answer):
    """Noting what is not there changes nothing of what is."""
    assert jmespath.search(path, answer) == Path(path)(answer)


def test_each_part_of_a_path_has_to_be_in_some_answer():
    """Every answer lacks one, and a different one: that is no reason to refuse."""
    assert [[1, None], [None, 2], [1, None]] == frame([{"a": 1}, {"b": 2}, {"a": 1}], output="[a, b]")[
        "output"
    ].tolist()


def test_a_path_that_does_not_fit_all_answers_is_an_error_if_asked_for():
    """Of the kind that an answer is which cannot be read; before the types, of which NaN may be none."""
    with pytest.raises(InferenceFailedError) as caught:
        frame([{"a": 1}, {"b": 2}, {"b": 3}], output="a", errors="raise", dtype=int)

    assert str(caught.value) == (
        "Row 6, completed: output='a' does not fit its answer: there is no key 'a'. The key there is 'b'."
        " Around what may be missing, write not_null(…, `null`). In all, it does not fit 2 of 3 answers."
    )


def test_of_parts_the_first_with_an_answer_decides():
    """A later one without the key is a misfit only, told with the row's own label."""
    shaping = Shaping(Shape(output="a", dtype={"output": float}), pd.Index(list("uvwxyz")))
    none = shaping.typed(shaping.frame([None] * 2, np.zeros(2, dtype=bool), pd.Index(["u", "v"])))
    some = shaping.typed(shaping.frame([{"a": 1}, {"a": 2}], ALL[:2], pd.Index(["w", "x"])))
    later = shaping.typed(shaping.frame([{"b": 1}, {"a": 2}], ALL[:2], pd.Index(["y", "z"])))

    assert ((2, 0), [1.0, 2.0]) == (none.shape, some["output"].tolist())
    assert [True, False] == later["output"].isna().tolist()
    assert shaping.misfits().startswith("output='a' does not fit 1 of 4 answers. The first is that of row 'y': ")


def test_a_column_of_one_part_may_be_missing_in_a_later_one():
    """Its type is given where it is."""
    shaping = Shaping(Shape(dtype={"b": "int8"}), INDEX)
    first = shaping.typed(shaping.frame([{"b": 1}], ALL[:1], INDEX[:1]))
    later = shaping.typed(shaping.frame([{"a": 1}], ALL[:1], INDEX[1:2]))

    assert (np.int8, ["a"]) == (first["b"].dtype, later.columns.tolist())
