"""Relabelling: rules that change, keep or drop label sets. Called by `target` (before the scrape), `resolve` (after
it) and `rules` through the process, for alerts. Pure.

Meaning of every action, template and default: Prometheus' model/relabel. Expressions are RE2's, anchored at both ends.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import re2

from styr.metrics.model.errors import BadData
from styr.metrics.model.labels import is_legacy_label_name, quote

ACTIONS = (
    *("replace", "keep", "drop", "keepequal", "dropequal", "hashmod"),
    *("labelmap", "labeldrop", "labelkeep", "lowercase", "uppercase"),
)
DEFAULT_REGEX, DEFAULT_REPLACEMENT, DEFAULT_SEPARATOR = "(.*)", "$1", ";"

LabelMap = MutableMapping[str, str]
Apply = Callable[[LabelMap], bool]

_VARIABLE = re.compile(r"\$(?:(\$)|(\w+)|\{(\w+)\})")
_LEGACY_TEMPLATE = re.compile(r"(?:(?:[a-zA-Z_]|\$(?:\{\w+\}|\w+))+\w*)+")


@dataclass(frozen=True)
class Rule:
    """One relabel_config. Raises BadData, saying which field and why, for what Prometheus refuses."""

    action: str = "replace"
    source_labels: tuple[str, ...] = ()
    separator: str = DEFAULT_SEPARATOR
    regex: str = DEFAULT_REGEX
    modulus: int = 0
    target_label: str = ""
    replacement: str = DEFAULT_REPLACEMENT
    legacy_names: bool = False
    apply: Apply = field(init=False, repr=False, compare=False, hash=False)
    """Changes the labels in place; False means that the label set is dropped."""

    def __post_init__(self) -> None:
        _validate(self)
        object.__setattr__(self, "apply", _MAKERS[self.action](self))

    def source(self, labels: LabelMap) -> str:
        return self.separator.join([labels.get(name, "") for name in self.source_labels])


def relabel(rules: Sequence[Rule], labels: LabelMap) -> bool:
    """Applies all rules in order, in place. False: dropped."""
    return all(rule.apply(labels) for rule in rules)


@lru_cache(maxsize=4096)
def _compile(pattern: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(f"^(?s:{pattern})$", options)
    except re2.error as error:
        reason = error.args[0].decode() if error.args and isinstance(error.args[0], bytes) else str(error)
        raise BadData(f"regex: invalid regular expression {quote(pattern)}: {reason}") from None


def _expander(template: str) -> Callable[[Any], str]:
    """Go's Regexp.Expand: `$1`, `${1}`, `$name`, `${name}`, `$$`; what is not there is empty."""
    if "$" not in template:
        return lambda _match: template
    parts: list[str | int] = []
    last = 0
    for found in _VARIABLE.finditer(template):
        parts.append(template[last : found.start()])
        parts.append("$" if found[1] else _group(found[2] or found[3]))
        last = found.end()
    parts.append(template[last:])

    def expand(match: Any) -> str:
        groups = match.groups()
        named = match.groupdict()
        return "".join(_value(part, match, groups, named) if isinstance(part, (int, _Name)) else part for part in parts)

    return expand


class _Name(str):
    """A part of a template that names a group."""

    __slots__ = ()


def _group(name: str) -> int | _Name:
    return int(name) if name.isdecimal() else _Name(name)


def _value(part: str | int, match: Any, groups: tuple[str | None, ...], named: dict[str, str | None]) -> str:
    if isinstance(part, int):
        found = match.group(0) if part == 0 else groups[part - 1] if part <= len(groups) else ""
    else:
        found = named.get(part)
    return found or ""


def _set(labels: LabelMap, name: str, value: str) -> None:
    if value:
        labels[name] = value
    else:
        labels.pop(name, None)


def _replace(rule: Rule) -> Apply:
    regex, target, replacement = _compile(rule.regex), rule.target_label, rule.replacement
    to_target, to_value = _expander(target), _expander(replacement)
    valid = is_legacy_label_name if rule.legacy_names else bool
    constant = rule.regex == DEFAULT_REGEX and "$" not in target and "$" not in replacement

    def apply(labels: LabelMap) -> bool:
        text = rule.source(labels)
        if constant and not text:
            _set(labels, target, replacement)
            return True
        match = regex.search(text)
        if match is not None and valid(name := to_target(match)):
            _set(labels, name, to_value(match))
        return True

    return apply


def _keep(rule: Rule) -> Apply:
    regex = _compile(rule.regex)
    return lambda labels: regex.search(rule.source(labels)) is not None


def _drop(rule: Rule) -> Apply:
    regex = _compile(rule.regex)
    return lambda labels: regex.search(rule.source(labels)) is None


def _keep_equal(rule: Rule) -> Apply:
    return lambda labels: labels.get(rule.target_label, "") == rule.source(labels)


def _drop_equal(rule: Rule) -> Apply:
    return lambda labels: labels.get(rule.target_label, "") != rule.source(labels)


def _setter(rule: Rule, change: Callable[[str], str]) -> Apply:
    def apply(labels: LabelMap) -> bool:
        _set(labels, rule.target_label, change(rule.source(labels)))
        return True

    return apply


def _hash_mod(rule: Rule) -> Apply:
    def change(text: str) -> str:
        digest = hashlib.md5(text.encode(), usedforsecurity=False).digest()
        return str(int.from_bytes(digest[8:], "big") % rule.modulus)

    return _setter(rule, change)


def _label_map(rule: Rule) -> Apply:
    regex, to_name = _compile(rule.regex), _expander(rule.replacement)

    def apply(labels: LabelMap) -> bool:
        for name, value in list(labels.items()):
            if (match := regex.search(name)) is not None:
                labels[to_name(match)] = value
        return True

    return apply


def _label_filter(rule: Rule, drop: bool) -> Apply:
    regex = _compile(rule.regex)

    def apply(labels: LabelMap) -> bool:
        for name in [name for name in labels if (regex.search(name) is not None) is drop]:
            del labels[name]
        return True

    return apply


def _each(text: str, change: Callable[[str], str]) -> str:
    """Letter by letter, as Go: a letter whose other case is two letters stays."""
    return "".join(new if len(new := change(char)) == 1 else char for char in text)


_MAKERS: dict[str, Callable[[Rule], Apply]] = {
    "replace": _replace,
    "keep": _keep,
    "drop": _drop,
    "keepequal": _keep_equal,
    "dropequal": _drop_equal,
    "hashmod": _hash_mod,
    "labelmap": _label_map,
    "labeldrop": lambda rule: _label_filter(rule, True),
    "labelkeep": lambda rule: _label_filter(rule, False),
    "lowercase": lambda rule: _setter(rule, lambda text: _each(text, str.lower)),
    "uppercase": lambda rule: _setter(rule, lambda text: _each(text, str.upper)),
}


def _validate(rule: Rule) -> None:
    """What Prometheus' Config.Validate refuses."""
    action, target = rule.action, rule.target_label
    if action not in ACTIONS:
        raise BadData(f"action: unknown relabel action {quote(action)}; one of {', '.join(ACTIONS)}")
    if action == "hashmod" and rule.modulus <= 0:
        raise BadData("modulus: hashmod needs one above 0")
    needs_target = action in ("replace", "hashmod", "lowercase", "uppercase", "keepequal", "dropequal")
    if needs_target and not target:
        raise BadData(f"target_label: {action} needs one")
    if needs_target and not _is_target(rule):
        raise BadData(f"target_label: {quote(target)} is no label name")
    if action == "labelmap" and not _is_template(rule, rule.replacement):
        raise BadData(f"replacement: {quote(rule.replacement)} is no label name")
    if action in ("lowercase", "uppercase") and rule.replacement != DEFAULT_REPLACEMENT:
        raise BadData(f"replacement: cannot be set for {action}")
    _validate_alone(rule)


def _is_target(rule: Rule) -> bool:
    if rule.action == "replace" and "$" in rule.target_label:
        return _is_template(rule, rule.target_label)
    return is_legacy_label_name(rule.target_label) if rule.legacy_names else True


def _is_template(rule: Rule, text: str) -> bool:
    return _LEGACY_TEMPLATE.fullmatch(text) is not None if rule.legacy_names else bool(text)


_ALONE = {
    "keepequal": (("regex", "modulus", "separator", "replacement"), "source_labels and target_label"),
    "dropequal": (("regex", "modulus", "separator", "replacement"), "source_labels and target_label"),
    "labeldrop": (("source_labels", "target_label", "modulus", "separator", "replacement"), "regex"),
    "labelkeep": (("source_labels", "target_label", "modulus", "separator", "replacement"), "regex"),
}
_DEFAULTS = {
    "source_labels": (),
    "target_label": "",
    "regex": DEFAULT_REGEX,
    "modulus": 0,
    "separator": DEFAULT_SEPARATOR,
    "replacement": DEFAULT_REPLACEMENT,
}


def _validate_alone(rule: Rule) -> None:
    others, allowed = _ALONE.get(rule.action, ((), ""))
    for name in others:
        if getattr(rule, name) != _DEFAULTS[name]:
            raise BadData(f"{name}: {rule.action} takes only {allowed}")
