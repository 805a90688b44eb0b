"""What the doctor found: a line for each thing, with a text and an HTML form."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from html import escape

import pandas as pd


class State(StrEnum):
    """How a line of the report is meant."""

    OK = "ok"
    NOTE = "note"
    BAD = "BAD"
    NOT_TRIED = "not tried"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line: what was looked at, how it is, what was found, and what to do where it is not good."""

    check: str
    state: State
    found: str
    do: str = ""


@dataclass(frozen=True, repr=False)
class Report:
    """What :func:`doctor` found, with a text and an HTML form; ``table`` is a DataFrame."""

    findings: tuple[Finding, ...]

    @property
    def is_good(self) -> bool:
        """Whether nothing is bad."""
        return not any(finding.state is State.BAD for finding in self.findings)

    @property
    def table(self) -> pd.DataFrame:
        """A line for each finding."""
        told = [(finding.check, str(finding.state), finding.found, finding.do) for finding in self.findings]
        return pd.DataFrame(told, columns=["check", "state", "found", "do"]).set_index("check")

    def __str__(self) -> str:
        width = max(len(finding.check) for finding in self.findings)
        lines = [self._summary()]
        for finding in self._bad_first():
            lines.append(f"  {finding.state:9}  {finding.check:{width}}  {finding.found}".rstrip())
            lines += [f"  {'':9}  {'':{width}}  {finding.do}"] if finding.do else []
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        # Names of endpoints and what services say are not ours, so all of it is escaped.
        rows = "".join(_row(finding) for finding in self._bad_first())
        head = "<tr><th>state</th><th>check</th><th>found</th><th>what to do</th></tr>"
        return f"<p>{escape(self._summary())}</p><table><thead>{head}</thead><tbody>{rows}</tbody></table>"

    def _bad_first(self) -> list[Finding]:
        return sorted(self.findings, key=lambda finding: finding.state is not State.BAD)

    def _summary(self) -> str:
        bad = sum(finding.state is State.BAD for finding in self.findings)
        return (
            f"{bad} of {len(self.findings)} lines {'is' if bad == 1 else 'are'} bad"
            if bad
            else f"None of {len(self.findings)} lines is bad"
        )


def _row(finding: Finding) -> str:
    cells = (str(finding.state), finding.check, finding.found, finding.do)
    return "<tr>" + "".join(f'<td style="text-align: left">{escape(cell)}</td>' for cell in cells) + "</tr>"


def ok(check: str, found: str) -> Finding:
    return Finding(check=check, state=State.OK, found=found)


def note(check: str, found: str, do: str = "") -> Finding:
    return Finding(check=check, state=State.NOTE, found=found, do=do)


def bad(check: str, found: str, do: str) -> Finding:
    return Finding(check=check, state=State.BAD, found=found, do=do)


def not_tried(check: str, why: str) -> Finding:
    return Finding(check=check, state=State.NOT_TRIED, found=why)
