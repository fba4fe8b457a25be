"""Label and field selectors: the string syntax of queries and the object form inside specs.

Called by the API server (list, watch, delete collection) and by controllers. Format: Kubernetes' "Labels and Selectors"
(`a=b`, `a==b`, `a!=b`, `a in (x,y)`, `a notin (x)`, `a`, `!a`, joined by commas).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Operator = Literal["In", "NotIn", "Exists", "DoesNotExist"]


@dataclass(frozen=True, slots=True)
class Requirement:
    """One term. As in Kubernetes, NotIn is also met by an object that lacks the key."""

    key: str
    operator: Operator
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        present = self.key in labels
        if self.operator == "Exists":
            return present
        if self.operator == "DoesNotExist":
            return not present
        if self.operator == "In":
            return present and labels[self.key] in self.values
        return not present or labels[self.key] not in self.values


Selector = tuple[Requirement, ...]
"""All requirements must hold; the empty selector matches everything."""

_KEY = r"(?:[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_VALUE = r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?"
_EQUALS = re.compile(rf"({_KEY})\s*(==|=|!=)\s*({_VALUE})")
_SET = re.compile(rf"({_KEY})\s+(in|notin)\s*\(([^()]*)\)")
_EXISTS = re.compile(rf"(!?)\s*({_KEY})")
_IS_VALUE = re.compile(_VALUE)


class SelectorError(ValueError):
    """A selector that does not parse. The message quotes the term."""


def parse(text: str) -> Selector:
    """A selector from its query form. Raises `SelectorError`."""
    return tuple(_term(term.strip()) for term in _split(text) if term.strip())


def parse_fields(text: str) -> Selector:
    """`a=b`, `a==b`, `a!=b`, joined by commas; `\\` escapes a comma or an equals sign. Raises SelectorError."""
    terms: list[str] = [""]
    escaped = False
    for char in text:
        if escaped or char not in ",\\":
            terms[-1] += f"\\{char}" if escaped else char
            escaped = False
        elif char == ",":
            terms.append("")
        else:
            escaped = True
    found: list[Requirement] = []
    for term in filter(None, (term.strip() for term in terms)):
        key, operator, value = term.partition("!=") if "!=" in term else term.partition("=")
        if not operator:
            raise SelectorError(f"invalid field selector: {term!r}")
        value = value.removeprefix("=") if operator == "=" else value
        value = value.replace("\\,", ",").replace("\\=", "=").replace("\\\\", "\\").strip()
        found.append(Requirement(key.strip(), "NotIn" if operator == "!=" else "In", (value,)))
    return tuple(found)


def _split(text: str) -> list[str]:
    terms, depth, start = [], 0, 0
    for position, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if char == "," and depth == 0:
            terms.append(text[start:position])
            start = position + 1
    return [*terms, text[start:]]


def _term(term: str) -> Requirement:
    if match := _EQUALS.fullmatch(term):
        label, operator, value = match.groups()
        return Requirement(label, "NotIn" if operator == "!=" else "In", (value,))
    if match := _SET.fullmatch(term):
        label, operator, inner = match.groups()
        values = tuple(value.strip() for value in inner.split(","))
        if all(_IS_VALUE.fullmatch(value) for value in values):
            return Requirement(label, "In" if operator == "in" else "NotIn", values)
    elif match := _EXISTS.fullmatch(term):
        return Requirement(match[2], "DoesNotExist" if match[1] else "Exists")
    raise SelectorError(f"unable to parse requirement: {term!r}")


def matches(selector: Selector, labels: Mapping[str, str]) -> bool:
    return all(requirement.matches(labels) for requirement in selector)


def from_labels(labels: Mapping[str, str]) -> Selector:
    """The selector of a plain map, as `Service.spec.selector` has it."""
    return tuple(Requirement(key, "In", (value,)) for key, value in sorted(labels.items()))


def from_object(selector: Mapping[str, Any] | None) -> Selector:
    """A `LabelSelector` (matchLabels, matchExpressions). None matches nothing in Kubernetes; callers check for it."""
    if not selector:
        return ()
    terms = list(from_labels(selector.get("matchLabels") or {}))
    terms += [
        Requirement(expression["key"], expression["operator"], tuple(expression.get("values") or ()))
        for expression in selector.get("matchExpressions") or ()
    ]
    return tuple(terms)


def to_query(selector: Selector) -> str:
    """Back to the query form."""
    return ",".join(_to_term(requirement) for requirement in selector)


def _to_term(requirement: Requirement) -> str:
    key, values = requirement.key, requirement.values
    match requirement.operator:
        case "In":
            return f"{key}={values[0]}" if len(values) == 1 else f"{key} in ({','.join(values)})"
        case "NotIn":
            return f"{key}!={values[0]}" if len(values) == 1 else f"{key} notin ({','.join(values)})"
        case "Exists":
            return key
        case "DoesNotExist":
            return f"!{key}"
