"""``%%sm_async``: one cell, one job."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError

from sm_async_nb.notebook.accessor import SmAsyncAccessor
from sm_async_nb.notebook.commands import HELP, Here, command_help
from sm_async_nb.notebook.config import check_all, is_said, value_of
from sm_async_nb.notebook.front_end import front_end
from sm_async_nb.notebook.magic_options import Kind, Line, Option, help_lines, options_of, parse
from sm_async_nb.notebook.namespace import bind, checked_name, columns_of, evaluate, follow, frame_of, no_frame
from sm_async_nb.notebook.told import rendered, respelling

if TYPE_CHECKING:
    from sm_async_nb.core.estimate import Plan
    from sm_async_nb.job.job import Job

HELP_AT = "%%sm_async --help"

_USAGE = """\
%%sm_async ENDPOINT --data NAME [--out NAME] [OPTION ...]
template of the payload, such as {"inputs": {{ text }}}

  Sends the rows of a DataFrame to an asynchronous endpoint, as df.sm_async.submit(...) does. The cell's value is the
  job. {{ column }} is a column's value, in the template and in the options; nothing else is expanded. Without a
  template the payload is the row's record. What has blanks in it is put in quotes, unless brackets are around it.
"""

DATA = Option(
    parameter="data",
    kind=Kind.EXPRESSION,
    short="-d",
    metavar="NAME",
    help="The DataFrame whose rows are sent: a variable, or an expression such as df[df.age > 30].",
)
OUT = Option(
    parameter="out",
    kind=Kind.TEXT,
    short="-o",
    metavar="NAME",
    help="Bind the job to this variable at once; NAME.results() is the frame of the answers.",
)
DRY_RUN = Option(
    parameter="dry_run", kind=Kind.FLAG, help="Show what would be sent, with its size and fee, and send nothing."
)

# Given by the line's first word.
_ENDPOINT = "endpoint_name"
# Options that settings stand in for where the line does not say.
_FROM_SETTINGS = ("input_prefix", "concurrency", "sse_kms_key_id", "expected_bucket_owner", "storage")


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A cell that was understood: what to send where, and what to do with the job."""

    endpoint_name: str
    frame: Any
    arguments: Mapping[str, Any]
    for_plan: Mapping[str, Any]
    out: str
    wait: bool
    dry_run: bool
    first_line: int | None


@cache
def submit_options() -> dict[str, Option]:
    """An option for each parameter of submit."""
    return options_of(SmAsyncAccessor.submit, leave_out=(_ENDPOINT,))


@cache
def plan_options() -> dict[str, Option]:
    """What a dry run understands besides."""
    return options_of(SmAsyncAccessor.plan, leave_out=(_ENDPOINT,))


@cache
def cell_options() -> dict[str, Option]:
    """Everything that ``%%sm_async`` understands, by parameter."""
    own = {"data": DATA, "out": OUT, "dry_run": DRY_RUN}
    return {**own, **submit_options(), **plan_options(), "help": HELP}


@cache
def cell_help() -> str:
    """What ``%%sm_async --help`` and ``%sm_async help`` show."""
    own = (DATA, OUT, DRY_RUN, HELP)
    lines = [_USAGE, *help_lines(own), "", "Options of the job:", "", *help_lines(submit_options().values())]
    lines += ["", "For --dry-run:", "", *help_lines(plan_options().values())]
    return "\n".join([*lines, "", "Without a cell:", "", *command_help(), "", "Defaults: %config SmAsync"])


def understand(here: Here, text: str, body: str) -> Cell:
    """Read a cell, without sending anything.

    Raises
    ------
    UsageError
        If it cannot be understood, with the nearest valid word.
    """
    check_all()
    options = cell_options()
    line = parse(text, options, help_at=HELP_AT)
    endpoint_name = _endpoint_name(line)
    if "data" not in line.given:
        raise UsageError(no_frame(here.namespace))
    frame = frame_of(DATA, line.given["data"], here.namespace)
    keywords = {name: evaluate(options[name], value, here.namespace) for name, value in line.given.items()}
    template, first_line = _template(body, keywords)
    dry_run = keywords.get("dry_run", False)
    return Cell(
        endpoint_name=endpoint_name,
        frame=frame,
        arguments={**_submit_arguments(frame, keywords), **template},
        for_plan=_plan_arguments(keywords, dry_run=dry_run),
        out=_out(line),
        wait=_waits(keywords),
        dry_run=dry_run,
        first_line=first_line,
    )


def plan(cell: Cell, here: Here) -> Plan:
    """What the cell would send."""
    found = SmAsyncAccessor(cell.frame).plan(cell.endpoint_name, **cell.arguments, **cell.for_plan)
    return bind(here.variables, cell.out, found) if cell.out else found


def submit(cell: Cell, here: Here) -> Job:
    """Send what the cell says, and wait where nobody works on meanwhile."""
    try:
        job = SmAsyncAccessor(cell.frame).submit(cell.endpoint_name, **cell.arguments)
    except KeyboardInterrupt:
        told = "Interrupted while the job was being made; %sm_async jobs tells whether it was."
        raise rendered(KeyboardInterrupt(told), told) from None
    here.jobs.remember(job)
    if cell.out:
        bind(here.variables, cell.out, job)
    return follow(job, cell.out) if cell.wait else job


def in_words_of(cell: Cell | None, *, own: Iterable[str] = ()) -> Callable[[str], str]:
    """How the library's messages are put where a user has typed options and not keywords."""
    sends = cell is None or not cell.dry_run
    return respelling(cell_options(), own=own, first_line=cell.first_line if cell else None, sends=sends)


def _endpoint_name(line: Line) -> str:
    if not line.words:
        raise UsageError(f"Say which endpoint: %%sm_async ENDPOINT --data NAME. {HELP_AT} shows all.")
    if len(line.words) > 1:
        raise UsageError(
            f"One endpoint's name is expected before the options, got {' '.join(line.words)}."
            " A value with blanks in it is put in quotes."
        )
    return line.words[0]


def _out(line: Line) -> str:
    if "out" not in line.given:
        return ""
    if line.given["out"] == line.given["data"]:
        raise UsageError(f"--out {line.given['out']} would replace the frame of that name; take another.")
    return checked_name(line.given["out"])


def _template(body: str, keywords: Mapping[str, Any]) -> tuple[dict[str, str], int | None]:
    """The template in the cell, and at which of the cell's lines it begins."""
    if not body.strip():
        return {}, None
    if keywords.get("template") is not None:
        raise UsageError("The template is given twice: in the cell, and by --template.")
    for name in ("payload", "input_location", "columns"):
        if name in keywords:
            raise UsageError(f"The payload is given twice: by the template in the cell, and by --{_dashed(name)}.")
    lines = body.split("\n")
    blank = next(at for at, text in enumerate(lines) if text.strip())
    return {"template": "\n".join(lines[blank:]).rstrip()}, 2 + blank


def _submit_arguments(frame: Any, keywords: Mapping[str, Any]) -> dict[str, Any]:
    given = {name: value for name, value in keywords.items() if name in submit_options() and name != "wait"}
    for name in _FROM_SETTINGS:
        if name in submit_options() and name not in given and is_said(name):
            given[name] = value_of(name)
    if given.get("columns") is not None:
        given["columns"] = columns_of(frame, given["columns"])
    return given


def _plan_arguments(keywords: Mapping[str, Any], *, dry_run: bool) -> dict[str, Any]:
    given = {name: value for name, value in keywords.items() if name in plan_options()}
    if given and not dry_run:
        raise UsageError(f"--{_dashed(next(iter(given)))} is for --dry-run.")
    return given


def _waits(keywords: Mapping[str, Any]) -> bool:
    said = keywords.get("wait", value_of("wait"))
    return front_end().waits if said == "auto" else bool(said)


def _dashed(name: str) -> str:
    return name.replace("_", "-")
