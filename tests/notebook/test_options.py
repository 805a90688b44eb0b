"""A line of a magic, taken apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from IPython.core.error import UsageError

from sm_async_nb.notebook.accessor import SmAsyncAccessor
from sm_async_nb.notebook.line_words import split
from sm_async_nb.notebook.magic_options import Kind, kind_of, options_of, parameter_docs, parse

OPTIONS = options_of(SmAsyncAccessor.submit, leave_out=("endpoint_name",))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", []),
        ("  \t ", []),
        ("a b", ["a", "b"]),
        ("a 'b c' d", ["a", "b c", "d"]),
        ('a "b c"', ["a", "b c"]),
        ("--name='b c'", ["--name=b c"]),
        ("''", [""]),
        ("{{ id }}", ["{{ id }}"]),
        ("trace={{ id }} x", ["trace={{ id }}", "x"]),
        ("'trace={{ id }}, v=1'", ["trace={{ id }}, v=1"]),
        ('{{ row["two words"] }}', ['{{ row["two words"] }}']),
        ('df[df["plan"] == "pro"]', ['df[df["plan"] == "pro"]']),
        ("df[df['x'] == ')']", ["df[df['x'] == ')']"]),
        ('{"team": "risk", "n": [1, 2]}', ['{"team": "risk", "n": [1, 2]}']),
        ("pd.DataFrame({'x': [1, 2]}).head( 1 )", ["pd.DataFrame({'x': [1, 2]}).head( 1 )"]),
        ("C:\\models\\new", ["C:\\models\\new"]),
        ('"it\'s"', ["it's"]),
    ],
)
def test_a_line_is_cut_as_a_shell_cuts_it_but_for_brackets(line, expected):
    """What is inside brackets stays together with its quotes, so that JSON and expressions need no escaping."""
    assert expected == split(line)


@given(
    st.lists(
        st.text(st.characters(codec="ascii", exclude_characters="'\"()[]{}", exclude_categories=["C"]), min_size=1)
    )
)
def test_words_in_quotes_come_back_as_they_are(words):
    """Whatever blanks and signs they have."""
    assert words == split(" ".join(f"'{word}'" for word in words))


@given(st.text())
def test_any_line_is_cut_or_refused_in_words(line):
    """Nothing else happens, whatever is typed."""
    refused = ""
    try:
        split(line)
    except UsageError as error:
        refused = str(error)

    assert not refused or refused.endswith("is never closed.")


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        ("bool", Kind.FLAG),
        ("str | None", Kind.TEXT),
        ("str | Path | None", Kind.TEXT),
        ("int | None", Kind.NUMBER),
        ("float", Kind.NUMBER),
        ("int | str | None", Kind.NUMBER_OR_TEXT),
        ("Sequence[Hashable] | Hashable | None", Kind.NAMES),
        ("Mapping[str, str] | None", Kind.MAPPING),
        ("dict[str, Any]", Kind.MAPPING),
        ("Session | None", Kind.EXPRESSION),
        ("Any", Kind.EXPRESSION),
        ("Callable[[int], str] | None", Kind.EXPRESSION),
    ],
)
def test_how_a_value_is_read_stands_in_the_annotation(annotation, expected):
    """Nothing about an option is typed in twice."""
    assert expected == kind_of(annotation)


def test_the_help_of_an_option_is_the_docstring_of_its_parameter():
    """One that tells of several is the help of each; other sections are not theirs."""
    told = parameter_docs(
        "Do it.\n\nParameters\n----------\na, b\n    Both of\n    them.\nc : int\n    The third.\n\n    In two parts.\n"
        "\nReturns\n-------\nJob\n    The job.\n"
    )

    assert {"a": "Both of them.", "b": "Both of them.", "c": "The third. In two parts."} == told


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("--rows-per-request 20", {"rows_per_request": 20}),
        ("--rows_per_request=20", {"rows_per_request": 20}),
        ("--request-ttl-seconds ttl", {"request_ttl_seconds": "ttl"}),
        ("--request-ttl-seconds 60", {"request_ttl_seconds": 60}),
        ("--columns a,b", {"columns": ["a", "b"]}),
        ("--columns 'a, two words'", {"columns": ["a", "two words"]}),
        ('--columns ["a", 1]', {"columns": ["a", 1]}),
        ("--bare --no-deduplicate", {"bare": True, "deduplicate": False}),
        ("--accept '--odd'", None),
        ("--accept='--odd'", {"accept": "--odd"}),
        ("--name -1", {"name": "-1"}),
    ],
)
def test_values_are_read_by_their_kind(line, expected):
    """What begins with two dashes is an option unless it is put behind an equals sign."""
    if expected is None:
        with pytest.raises(UsageError, match="--accept needs a value"):
            parse(line, OPTIONS, help_at="--help")
    else:
        assert expected == dict(parse(line, OPTIONS, help_at="--help").given)


def test_words_may_stand_anywhere():
    """The endpoint's name before the options or behind them."""
    assert ("a", "b") == parse("a --bare b", OPTIONS, help_at="--help").words
