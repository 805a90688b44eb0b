"""What a trial came to: the faults it met, and what became of the rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

_NUMBERS = ["rows", "requests", "sent twice", "lost", "wrong", "seconds"]


@dataclass(frozen=True, kw_only=True)
class Figures:
    """The outcome of one trial.

    Parameters
    ----------
    trial
        What was tried, in a few words.
    faults
        How often each kind of fault happened.
    rows
        How many rows were to be answered.
    requests
        How many requests reached the endpoint.
    sent_twice
        How many of them the client had sent before.
    lost
        Rows that came to no end, or that nothing is known of.
    wrong
        Rows with another answer, or another end, than the model gives.
    seconds
        How long it took.
    """

    trial: str
    faults: Mapping[str, int] = field(default_factory=Counter)
    rows: int
    requests: int
    sent_twice: int
    lost: int
    wrong: int
    seconds: float

    def line(self) -> list[str]:
        """A line of a table."""
        counts = (self.rows, self.requests, self.sent_twice, self.lost, self.wrong, round(self.seconds))
        told = ", ".join(f"{number:,} {kind}" for kind, number in sorted(self.faults.items()) if number)
        return [self.trial, told, *(f"{count:,}" for count in counts)]


def as_table(all_of_them: list[Figures]) -> str:
    """A Markdown table."""
    header = ["trial", "faults", *_NUMBERS]
    rule = ["---", "---", *["--:"] * len(_NUMBERS)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [header, rule, *(one.line() for one in all_of_them)])


def ended_otherwise(table: pd.DataFrame, results: pd.DataFrame, expected: pd.Series) -> tuple[int, int]:
    """How many rows are lost, and how many wrong, where ``expected`` has NaN for a row that the model fails on."""
    answered = results["y"].reindex(expected.index) if len(results.columns) else expected * float("nan")
    lost = ~table["status"].isin(["completed", "failed"])
    is_right = (answered == expected) & (table["status"] == "completed")
    is_right |= expected.isna() & (table["status"] == "failed")
    return int(lost.sum()), int((~lost & ~is_right).sum())
