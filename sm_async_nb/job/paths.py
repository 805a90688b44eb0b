"""A JMESPath over many answers, and which of them it does not fit: to JMESPath a key that is not there is null."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError
from jmespath.visitor import TreeInterpreter

from sm_async_nb.errors import RequestError

Node = dict[str, Any]

# The parts of a path that are not there, by the identity of their node, each with what stood in its place.
Missed = dict[int, tuple[Node, Any]]

_KINDS = {type(None): "null", bool: "a boolean", int: "a number", float: "a number", str: "a text", bytes: "bytes"}
_SHOWN = 8
_SAMPLES = 20


class Path:
    """A JMESPath, and what of it the answers so far did not have.

    What it names has to be there, and may be null. One side of ``||`` is enough, and so is one item of a list; what
    stands in ``not_null()``, in a condition ``[?...]`` or behind ``&`` may be missing.

    Attributes
    ----------
    answers, misfits
        How many answers it has looked into, and how many of them it does not fit.

    Raises
    ------
    RequestError
        If it is no JMESPath.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        try:
            self._tree: Node = jmespath.compile(text).parsed
        except JMESPathError as error:
            said = str(error).splitlines()[0].rstrip(".:").removesuffix(", for expression")
            raise RequestError(f"output={text!r} is no JMESPath: {said}.") from None
        self._seeker = _Seeker()
        self.answers = 0
        self.misfits = 0
        self._nowhere: set[int] = set()
        self._nodes: dict[int, Node] = {}
        self._samples: dict[int, list[Any]] = {}

    def __str__(self) -> str:
        return f"output={self._text!r}"

    def __call__(self, answer: Any) -> Any:
        """What it finds in one answer; None where that is nothing."""
        found, missed = self._seeker.look(self._tree, answer)
        self._nowhere = self._nowhere & missed.keys() if self.answers else set(missed)
        self.answers += 1
        self.misfits += bool(missed)
        for place, (node, value) in missed.items():
            self._nodes[place] = node
            samples = self._samples.setdefault(place, [])
            if len(samples) < _SAMPLES:
                samples.append(value)
        return found

    @property
    def counted(self) -> str:
        """How many answers it does not fit, of how many."""
        return f"{self.misfits:,} of {self.answers:,} answers"

    def refuse_if_nowhere(self) -> None:
        """Refuse a path of which a part was in none of the answers.

        Raises
        ------
        RequestError
            Naming that part, and what there is in its place.
        """
        for place, node in self._nodes.items():
            if place in self._nowhere:
                those = "the only answer" if self.answers == 1 else f"any of the {self.answers:,} answers"
                raise RequestError(f"{self} does not fit {those}: {_said(node, self._samples[place])}")

    def first_misfit(self) -> str:
        """What the first answer that it does not fit has not, and the way out."""
        place, node = next(iter(self._nodes.items()))
        said = _said(node, self._samples[place][:1])
        return f"{said} Around what may be missing, write not_null(…, `null`)."


class _Seeker(TreeInterpreter):  # type: ignore[misc]  # jmespath has no types
    """JMESPath's own interpreter, which also notes what is not there."""

    def __init__(self) -> None:
        super().__init__()
        self._plain = TreeInterpreter()
        self._missed: Missed = {}

    def look(self, node: Node, value: Any) -> tuple[Any, Missed]:
        """What a part of a path finds in a value, and what it misses there."""
        before, self._missed = self._missed, {}
        try:
            found = self.visit(node, value)
            return found, self._missed
        finally:
            self._missed = before

    def visit_field(self, node: Node, value: Any) -> Any:
        if isinstance(value, dict) and node["value"] in value:
            return value[node["value"]]
        return self._miss(node, value)

    def visit_index(self, node: Node, value: Any) -> Any:
        if isinstance(value, list) and -len(value) <= node["value"] < len(value):
            return value[node["value"]]
        return self._miss(node, value)

    def visit_slice(self, node: Node, value: Any) -> Any:
        return super().visit_slice(node, value) if isinstance(value, list) else self._miss(node, value)

    def visit_flatten(self, node: Node, value: Any) -> Any:
        items = self.visit(node["children"][0], value)
        if not isinstance(items, list):
            return self._miss(node, items)
        return [part for item in items for part in (item if isinstance(item, list) else [item])]

    def visit_projection(self, node: Node, value: Any) -> Any:
        of, each = node["children"]
        items = self.visit(of, value)
        return self._go_through(each, items) if isinstance(items, list) else self._miss(node, items)

    def visit_filter_projection(self, node: Node, value: Any) -> Any:
        of, each, condition = node["children"]
        items = self.visit(of, value)
        if not isinstance(items, list):
            return self._miss(node, items)
        return self._go_through(each, [item for item in items if self._is_true(self._plain.visit(condition, item))])

    def visit_value_projection(self, node: Node, value: Any) -> Any:
        of, each = node["children"]
        items = self.visit(of, value)
        return self._go_through(each, list(items.values())) if isinstance(items, dict) else self._miss(node, items)

    def visit_or_expression(self, node: Node, value: Any) -> Any:
        left, right = node["children"]
        found, missed = self.look(left, value)
        if self._is_false(found):
            found, missed_too = self.look(right, value)
            missed = {**missed, **missed_too} if missed and missed_too else {}
        self._missed.update(missed)
        return found

    def visit_function_expression(self, node: Node, value: Any) -> Any:
        if node["value"] == "not_null":
            return self._plain.visit(node, value)
        return super().visit_function_expression(node, value)

    def visit_expref(self, node: Node, value: Any) -> Any:
        return self._plain.visit(node, value)

    def _go_through(self, each: Node, items: list[Any]) -> list[Any]:
        looked = [self.look(each, item) for item in items]
        missed = looked[0][1] if looked else {}
        for _, also in looked[1:]:
            missed = {place: missed[place] for place in missed if place in also}
        self._missed.update(missed)
        return [found for found, _ in looked if found is not None]

    def _miss(self, node: Node, value: Any) -> None:
        self._missed[id(node)] = (node, value)


def nearest_first(word: str, known: Iterable[str], called: str) -> str:
    """`` Did you mean 'score'? The keys there are 'score', 'label'.``, where ``called`` is ``key``."""
    by_likeness = sorted(known, key=lambda other: -difflib.SequenceMatcher(None, other, word).ratio())
    close = difflib.get_close_matches(word, by_likeness[:1])
    hint = f" Did you mean {close[0]!r}?" if close else ""
    shown = ", ".join(map(repr, by_likeness[:_SHOWN]))
    more = f" and {len(by_likeness) - _SHOWN:,} more" if len(by_likeness) > _SHOWN else ""
    there = f"{called} there is" if len(by_likeness) == 1 else f"{called}s there are"
    return f"{hint} The {there} {shown}{more}."


def _said(node: Node, values: list[Any]) -> str:
    """What is not there, and what is: the keys of all the values, or the kind of the first."""
    keys = {str(key): None for value in values if isinstance(value, dict) for key in value}
    if node["type"] == "field" and keys:
        return f"there is no key {node['value']!r}.{nearest_first(node['value'], keys, 'key')}"
    sought = {"field": f"key {node.get('value')!r}", "index": f"item {node.get('value')}", "value_projection": "object"}
    return f"there is no {sought.get(node['type'], 'list')}, but {_kind(values[0])}."


def _kind(value: Any) -> str:
    if isinstance(value, dict):
        return "an object" if value else "an empty object"
    if isinstance(value, list):
        return f"a list of {len(value):,}" if value else "an empty list"
    return _KINDS.get(type(value)) or f"a value of type {type(value).__name__}"
