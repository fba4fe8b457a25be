"""One label set: a tuple of (name, value) pairs, sorted by name, no empty values. Called by every room; pure.

A tuple is hashable, compares as Prometheus orders series (pairwise, name before value) and costs nothing to share. Many label
sets at once are a `model.frame.LabelFrame`, which is columns of integers instead.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

Labels = tuple[tuple[str, str], ...]

METRIC_NAME = "__name__"
EMPTY: Labels = ()

_LEGACY_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LEGACY_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


def make(pairs: Mapping[str, str] | Iterable[tuple[str, str]]) -> Labels:
    """Sorted by code points, which is the order of the UTF-8 bytes; empty values, which mean "not there", go."""
    items = pairs.items() if isinstance(pairs, Mapping) else pairs
    return tuple(sorted((name, value) for name, value in items if value))


def get(labels: Labels, name: str) -> str:
    """The value, "" when it is not there."""
    for key, value in labels:
        if key == name:
            return value
    return ""


def without(labels: Labels, *names: str) -> Labels:
    return tuple(pair for pair in labels if pair[0] not in names)


def is_legacy_metric_name(name: str) -> bool:
    """Usable in PromQL and exposition without quotes."""
    return _LEGACY_METRIC.fullmatch(name) is not None


def is_legacy_label_name(name: str) -> bool:
    return _LEGACY_LABEL.fullmatch(name) is not None


def quote(value: str) -> str:
    """As Go's strconv.Quote for what label values hold: a double-quoted literal that PromQL reads back."""
    out = []
    for char in value:
        if char in '"\\':
            out.append("\\" + char)
        elif char in _ESCAPES:
            out.append(_ESCAPES[char])
        elif char < " " or char == "\x7f":
            out.append(f"\\x{ord(char):02x}")
        elif char.isprintable() or char == " ":
            out.append(char)
        elif "\udc80" <= char <= "\udcff":  # a byte that is no UTF-8, kept by "surrogateescape"
            out.append(f"\\x{ord(char) - 0xDC00:02x}")
        else:
            out.append(f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}")
    return '"' + "".join(out) + '"'


def set_text(labels: Labels) -> str:
    """`{__name__="name", a="b"}`: the metric's name as one label of many, as Prometheus' errors show series."""
    pairs = (f"{name if is_legacy_label_name(name) else quote(name)}={quote(value)}" for name, value in labels)
    return "{" + ", ".join(pairs) + "}"


_ESCAPES = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}


def text(labels: Labels) -> str:
    """`name{a="b", c="d"}` as Prometheus prints a series; names that are no legacy names stand quoted inside the braces."""
    name = get(labels, METRIC_NAME)
    rest = [
        f"{key if is_legacy_label_name(key) else quote(key)}={quote(value)}"
        for key, value in labels
        if key != METRIC_NAME
    ]
    if name and not is_legacy_metric_name(name):
        rest.insert(0, quote(name))
        name = ""
    return name + ("{" + ", ".join(rest) + "}" if rest or not name else "")
