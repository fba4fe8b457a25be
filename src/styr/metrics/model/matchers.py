"""Label matchers: `=`, `!=`, `=~`, `!~`. Called by PromQL (which parses them), storage (which answers them) and relabelling.

Regular expressions are RE2's, as Prometheus', anchored at both ends and with `.` matching newlines: linear in time whatever the
pattern. An absent label has the value "", so `a=""` and `a!="x"` match series without `a`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

import re2

from styr.metrics.model.errors import BadData
from styr.metrics.model.labels import is_legacy_label_name, quote

Operator = Literal["=", "!=", "=~", "!~"]

_MAX_PATTERN = 16 << 10
"""Characters in a pattern. RE2 bounds its own memory; this bounds the error messages."""


@lru_cache(maxsize=4096)
def compile_regex(pattern: str) -> Callable[[str], bool]:
    """Full match, as Prometheus anchors. Raises BadData that quotes the pattern and RE2's reason."""
    if len(pattern) > _MAX_PATTERN:
        raise BadData(f"regular expression of {len(pattern)} characters; at most {_MAX_PATTERN}")
    options = re2.Options()
    options.log_errors = False
    try:
        compiled = re2.compile(f"^(?s:{pattern})$", options)
    except re2.error as error:
        reason = error.args[0].decode() if error.args and isinstance(error.args[0], bytes) else str(error)
        raise BadData(f"invalid regular expression {quote(pattern)}: {reason}") from None
    search = compiled.search
    return lambda value: search(value) is not None


@dataclass(frozen=True, slots=True)
class Matcher:
    """`Matcher("=~", "job", "api|web")`. Raises BadData for a pattern that RE2 refuses."""

    op: Operator
    name: str
    value: str
    _test: Callable[[str], bool] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        value = self.value
        if self.op == "=":
            test: Callable[[str], bool] = lambda v: v == value  # noqa: E731
        elif self.op == "!=":
            test = lambda v: v != value  # noqa: E731
        else:
            full = compile_regex(value)
            test = full if self.op == "=~" else lambda v: not full(v)
        object.__setattr__(self, "_test", test)

    def matches(self, value: str) -> bool:
        return self._test(value)

    @property
    def matches_empty(self) -> bool:
        """True when series without this label match."""
        return self._test("")

    def __str__(self) -> str:
        return f"{self.name if is_legacy_label_name(self.name) else quote(self.name)}{self.op}{quote(self.value)}"
