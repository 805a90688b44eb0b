"""What the form says in HTML: the plan, what is wrong, what came of a submit. Every text in it is escaped."""

from __future__ import annotations

from pathlib import Path

from sm_async_nb.core.estimate import Plan
from sm_async_nb.notebook.form.plan import Planned
from sm_async_nb.notebook.panel.html import esc

_UNITS = ("bytes", "kB", "MB", "GB", "TB")
_THOUSAND = 1_000
_LATER = "known when all rows were checked"


def style() -> str:
    """The form's own style sheet, which a widget of text brings along."""
    return f"<style>{Path(__file__).with_name('form.css').read_text()}</style>"


def help_of(parameter: str, told: str) -> str:
    """What a field means, under the name that it has in code."""
    return f"<code>{esc(parameter)}</code> {esc(told)}"


def problem(message: str) -> str:
    """What is wrong, in a way that does not need colour; told to who listens when they pause."""
    return f'<span class="sma-wrong" aria-live="polite">{_icon("✗")} {esc(message)}</span>'


def hint(message: str) -> str:
    """A line beneath a field."""
    return f"<span>{esc(message)}</span>" if message else ""


def notice(message: str, *, kind: str = "note", step: str = "") -> str:
    """What came of a submit: a ``note``, a ``warning`` or an ``error``, with the next step."""
    icon = {"note": "●", "warning": "▲", "error": "✗"}[kind]
    word = {"note": "", "warning": "Warning: ", "error": "Not submitted: "}[kind]
    more = f"<div>{esc(step)}</div>" if step else ""
    return f'<div class="sma-notice sma-{kind}" role="alert">{_icon(icon)} {esc(word)}{esc(message)}{more}</div>'


def aside(message: str) -> str:
    """What there is to say besides, where nothing was pressed that it answers."""
    return f'<div class="sma-notice sma-note" aria-live="polite">{_icon("●")} {esc(message)}</div>' if message else ""


def code_box(name: str, text: str) -> str:
    """Code in a box that a key or a click selects all of, whatever the page can do with a clipboard."""
    rows = min(text.count("\n") + 2, 12)
    return (
        f'<div class="sma-code"><span aria-hidden="true">{esc(name)}</span><textarea aria-label="{esc(name)}"'
        f' rows="{rows}" spellcheck="false" onfocus="this.select()">\n{esc(text)}</textarea></div>'
    )


def plan(planned: Planned, *, endpoint_name: str, labels: dict[str, str]) -> str:
    """What would be sent, or why it cannot be.

    Parameters
    ----------
    labels
        What the fields are called, by parameter.
    """
    if planned.wrong:
        items = [f"<b>{esc(labels.get(name, name))}</b>: {esc(told)}" for name, told in planned.wrong.items()]
        return f"{_title('A field is wrong', '✗')}{_list(items)}"
    if planned.plan is None:
        return f'{_title("This cannot be sent", "✗")}<p class="sma-wrong">{esc(planned.error)}</p>'
    found = planned.plan
    if found.problems:
        return f"{_problems(found, planned)}{_scope(planned)}"
    whom = f" for {endpoint_name}" if endpoint_name else ""
    return f"{_title(f'Plan{whom}')}{_figures(found, planned)}{_sample(found)}{_scope(planned)}"


def _problems(found: Plan, planned: Planned) -> str:
    count = found.rows_with_problems
    rows = "1 row cannot be sent" if count == 1 else f"{count:,} rows cannot be sent"
    left = count - len(found.problems)
    more = [f"and {left:,} more"] if left > 0 else []
    of = "" if planned.is_whole else f", of the first {planned.of_rows:,}"
    return f"{_title(rows + of, '✗')}{_list([esc(one) for one in (*found.problems, *more)])}"


def _figures(found: Plan, planned: Planned) -> str:
    """What it comes to. From the first rows alone it is reckoned, and said to be; the calls are not even that."""
    share = planned.rows / planned.of_rows if planned.of_rows else 1
    about = "" if planned.is_whole else "about "
    inline = f", {about}{found.inline_requests * share:,.0f} of them inline" if found.inline_requests else ""
    told = {
        "Rows": f"{planned.rows:,}",
        "Requests": f"{about}{found.requests * share:,.0f}{inline}",
        "Payloads": f"{about}{size(found.payload_bytes * share)}{_each(found)}",
        "Calls": _calls(found) if planned.is_whole else _LATER,
        "S3 fee": _fee(found) if planned.is_whole else _LATER,
    }
    told |= {name: value for name, value in found.fields.items() if name != "content_type"}
    items = "".join(f"<dt>{esc(name)}</dt><dd>{esc(value)}</dd>" for name, value in told.items())
    return f"<dl>{items}</dl>"


def _calls(found: Plan) -> str:
    return " · ".join(f"{count:,} {operation.split()[-1]}" for operation, count in found.calls.items() if count)


def _fee(found: Plan) -> str:
    return f"about ${found.s3_fee:,.{2 if found.s3_fee >= 1 else 6}f}"


def _each(found: Plan) -> str:
    if not found.histogram:
        return ""
    low, high = found.histogram[0][0], found.histogram[-1][1]
    return f", {size(low)} each" if low == high else f", {size(low)} to {size(high)} each"


def _sample(found: Plan) -> str:
    if not found.samples:
        return ""
    first = "First input" if "input_location" in found.fields else "First payload"
    return f'<div class="sma-sample"><span>{first}</span><pre tabindex="0">{esc(found.samples[0])}</pre></div>'


def _scope(planned: Planned) -> str:
    if planned.is_whole:
        rows = "The row was" if planned.rows == 1 else f"All {planned.rows:,} rows were"
        return f'<p class="sma-scope">{_icon("✓")} {rows} checked.</p>'
    told = f"The first {planned.of_rows:,} of {planned.rows:,} rows were checked; the others are when you pause."
    return f'<p class="sma-scope">{_icon("…")} {esc(told)}</p>'


def size(count: float) -> str:
    """Bytes as people say them."""
    unit = 0
    while count >= _THOUSAND and unit + 1 < len(_UNITS):
        count, unit = count / _THOUSAND, unit + 1
    return f"{count:,.0f} {_UNITS[unit]}" if unit == 0 else f"{count:,.1f} {_UNITS[unit]}"


def _title(text: str, icon: str = "") -> str:
    return f'<div class="sma-title">{_icon(icon) + " " if icon else ""}{esc(text)}</div>'


def _list(items: list[str]) -> str:
    return f"<ul>{''.join(f'<li>{one}</li>' for one in items)}</ul>"


def _icon(icon: str) -> str:
    return f'<span aria-hidden="true">{icon}</span>'
