"""`matches`, `find`, `findAll`: RE2 itself, whose matching is linear in the text whatever the pattern. Imported late: most
servers never meet a pattern."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from styr.cel.errors import EvaluationError
from styr.cel.functions import Functions, member
from styr.cel.types import INT, STRING, list_of

MAX_PATTERN = 10_000


@lru_cache(maxsize=512)
def compiled(pattern: str) -> Any:
    """RE2's own object. Raises EvaluationError."""
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        if len(pattern) > MAX_PATTERN:
            raise re2.error("pattern too large")
        return re2.compile(pattern, options)
    except re2.error as error:
        text = error.args[0] if error.args else ""
        shown = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
        raise EvaluationError(f"error parsing regexp: {shown}: `{pattern}`") from None


def matches(text: str, pattern: str) -> bool:
    return compiled(pattern).search(text) is not None


def _find(text: str, pattern: str) -> str:
    found = compiled(pattern).search(text)
    return str(found.group()) if found else ""


def _find_all(text: str, pattern: str, limit: int = -1) -> list[str]:
    found: list[str] = []
    if limit == 0:
        return found
    last = -1
    for match in compiled(pattern).finditer(text):
        if match.start() == match.end() == last:
            continue  # Go takes no empty match right behind another one
        found.append(match.group())
        last = match.end()
        if len(found) == limit:
            break
    return found


FUNCTIONS: Functions = {
    "find": (member("string_find_string", (STRING, STRING), STRING, _find),),
    "findAll": (
        member("string_find_all_string", (STRING, STRING), list_of(STRING), _find_all),
        member("string_find_all_string_int", (STRING, STRING, INT), list_of(STRING), _find_all),
    ),
}
