"""Settings that come from outside the session: the environment, and the nearest pyproject.toml.

Nothing of IPython is needed for them, so they hold for a plain script too.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

TABLE = "[tool.sm_async]"

_YES = {"1", "true", "yes", "on"}
_NO = {"0", "false", "no", "off"}


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One setting: what it is without anybody's word, what it means, and which values it may have.

    ``check`` gives the value as it is used, or raises ValueError with what it must be.
    """

    name: str
    default: Any
    help: str
    check: Callable[[Any], Any]

    @property
    def variable(self) -> str:
        """Its name in the environment."""
        return f"SM_ASYNC_{self.name.upper()}"


def _switch(value: Any) -> bool:
    if isinstance(value, str) and value.lower() in _YES | _NO:
        return value.lower() in _YES
    if isinstance(value, bool):
        return value
    raise ValueError("must be True or False")


def _switch_or_auto(value: Any) -> bool | str:
    if isinstance(value, str) and value.lower() == "auto":
        return "auto"
    try:
        return _switch(value)
    except ValueError:
        raise ValueError("must be 'auto', True or False") from None


def _seconds(value: Any) -> float:
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = -1.0
    if isinstance(value, bool) or not 0 <= seconds < float("inf"):
        raise ValueError("must be a number of seconds, 0 or more")
    return seconds


def _count(value: Any) -> int:
    try:
        count = int(value) if not isinstance(value, float | bool) else 0
    except (TypeError, ValueError):
        count = 0
    if count < 1:
        raise ValueError("must be a whole number of at least 1")
    return count


def _prefix(value: Any) -> str | None:
    if value in (None, ""):
        return None
    if not isinstance(value, str) or not value.startswith("s3://"):
        raise ValueError("must look like s3://bucket/prefix")
    return value


def _text(value: Any) -> str | None:
    if value in (None, ""):
        return None
    if isinstance(value, str):
        return value
    raise ValueError("must be a text")


def _storage(value: Any) -> str:
    if value not in ("auto", "s3fs", "obstore"):
        raise ValueError("must be 'auto', 's3fs' or 'obstore'")
    return str(value)


def _face(value: Any) -> str:
    if value not in ("auto", "html", "text"):
        raise ValueError("must be 'auto', 'html' or 'text'")
    return str(value)


SETTINGS: Mapping[str, Setting] = {
    setting.name: setting
    for setting in (
        Setting(
            name="input_prefix",
            default=None,
            check=_prefix,
            help=(
                "Where jobs lie in S3, s3://bucket/prefix. Without it they go to sm-async-nb/ in the bucket of the"
                " endpoint's outputs."
            ),
        ),
        Setting(
            name="concurrency",
            default=64,
            check=_count,
            help="How many requests are uploaded or invoked at one time.",
        ),
        Setting(
            name="sse_kms_key_id",
            default=None,
            check=_text,
            help="The KMS key that what is written to S3 is encrypted with. Without it, as the bucket says.",
        ),
        Setting(
            name="expected_bucket_owner",
            default=None,
            check=_text,
            help="The account of twelve digits that every bucket must belong to. Without it, any.",
        ),
        Setting(
            name="storage",
            default="auto",
            check=_storage,
            help="What S3 is used over: 's3fs', 'obstore', or 'auto' for obstore where it is installed.",
        ),
        Setting(
            name="wait",
            default="auto",
            check=_switch_or_auto,
            help=(
                "Whether %%sm_async waits for the job. 'auto' waits in a terminal and where a notebook is run by a"
                " program (papermill, nbclient), and returns at once in a notebook."
            ),
        ),
        Setting(
            name="front_end",
            default="auto",
            check=_face,
            help=(
                "How a job is shown: 'html' as HTML that follows it, 'text' as one line, 'auto' live in a notebook and"
                " as HTML where a program runs it."
            ),
        ),
        Setting(
            name="fetch_answers",
            default=True,
            check=_switch,
            help="Whether the live table fetches the answers of rows in sight to show how they begin, a GET each.",
        ),
        Setting(
            name="progress_after",
            default=2.0,
            check=_seconds,
            help="Seconds after which progress is shown; a job that is quicker shows its summary only.",
        ),
        Setting(
            name="verbose_errors",
            default=False,
            check=_switch,
            help="Whether an error in a magic is shown with its whole traceback.",
        ),
    )
}


def outside(name: str) -> tuple[Any, str]:
    """A setting as the environment has it, else the nearest pyproject.toml, else its default; and which of them."""
    setting = SETTINGS[name]
    if os.environ.get(setting.variable):
        return os.environ[setting.variable], setting.variable
    path, table = _nearest_table()
    return (table[name], f"{TABLE} in {path}") if name in table else (setting.default, "default")


def strangers() -> dict[str, Path]:
    """What stands in the pyproject.toml and is no setting, with the file."""
    path, table = _nearest_table()
    return dict.fromkeys((name for name in table if name not in SETTINGS), path)


def nearest_pyproject(folder: Path) -> Path | None:
    """The pyproject.toml in this folder, or in the nearest one above it."""
    for one in (folder, *folder.parents):
        path = one / "pyproject.toml"
        if path.is_file():
            return path
    return None


def for_show(name: str) -> Any:
    """A setting for those who only show something; a bad value is refused where jobs are made, and not here."""
    setting = SETTINGS[name]
    try:
        return setting.check(current(name)[0])
    except ValueError:
        return setting.default


# Where a session that can be asked has its own word: %config SmAsync sets this when the extension is loaded.
_session: list[Callable[[str], tuple[Any, str]]] = []


def current(name: str) -> tuple[Any, str]:
    """A setting as it stands, unchecked, and where it comes from."""
    return _session[-1](name) if _session else outside(name)


def otherwise(name: str, given: Any) -> Any:
    """What a call was given, or else the setting as it stands; whoever uses it checks it."""
    return current(name)[0] if given is None else given


def ask(session: Callable[[str], tuple[Any, str]] | None) -> None:
    """Let a session have the first word, or nobody any more."""
    _session[:] = [] if session is None else [session]


def _nearest_table() -> tuple[Path, Mapping[str, Any]]:
    """What the nearest pyproject.toml says of us; nothing where there is none, or the working directory is gone."""
    try:
        path = nearest_pyproject(Path.cwd())
        return (Path(), {}) if path is None else (path, _table(path, path.stat().st_mtime_ns))
    except OSError:
        return Path(), {}


@lru_cache(maxsize=8)
def _table(path: Path, _changed_at: int) -> Mapping[str, Any]:
    try:
        # Some editors begin a file with a mark of its encoding, which TOML does not know.
        tool = tomllib.loads(path.read_text(encoding="utf-8-sig")).get("tool")
    except (OSError, ValueError):  # of which what is no UTF-8 and what is no TOML are kinds
        return {}  # not ours to complain about
    table = tool.get("sm_async") if isinstance(tool, dict) else None
    return table if isinstance(table, dict) else {}
