"""Matchers as Alertmanager's configuration, API and amtool write them: `severity="page"`, `{a=b, c=~"d.*"}`. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from styr.metrics.model.errors import BadData
from styr.metrics.model.labels import Labels, get, quote
from styr.metrics.model.matchers import Matcher, Operator

Matchers = tuple[Matcher, ...]

_NAME = r'(?:"(?:[^"\\]|\\.)*"|[^\s{}!=~,\\"\'`]+)'
_ONE = re.compile(
    rf'\s*(?P<name>{_NAME})\s*(?P<op>=~|!~|!=|=)\s*(?P<value>"(?:[^"\\]|\\.)*"|[^\s,{{}}"\'`]*(?:[^,{{}}"\'`]*[^\s,{{}}"\'`])?)\s*',
    re.DOTALL,
)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_MOST = 1 << 16


def parse(text: str) -> Matchers:
    """One matcher or several between braces. Raises BadData."""
    if len(text) > _MOST:
        raise BadData(f"matchers of {len(text)} characters; at most {_MOST}")
    inner = text.strip()
    if inner.startswith("{") != inner.endswith("}") or not inner:
        raise BadData(f"bad matcher format: {text[:200]}")
    if inner.startswith("{"):
        inner = inner[1:-1].strip()
    out: list[Matcher] = []
    at = 0
    while at < len(inner):
        found = _ONE.match(inner, at)
        if found is None or not found.group("name"):
            raise BadData(f"bad matcher format: {text[:200]}")
        operator: Operator = found.group("op")  # type: ignore[assignment]
        out.append(Matcher(operator, _unquote(found.group("name")), _unquote(found.group("value"))))
        at = found.end()
        if at < len(inner):
            if inner[at] != ",":
                raise BadData(f"bad matcher format: {text[:200]}")
            at += 1
    return tuple(out)


def _unquote(text: str) -> str:
    if not text.startswith('"'):
        return text
    return _ESCAPE.sub(lambda found: {"n": "\n"}.get(found.group(1), found.group(1)), text[1:-1])


def of_config(data: Mapping[str, Any], path: str, prefix: str = "") -> Matchers:
    """`matchers`, and the older `match` and `match_re` (in inhibition rules `source_match` and so on). Raises BadData."""
    out: list[Matcher] = []
    for key, operator in ((f"{prefix}match", "="), (f"{prefix}match_re", "=~")):
        old = data.get(key) or {}
        if not isinstance(old, Mapping):
            raise BadData(f"{path}.{key}: must be a map of names to values")
        for name, value in old.items():
            out.append(_made(operator, str(name), str(value), f"{path}.{key}.{name}"))
    listed = data.get(f"{prefix}matchers") or []
    if isinstance(listed, str):
        listed = [listed]
    if not isinstance(listed, list) or not all(isinstance(each, str) for each in listed):
        raise BadData(f'{path}.{prefix}matchers: must be a list of matchers, as [ severity="page" ]')
    for index, each in enumerate(listed):
        try:
            out += parse(each)
        except BadData as error:
            raise BadData(f"{path}.{prefix}matchers[{index}]: {error}") from None
    return tuple(sorted(out, key=lambda m: (m.name, m.value, m.op)))


def _made(operator: str, name: str, value: str, path: str) -> Matcher:
    try:
        return Matcher(operator, name, value)  # type: ignore[arg-type]
    except BadData as error:
        raise BadData(f"{path}: {error}") from None


def matches(matchers: Iterable[Matcher], labels: Labels) -> bool:
    """All of them; an absent label is ""."""
    return all(matcher.matches(get(labels, matcher.name)) for matcher in matchers)


def text(matchers: Iterable[Matcher]) -> str:
    """`{a="b",c=~"d"}`."""
    return "{" + ",".join(str(matcher) for matcher in matchers) + "}"


def as_json(matcher: Matcher) -> dict[str, Any]:
    """The API's shape."""
    return {
        "name": matcher.name,
        "value": matcher.value,
        "isRegex": matcher.op in ("=~", "!~"),
        "isEqual": matcher.op in ("=", "=~"),
    }


def of_json(data: Any) -> Matcher:
    """Raises BadData."""
    if not isinstance(data, Mapping) or not isinstance(data.get("name"), str) or not isinstance(data.get("value"), str):
        raise BadData("a matcher has name, value, isRegex and isEqual")
    if not data["name"]:
        raise BadData(f"a matcher without a name, for the value {quote(data['value'])}")
    regex, equal = data.get("isRegex", False), data.get("isEqual", True)
    operators: dict[tuple[bool, bool], Operator] = {
        (False, True): "=",
        (False, False): "!=",
        (True, True): "=~",
        (True, False): "!~",
    }
    return Matcher(operators[bool(regex), equal is not False], data["name"], data["value"])
