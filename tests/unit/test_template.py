"""Templates: what a value becomes, what is refused, and that a cell is never code."""

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sm_async_nb.core.template import Template, is_template
from sm_async_nb.errors import ColumnNotFoundError, RequestError

ROW = {
    "text": 'He said "no"\n',
    "n": 3,
    "x": 0.5,
    "gone": None,
    "tags": ["a", None],
    "age group": "40+",
    "is_new": True,
}


def json_of(source, row=None):
    row = ROW if row is None else row
    return orjson.loads(Template(source, list(row), as_json=True).render(row))


def text_of(source, row=None):
    row = ROW if row is None else row
    return Template(source, list(row), as_json=False).render(row)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('{"inputs": {{ text }}}', {"inputs": 'He said "no"\n'}),
        ('{"n": {{ n }}, "x": {{ x }}, "b": {{ is_new }}}', {"n": 3, "x": 0.5, "b": True}),
        ('{"gone": {{ gone }}}', {"gone": None}),
        ("{{ tags }}", ["a", None]),
        ('{"s": {{ "age " ~ n }}}', {"s": "age 3"}),
        ('{"s": "age {{ n }}"}', {"s": "age 3"}),
        ('{"s": "quoted: {{ text | text }}"}', {"s": 'quoted: He said "no"\n'}),
        ('{"s": {{ row["age group"] }}}', {"s": "40+"}),
        ('{"a": 1{% if n > 2 %}, "big": true{% endif %}}', {"a": 1, "big": True}),
        ("[{% for tag in tags %}{{ tag }}{% if not loop.last %},{% endif %}{% endfor %}]", ["a", None]),
        ('{"up": {{ text | upper }}}', {"up": 'HE SAID "NO"\n'}),
    ],
)
def test_values_are_written_as_json_in_a_json_template(source, expected):
    """A text brings its quotes and escapes, a missing value is null, a number is a number."""
    assert expected == json_of(source)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ text }}", 'He said "no"\n'),
        ("n={{ n }}, x={{ x }}", "n=3, x=0.5"),
        ("[{{ gone }}]", "[]"),
        ("{{ is_new }}", "true"),
        ("{{ tags }}", '["a",null]'),
        ("line\n", "line\n"),
    ],
)
def test_values_are_written_as_text_in_a_text_template(source, expected):
    """What is missing is nothing at all, and lists are written as JSON for want of anything better."""
    assert expected == text_of(source)


@settings(max_examples=1000)
@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_no_cell_can_break_out_of_a_json_template(text):
    """Quotes, braces, template marks: whatever a cell holds arrives as that text."""
    assert {"a": text, "b": 1} == json_of('{"a": {{ text }}, "b": 1}', {"text": text})


@pytest.mark.parametrize("cell", ["{{ 7 * 7 }}", "{% for x in y %}", "{# no #}", '"}}', "${env}"])
def test_a_cell_is_never_code(cell):
    """Template marks in a value are data."""
    assert {"a": cell} == json_of('{"a": {{ text }}}', {"text": cell})
    assert cell == text_of("{{ text }}", {"text": cell})


@pytest.mark.parametrize(
    ("source", "expected"),
    [("{{ n }}", 3), ("{{ n * 2 }}", 6), ("{{- text -}}", 'He said "no"\n'), ("{{ gone }}", None), ("v{{ n }}", "v3")],
)
def test_a_single_expression_keeps_the_type_of_its_value(source, expected):
    """A field that is a number needs a number."""
    assert expected == Template(source, list(ROW), as_json=False).value(ROW)


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        (
            '{"a": 1,\n "b": {{ txt }}}',
            ColumnNotFoundError,
            "Line 2 of the template uses 'txt', which the frame has no column of. Did you mean 'text'?"
            " Nothing was sent.",
        ),
        (
            "{{ range(3) }}",
            ColumnNotFoundError,
            "Line 1 of the template uses 'range', which the frame has no column of. Nothing was sent.",
        ),
        (
            '{"a":\n {{ text }',
            RequestError,
            "Line 2 of the template: unexpected '}'. Nothing was sent.",
        ),
        (
            "{% if n %}{{ n }}",
            RequestError,
            "Line 1 of the template: Unexpected end of template. Jinja was looking for the following tags: 'elif' or"
            " 'else' or 'endif'. The innermost block that needs to be closed is 'if'. Nothing was sent.",
        ),
        ("{{ n | no_such }}", RequestError, "Line 1 of the template: No filter named 'no_such'. Nothing was sent."),
    ],
)
def test_a_template_that_cannot_be_is_refused_with_its_line(source, error, message):
    """Before any row is looked at."""
    with pytest.raises(error) as caught:
        Template(source, list(ROW), as_json=True)

    assert message == str(caught.value)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "{{ text.__class__ }}",
            "the template may not do that: access to attribute '__class__' of 'str' object is unsafe.",
        ),
        ("{{ text.nope }}", "in the template, 'str object' has no attribute 'nope'"),
        ("{{ n / 0 }}", "the template fails: division by zero"),
        ("{{ text + n }}", 'the template fails: can only concatenate str (not "int") to str'),
        ("{{ row['nope'] }}", "in the template, 'dict object' has no attribute 'nope'"),
    ],
)
def test_a_template_that_fails_on_a_row_says_why(source, message):
    """The row is named by whoever goes through the rows."""
    with pytest.raises(ValueError) as caught:
        json_of(source)

    assert message == str(caught.value)


def test_a_template_that_gives_no_json_says_where_and_how_to_write_it():
    """Quotes around an expression that brings its own are the usual reason. What the parser says is its own affair."""
    with pytest.raises(ValueError) as caught:
        json_of('{"s": "say: {{ text }}"}')

    assert str(caught.value).startswith("the template gives no JSON, line 1 column 14: unexpected character")
    assert str(caught.value).endswith(". Values bring their own quotes; inside quotes write {{ column | text }}")


@pytest.mark.parametrize(
    ("source", "hint"),
    [
        ("{'s': {{ text }}}", "JSON wants double quotes"),
        ('{"s": {text}}', "Perhaps {{ text }} was meant"),
        ('{"n": {{ n }}, "s": { text }}', "Perhaps {{ text }} was meant"),
        ('{"s": text}', "Values bring their own quotes; inside quotes write {{ column | text }}"),
    ],
)
def test_a_slip_that_is_often_made_is_recognized(source, hint):
    """Quotes as in Python, and braces as in an f-string."""
    with pytest.raises(ValueError) as caught:
        json_of(source)

    assert str(caught.value).endswith(f". {hint}")


def test_a_template_knows_the_columns_it_uses():
    """Only these have to be made ready for it."""
    assert ["text", "n"] == Template('{"a": {{ n }}, "b": {{ text }}}', ["text", "n", "x"], as_json=True).used
    assert ["text", "n"] == Template("{{ row }}", ["text", "n"], as_json=True).used


def test_a_template_is_told_from_a_constant():
    """By its marks."""
    assert is_template("{{ a }}")
    assert is_template("{% if a %}b{% endif %}")
    assert not is_template("trace=1")
    assert not is_template(3)
