"""The JSONPath of Kubernetes' printer columns and scale paths. Called by `columns`; pure.

Supported: `.a.b`, `['a']`, `[0]`, `[-1]`, `[*]`, `.*`, `..` never, and one-comparison filters such as
`[?(@.type=="Ready")]`. Keys with dots are written `a\\.b`. A path that does not parse finds nothing, as a missing field.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

Step = Callable[[Any], list[Any]]
_TOKEN = re.compile(
    r"""\.?\[\?\(@(?P<left>[^()=!<>]*?)\s*(?P<op>==|!=)\s*(?P<right>"[^"]*"|'[^']*'|[^\s()"']+)\s*\)\]"""
    r"""|\.?\[\s*(?P<quoted>'[^']*'|"[^"]*")\s*\]"""
    r"""|\.?\[(?P<index>-?\d{1,9})\]"""
    r"""|(?P<star>\.?\[\*\]|\.\*)"""
    r"""|\.(?P<key>(?:\\.|[^.\[\]\\])+)"""
)
MAX_PATH = 1024


def find(path: str, obj: Any) -> list[Any]:
    """Every value at the path, in order."""
    values = [obj]
    for step in _compile(path):
        values = [found for value in values for found in step(value)]
    return values


@lru_cache(maxsize=1024)
def _compile(path: str) -> tuple[Step, ...]:
    text = path.strip().removeprefix("{").removesuffix("}").removeprefix("$")
    if text and text[0] not in ".[":
        text = "." + text
    steps: list[Step] = []
    position = 0
    while position < len(text) <= MAX_PATH:
        match = _TOKEN.match(text, position)
        if match is None or match.end() == position:
            return (_nothing,)
        steps.append(_step(match))
        position = match.end()
    return tuple(steps) if len(text) <= MAX_PATH else (_nothing,)


def _nothing(_: Any) -> list[Any]:
    return []


def _step(match: re.Match[str]) -> Step:
    if match["op"]:
        return _filter(match["left"], match["op"] == "==", match["right"])
    if match["index"]:
        number = int(match["index"])
        return lambda value: [value[number]] if isinstance(value, list) and -len(value) <= number < len(value) else []
    if match["star"]:
        return lambda value: list(
            value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        )
    key = match["quoted"][1:-1] if match["quoted"] else re.sub(r"\\(.)", r"\1", match["key"])
    return lambda value: [value[key]] if isinstance(value, dict) and key in value else []


def _filter(left: str, equal: bool, right: str) -> Step:
    if right[0] in "\"'":
        wanted: Any = right[1:-1]
    else:
        try:
            wanted = json.loads(right)
        except ValueError:
            wanted = right

    def keep(value: Any) -> list[Any]:
        if not isinstance(value, list):
            return []
        return [item for item in value if (found := find(left, item)) and (found[0] == wanted) is equal]

    return keep
