"""What goes wrong with an expression. Raised by every part of `cel`; caught by whoever compiles or evaluates.

CelError
  CompileError      the text: syntax or types; carries every issue with its place
  PlanError         a conversion of a constant that fails: `int('a')`
  EvaluationError   a value: no such key, overflow, ...; `&&` and `||` may absorb it
  CostExceeded      the budget is spent; nothing absorbs it
"""

from __future__ import annotations

from typing import NamedTuple

MAX_SNIPPET = 16_384


class Issue(NamedTuple):
    """`position` is an offset in the text, -1 when there is none."""

    position: int
    message: str


class CelError(Exception):
    """Anything below."""


class CompileError(CelError):
    """The text is no expression, or its types do not fit. `str()` is what cel-go prints, place and caret included."""

    def __init__(self, text: str, issues: list[Issue]) -> None:
        self.issues = sorted(issues, key=lambda issue: issue.position)
        super().__init__("\n".join(_display(text, issue) for issue in self.issues))


class PlanError(CelError):
    """The text is sound, and can have no value all the same. `names` are the variables that it speaks of."""

    names: frozenset[str] = frozenset()


class EvaluationError(CelError):
    """The expression has no value for these inputs. `cost` is what it took to find out."""

    cost: int = 1


class CostExceeded(CelError):
    """The evaluation took more than it may."""

    def __init__(self) -> None:
        super().__init__("operation cancelled: actual cost limit exceeded")


def no_overload(*_: object) -> EvaluationError:
    return EvaluationError("no such overload")


def _display(text: str, issue: Issue) -> str:
    if issue.position < 0:
        return f"ERROR: <input>:-1:0: {issue.message}"
    before = text[: issue.position]
    line = before.count("\n") + 1
    column = issue.position - (before.rfind("\n") + 1)
    shown = f"ERROR: <input>:{line}:{column + 1}: {issue.message}"
    snippet = text.split("\n")[line - 1].replace("\t", " ")
    if len(snippet) > MAX_SNIPPET:
        return shown
    marks = "".join("．" if ord(char) > 127 else "." for char in snippet[:column])
    caret = "＾" if ord(snippet[column : column + 1] or " ") > 127 else "^"
    return f"{shown}\n | {snippet}\n | {marks}{caret}"
