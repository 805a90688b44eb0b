"""The words of a magic's line: cut as a shell would, but for brackets, which keep together what is inside them."""

from __future__ import annotations

from IPython.core.error import UsageError

_BRACKETS = {"(": ")", "[": "]", "{": "}"}
_QUOTES = "'\""


def split(line: str) -> list[str]:
    """Cut a line into its words. What is inside brackets stays together, untouched, with its quotes.

    So ``--data df[df["plan"] == "pro"]``, ``--inference-id {{ id }}`` and ``--tags {"team": "risk"}`` need no quotes
    around them.

    Raises
    ------
    UsageError
        If a quote or a bracket is never closed.
    """
    words: list[str] = []
    at = 0
    while True:
        while at < len(line) and line[at].isspace():
            at += 1
        if at == len(line):
            return words
        word, at = _word(line, at)
        words.append(word)


def _word(line: str, at: int) -> tuple[str, int]:
    word = ""
    while at < len(line) and not line[at].isspace():
        if line[at] in _QUOTES:
            end = _end_of_quote(line, at)
            word += line[at + 1 : end - 1]
        elif line[at] in _BRACKETS:
            end = _end_of_bracket(line, at)
            word += line[at:end]
        else:
            end = at + 1
            word += line[at]
        at = end
    return word, at


def _end_of_quote(line: str, at: int) -> int:
    end = line.find(line[at], at + 1)
    if end < 0:
        raise UsageError(f"The quote {line[at]} before {line[at + 1 : at + 21]!r} is never closed.")
    return end + 1


def _end_of_bracket(line: str, at: int) -> int:
    open_, closing = at, [_BRACKETS[line[at]]]
    while closing:
        at += 1
        if at >= len(line):
            raise UsageError(f"The bracket {line[open_]} before {line[open_ + 1 : open_ + 21]!r} is never closed.")
        if line[at] in _QUOTES:
            at = _end_of_quote(line, at) - 1
        elif line[at] in _BRACKETS:
            closing.append(_BRACKETS[line[at]])
        elif line[at] == closing[-1]:
            closing.pop()
    return at + 1
