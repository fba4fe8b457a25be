"""Regular expressions from strangers, matched in bounded time. Called by `schema` for `pattern`; pure.

Kubernetes uses RE2, whose matching is linear in the text. Python's `re` backtracks and can take exponential time, so a
pattern from a CRD runs there only if it cannot: at most one unbounded repetition, no repetition inside another. Any other
is simulated as a Thompson automaton, all states at once (R. Cox, "Regular Expression Matching Can Be Simple And Fast"),
with the visited sets of states remembered as a lazy DFA. What RE2 does not have (back-references, look-around) is refused.
"""

from __future__ import annotations

import re
import re._constants as op  # type: ignore[import-not-found]
import re._parser as parser  # type: ignore[import-not-found]
from collections.abc import Callable
from functools import lru_cache
from typing import Any

MAX_PATTERN = 4096
MAX_STATES = 10_000
MAX_TABLE = 2_000
"""Remembered transitions of one pattern; after that the table starts over."""


class PatternError(ValueError):
    """A pattern that is not valid, or that RE2 does not have, or that is too large."""


@lru_cache(maxsize=512)
def compile_pattern(text: str) -> Callable[[str], bool]:
    """A function that says whether the pattern is found anywhere in a text. Raises `PatternError`."""
    if not isinstance(text, str) or len(text) > MAX_PATTERN:
        raise PatternError(f"must be a string of at most {MAX_PATTERN} characters")
    python = text.replace(r"\z", r"\Z")
    if python.endswith("$") and not python.endswith(r"\$"):
        # RE2's $ without (?m) is the very end; Python's also stands before a last newline.
        python = python[:-1] + r"\Z"
    try:
        tree = parser.parse(python, re.ASCII)
        if _simple(tree):
            found = re.compile(python, re.ASCII)
            return lambda value: found.search(value) is not None
        return _Automaton(tree).search
    except (re.error, OverflowError, RecursionError) as error:
        raise PatternError(f"must be a valid regular expression: {error}") from None


def _simple(tree: Any) -> bool:
    """At most one unbounded repetition, none nested; small counted ones are unrolled by `re` at no risk."""
    return _unbounded(tree, inside=False) <= 1


def _unbounded(tree: Any, inside: bool) -> int:
    count = 0
    for code, argument in tree:
        if code in (op.MAX_REPEAT, op.MIN_REPEAT):
            _, high, body = argument
            repeats = high > 1
            if inside and repeats:
                return 2
            count += (1 if repeats and high > 64 else 0) + _unbounded(body, inside or repeats)
        elif code is op.SUBPATTERN:
            count += _unbounded(argument[3], inside)
        elif code is op.BRANCH:
            # Alternatives under a repetition may overlap, (a|a)*: left to the automaton.
            count += 2 if inside else sum(_unbounded(branch, inside) for branch in argument[1])
        elif code in (op.ASSERT, op.ASSERT_NOT, op.GROUPREF, op.GROUPREF_EXISTS):
            raise PatternError("look-around and back-references are not supported")
    return count


_CATEGORIES: dict[Any, Callable[[int], bool]] = {
    op.CATEGORY_DIGIT: lambda c: 48 <= c <= 57,
    op.CATEGORY_NOT_DIGIT: lambda c: not 48 <= c <= 57,
    op.CATEGORY_SPACE: lambda c: c in (9, 10, 12, 13, 32),
    op.CATEGORY_NOT_SPACE: lambda c: c not in (9, 10, 12, 13, 32),
    op.CATEGORY_WORD: lambda c: 48 <= c <= 57 or 65 <= c <= 90 or 97 <= c <= 122 or c == 95,
    op.CATEGORY_NOT_WORD: lambda c: not (48 <= c <= 57 or 65 <= c <= 90 or 97 <= c <= 122 or c == 95),
}


class _Automaton:
    """States are numbers. `steps[s]` is (test of a character, next state); `jumps[s]` are (condition, next state) taken
    without one. A condition is "" (always), "start" or "end" of the text."""

    def __init__(self, tree: Any) -> None:
        self.steps: dict[int, tuple[Callable[[int], bool], int]] = {}
        self.jumps: dict[int, list[tuple[str, int]]] = {}
        self.count = 0
        self.table: dict[tuple[frozenset[int], str], frozenset[int]] = {}
        first = self._state()
        self.fold = bool(tree.state.flags & re.IGNORECASE)
        self.final = self._sequence(tree, first)
        self.begin = self._closure({first}, at_start=True)
        self.again = self._closure({first}, at_start=False)

    def search(self, text: str) -> bool:
        current = self.begin
        for char in text:
            if self.final in current:
                return True
            following = self.table.get((current, char))
            if following is None:
                following = self._advance(current, char)
            current = following
        return self.final in self._closure(set(current), at_start=not text, at_end=True)

    def _advance(self, current: frozenset[int], char: str) -> frozenset[int]:
        number = ord(char)
        moved = {step[1] for state in current if (step := self.steps.get(state)) and step[0](number)}
        following = self._closure(moved, at_start=False) | self.again
        if len(self.table) >= MAX_TABLE:
            self.table.clear()
        self.table[current, char] = following
        return following

    def _closure(self, states: set[int], *, at_start: bool, at_end: bool = False) -> frozenset[int]:
        todo = list(states)
        while todo:
            for condition, target in self.jumps.get(todo.pop(), ()):
                allowed = not condition or (at_start if condition == "start" else at_end)
                if allowed and target not in states:
                    states.add(target)
                    todo.append(target)
        return frozenset(states)

    def _state(self) -> int:
        self.count += 1
        if self.count > MAX_STATES:
            raise PatternError(f"is too large: more than {MAX_STATES} states")
        return self.count

    def _jump(self, source: int, target: int, condition: str = "") -> None:
        self.jumps.setdefault(source, []).append((condition, target))

    def _sequence(self, tree: Any, state: int) -> int:
        for code, argument in tree:
            state = self._item(code, argument, state)
        return state

    def _item(self, code: Any, argument: Any, state: int) -> int:
        if code in (op.MAX_REPEAT, op.MIN_REPEAT):
            low, high, body = argument
            return self._repeat(low, high, body, state)
        if code is op.SUBPATTERN:
            return self._sequence(argument[3], state)
        if code is op.BRANCH:
            end = self._state()
            for branch in argument[1]:
                start = self._state()
                self._jump(state, start)
                self._jump(self._sequence(branch, start), end)
            return end
        end = self._state()
        if code is op.AT:
            if argument not in (op.AT_BEGINNING, op.AT_BEGINNING_STRING, op.AT_END, op.AT_END_STRING):
                raise PatternError("word boundaries are not supported in a pattern with several repetitions")
            self._jump(state, end, "start" if argument in (op.AT_BEGINNING, op.AT_BEGINNING_STRING) else "end")
        else:
            self.steps[state] = (self._test(code, argument), end)
        return end

    def _repeat(self, low: int, high: int, body: Any, state: int) -> int:
        for _ in range(low):
            state = self._sequence(body, state)
        if high is op.MAXREPEAT:
            loop, end = self._state(), self._state()
            self._jump(state, loop)
            self._jump(self._sequence(body, loop), loop)
            self._jump(loop, end)
            return end
        end = self._state()
        for _ in range(high - low):
            self._jump(state, end)
            start = self._state()
            self._jump(state, start)
            state = self._sequence(body, start)
        self._jump(state, end)
        return end

    def _test(self, code: Any, argument: Any) -> Callable[[int], bool]:
        exact = _exact(code, argument)
        if not self.fold:
            return exact
        return lambda c: exact(c) or exact(ord(chr(c).lower()[0])) or exact(ord(chr(c).upper()[0]))


def _exact(code: Any, argument: Any) -> Callable[[int], bool]:
    if code is op.LITERAL:
        return lambda c: bool(c == argument)
    if code is op.NOT_LITERAL:
        return lambda c: bool(c != argument)
    if code is op.ANY:
        return lambda c: c != 10
    if code is op.RANGE:
        low, high = argument
        return lambda c: bool(low <= c <= high)
    if code is op.CATEGORY:
        return _CATEGORIES[argument]
    if code is op.IN:
        negated = bool(argument) and argument[0][0] is op.NEGATE
        tests = [_exact(*part) for part in argument[negated:]]
        return lambda c: any(test(c) for test in tests) != negated
    raise PatternError(f"{code} is not supported in a pattern with several repetitions")
