"""``%sm_async``: what can be asked and told without a frame, most of it about the last job."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import pandas as pd
from IPython.core.error import UsageError

from sm_async_nb.notebook.config import is_said, value_of
from sm_async_nb.notebook.doctor import doctor
from sm_async_nb.notebook.jobs import attach, endpoint, endpoints, jobs
from sm_async_nb.notebook.line_words import split
from sm_async_nb.notebook.magic_options import Kind, Line, Option, help_lines, nearest, options_of, parse
from sm_async_nb.notebook.namespace import bind, checked_name, evaluate, follow
from sm_async_nb.notebook.outside import SETTINGS, current

if TYPE_CHECKING:
    from sm_async_nb.job.job import Job
    from sm_async_nb.notebook.known import KnownJobs

OUT = Option(parameter="out", kind=Kind.TEXT, short="-o", metavar="NAME", help="Bind it to this variable.")
HELP = Option(parameter="help", kind=Kind.FLAG, short="-h", help="Show this.")

# Words that call nothing: a plan is the cell's, without being sent, and its options are the cell's.
_OTHERS = {
    "plan": ("%sm_async plan ENDPOINT --data NAME", "What a cell would send, with the cell's options."),
    "help": ("%sm_async help [COMMAND]", "All of this, or one command."),
}


@dataclass(frozen=True, kw_only=True)
class Here:
    """What a command may use: the user's variables, where new ones are bound, and the jobs of the session."""

    namespace: Mapping[str, Any]
    variables: dict[str, Any]
    jobs: KnownJobs


@dataclass(frozen=True, kw_only=True)
class Command:
    """One word after ``%sm_async``.

    ``takes`` is what may stand behind it. ``function`` gives the one it calls, whose keywords are its options; it is
    asked late, since boto3 takes a second to import. ``names`` are those of its keywords that take words.
    """

    name: str
    help: str
    run: Callable[[Here, Line, dict[str, Any]], Any]
    takes: str = ""
    function: Callable[[], Callable[..., Any]] | None = None
    leave_out: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    can_be_bound: bool = False

    def options(self) -> dict[str, Option]:
        """What it understands, by parameter."""
        found = options_of(self.function(), leave_out=self.leave_out) if self.function else {}
        found |= {name: replace(found[name], kind=Kind.NAMES) for name in self.names}
        return {**({"out": OUT} if self.can_be_bound else {}), **found, "help": HELP}

    @property
    def usage(self) -> str:
        """As it is typed."""
        return f"%sm_async {self.name} {self.takes}".rstrip()

    def help_text(self) -> str:
        """What ``--help`` shows."""
        return "\n".join([self.usage, "", f"  {self.help}", "", *help_lines(self.options().values())])


def run_command(here: Here, text: str) -> Any:
    """Do what stands behind ``%sm_async``.

    Raises
    ------
    UsageError
        If there is no such command, with the nearest one, or if it cannot be understood.
    """
    name, _, rest = text.strip().partition(" ")
    if name in ("", "help", "--help", "-h", "?"):
        print(_help(rest.strip()))  # noqa: T201 - help is for reading
        return None
    command = COMMANDS.get(name)
    if command is None:
        raise UsageError(_no_command(name, rest))
    options = command.options()
    line = parse(rest, options, help_at=f"{command.usage.split(' [')[0]} --help")
    if "help" in line.given:
        print(command.help_text())  # noqa: T201
        return None
    _check_words(command, line)
    name = checked_name(line.given["out"]) if "out" in line.given else ""
    result = command.run(here, line, _keywords(here, line, options))
    return bind(here.variables, name, result) if name else result


def command_words() -> list[str]:
    """What may stand behind ``%sm_async``."""
    return [*COMMANDS, *_OTHERS]


def own_options(text: str) -> list[str]:
    """The parameters that are options of the command that is typed."""
    command = COMMANDS.get(text.strip().partition(" ")[0])
    return [] if command is None else list(command.options())


def command_help() -> list[str]:
    """A line for each command."""
    told = [*((command.usage, command.help) for command in COMMANDS.values()), *_OTHERS.values()]
    width = max(len(usage) for usage, _ in told)
    return [f"  {usage:{width}}  {meaning}" for usage, meaning in told]


def _help(name: str) -> str:
    from sm_async_nb.notebook.cell import cell_help

    if not name or name in _OTHERS:
        return cell_help()
    if name not in COMMANDS:
        raise UsageError(f"There is no command {name!r}.{nearest(name, command_words())} %sm_async help lists them.")
    return COMMANDS[name].help_text()


def _no_command(name: str, rest: str) -> str:
    if "--data" in split(rest) or "-d" in split(rest):
        return f"To send a frame, begin the cell with two signs: %%sm_async {name} {rest}"
    return f"There is no command {name!r}.{nearest(name, command_words())} %sm_async help lists them."


def _check_words(command: Command, line: Line) -> None:
    wanted = command.takes.split()
    needed = [word for word in wanted if not word.startswith("[")]
    if not len(needed) <= len(line.words) <= len(wanted):
        got = f"got {' '.join(line.words)}" if line.words else "nothing is there"
        raise UsageError(f"It is {command.usage}; {got}.")


def _keywords(here: Here, line: Line, options: Mapping[str, Option]) -> dict[str, Any]:
    """The options as keywords."""
    return {
        name: evaluate(options[name], value, here.namespace)
        for name, value in line.given.items()
        if name not in ("out", "help")
    }


def _job(here: Here, line: Line) -> Job:
    return here.jobs.remember(here.jobs.find(line.words[0] if line.words else None))


# The commands


def _status(here: Here, line: Line, _keywords: dict[str, Any]) -> Job:
    return _job(here, line)


def _wait(here: Here, line: Line, keywords: dict[str, Any]) -> Job:
    job = _job(here, line)
    return follow(job, here.jobs.name_of(job), **keywords)


def _results(here: Here, line: Line, keywords: dict[str, Any]) -> Any:
    job = _job(here, line)
    if job.snapshot.is_over:
        return job.results(**keywords)  # whose warning tells of requests that nobody here follows to their end
    on_their_way = _on_their_way(job)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".* are still on their way")
        found = job.results(**keywords)
    print(on_their_way)  # noqa: T201
    return found


def _on_their_way(job: Job) -> str:
    seen = job.snapshot
    left = seen.requests - seen.ended
    return f"{left:,} of {seen.requests:,} requests are still on their way; their rows are empty. %sm_async wait waits."


def _failures(here: Here, line: Line, keywords: dict[str, Any]) -> Any:
    return _job(here, line).failures(**keywords)


def _retry(here: Here, line: Line, keywords: dict[str, Any]) -> Job:
    job: Any = _job(here, line)
    count = job.retry(**keywords)
    print(f"{count:,} request{'' if count == 1 else 's'} of {job.id} will be sent again.")  # noqa: T201
    return cast("Job", job)


def _cancel(here: Here, line: Line, keywords: dict[str, Any]) -> None:
    job: Any = _job(here, line)
    print(job.cancel(**keywords))  # noqa: T201


def _resume(here: Here, line: Line, keywords: dict[str, Any]) -> Job:
    job: Any = _job(here, line)
    job.resume(**keywords)
    return cast("Job", job)


def _attach(here: Here, line: Line, keywords: dict[str, Any]) -> Job:
    address = line.words[0]
    if not address.startswith("s3://"):  # which says itself where the job lies
        _say_where_jobs_lie(here, keywords)
    return here.jobs.remember(attach(address, **keywords))


def _jobs(here: Here, _line: Line, keywords: dict[str, Any]) -> Any:
    _say_where_jobs_lie(here, keywords)
    return jobs(**keywords)


def _say_where_jobs_lie(here: Here, keywords: dict[str, Any]) -> None:
    """As the line says, or else the setting; where neither does, they are looked for beside the last one."""
    if "input_prefix" in keywords:
        return
    if is_said("input_prefix"):
        keywords["input_prefix"] = value_of("input_prefix")
    elif here.jobs.names():
        keywords["input_prefix"] = here.jobs.find(None).uri.rstrip("/").rpartition("/")[0]


def _endpoints(_here: Here, _line: Line, keywords: dict[str, Any]) -> Any:
    return endpoints(**keywords)


def _endpoint(_here: Here, line: Line, keywords: dict[str, Any]) -> Any:
    return endpoint(line.words[0], **keywords)


def _doctor(_here: Here, line: Line, keywords: dict[str, Any]) -> Any:
    return doctor(*line.words, **keywords)


def _panel(_here: Here, _line: Line, _keywords: dict[str, Any]) -> Any:
    from sm_async_nb.notebook.form.form import panel

    return panel()


def _config(_here: Here, _line: Line, _keywords: dict[str, Any]) -> pd.DataFrame:
    told = [(f"SmAsync.{name}", *current(name)) for name in SETTINGS]
    return pd.DataFrame(told, columns=["setting", "value", "from"]).set_index("setting")


def _of_job(name: str) -> Callable[[], Callable[..., Any]]:
    def function() -> Callable[..., Any]:
        from sm_async_nb.job.job import Job

        return cast(Callable[..., Any], getattr(Job, name))

    return function


COMMANDS: Mapping[str, Command] = {
    command.name: command
    for command in (
        Command(name="jobs", run=_jobs, function=lambda: jobs, can_be_bound=True, help="The jobs in S3."),
        Command(name="status", takes="[JOB]", run=_status, help="How a job stands."),
        Command(name="wait", takes="[JOB]", run=_wait, function=_of_job("wait"), help="Wait for a job, and show it."),
        Command(
            name="results",
            takes="[JOB]",
            run=_results,
            function=_of_job("results"),
            can_be_bound=True,
            help="The answers, one row for each row that was sent.",
        ),
        Command(
            name="failures",
            takes="[JOB]",
            run=_failures,
            can_be_bound=True,
            help="The rows that ended badly, with the model's own words.",
        ),
        Command(
            name="retry",
            takes="[JOB]",
            run=_retry,
            function=_of_job("retry"),
            names=("status", "error_class"),
            help="Send again what ended badly.",
        ),
        Command(
            name="cancel",
            takes="[JOB]",
            run=_cancel,
            function=_of_job("cancel"),
            help="Stop sending; says what the service still works on.",
        ),
        Command(
            name="resume",
            takes="[JOB]",
            run=_resume,
            function=_of_job("resume"),
            help="Let a job go on that pauses.",
        ),
        Command(
            name="attach",
            takes="ID",
            run=_attach,
            function=lambda: attach,
            leave_out=("uri_or_id",),
            can_be_bound=True,
            help="Open a job that lies in S3, by its id or its URI.",
        ),
        Command(
            name="endpoints",
            run=_endpoints,
            function=lambda: endpoints,
            can_be_bound=True,
            help="The endpoints of this account and region.",
        ),
        Command(
            name="endpoint",
            takes="NAME",
            run=_endpoint,
            function=lambda: endpoint,
            leave_out=("name", "endpoint_name"),
            help="What an endpoint is, and how it stands.",
        ),
        Command(name="panel", run=_panel, help="The form that builds a job."),
        Command(name="config", run=_config, help="The settings, and where each comes from."),
        Command(
            name="doctor",
            takes="[ENDPOINT]",
            run=_doctor,
            function=lambda: doctor,
            leave_out=("endpoint_name",),
            help="What works here, what does not, and what to do about it.",
        ),
    )
}
