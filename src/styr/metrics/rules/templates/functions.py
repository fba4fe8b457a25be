"""Prometheus' functions for alert templates. Called by the package's entry points. Pure but for `query`, which asks
PromQL.

Meanings are those of Prometheus 3.14 (template/template.go and prometheus/common/helpers/templates).
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote_plus, urlsplit

import re2

from styr.metrics.model.errors import BadData, MetricsError
from styr.metrics.model.labels import Labels, quote
from styr.metrics.promql.numbers import parse_duration
from styr.metrics.rules.evaluate import Vector
from styr.metrics.rules.links import graph_link, table_link
from styr.metrics.rules.templates.numbers import format_float
from styr.metrics.rules.templates.printing import MOST_OUTPUT, bounded
from styr.metrics.rules.templates.times import Duration, Time
from styr.metrics.rules.templates.values import ANY, CallFailed, Function, GoList, GoMap, Html, Struct, type_name

SAMPLE, RESULT = "*template.sample", "template.queryResult"
Query = Callable[[str], Vector]


def to_float(value: Any) -> float:
    if isinstance(value, (float, int)) and not isinstance(value, bool):
        return float(value)
    if type(value) is str:
        return _parse_float(value)
    if isinstance(value, Duration) and not value.pointer:
        return value.ns / 1e9
    raise CallFailed(f"can't convert {type_name(value)} to float")


_SPECIAL = {"inf": math.inf, "infinity": math.inf, "nan": math.nan}


def _parse_float(text: str) -> float:
    plain = text.lower().lstrip("+-")
    if plain in _SPECIAL and len(text) - len(plain) <= 1:
        return -_SPECIAL[plain] if text.startswith("-") else _SPECIAL[plain]
    fault = f"strconv.ParseFloat: parsing {quote(text)}: invalid syntax"
    try:
        if "_" in text or text != text.strip() or not text.isascii():
            raise ValueError
        value = float.fromhex(text) if "x" in plain and "p" in plain else float(text)
    except (ValueError, OverflowError):
        raise CallFailed(fault) from None
    if math.isinf(value):
        raise CallFailed(f"strconv.ParseFloat: parsing {quote(text)}: value out of range")
    return value


def _humanize(value: Any) -> str:
    number_ = to_float(value)
    if number_ == 0 or not math.isfinite(number_):
        return g4(number_)
    if abs(number_) >= 1:
        return _scaled(number_, ("k", "M", "G", "T", "P", "E", "Z", "Y"), 1000)
    return _small(number_, "")


def _small(number_: float, unit: str) -> str:
    prefix = ""
    for each in ("m", "u", "n", "p", "f", "a", "z", "y"):
        if abs(number_) >= 1:
            break
        prefix, number_ = each, number_ * 1000
    return f"{g4(number_)}{prefix}{unit}"


def _scaled(number_: float, prefixes: tuple[str, ...], base: int) -> str:
    prefix = ""
    for each in prefixes:
        if abs(number_) < base:
            break
        prefix, number_ = each, number_ / base
    return f"{g4(number_)}{prefix}"


def _humanize1024(value: Any) -> str:
    number_ = to_float(value)
    if abs(number_) <= 1 or not math.isfinite(number_):
        return g4(number_)
    return _scaled(number_, ("ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"), 1024)


def humanize_duration(value: Any) -> str:
    seconds = to_float(value)
    if not math.isfinite(seconds):
        return g4(seconds)
    if seconds == 0:
        return f"{g4(seconds)}s"
    if abs(seconds) < 1:
        return _small(seconds, "s")
    sign, seconds = ("-" if seconds < 0 else ""), abs(seconds)
    whole = int(seconds) if seconds < 2**63 else -(2**63)
    days, hours, minutes, rest = whole // 86_400, whole // 3600 % 24, whole // 60 % 60, whole % 60
    if days:
        return f"{sign}{days}d {hours}h {minutes}m {rest}s"
    if hours:
        return f"{sign}{hours}h {minutes}m {rest}s"
    return f"{sign}{minutes}m {rest}s" if minutes else f"{sign}{g4(seconds)}s"


def g4(value: float) -> str:
    """%.4g."""
    return format_float(value, "g", 4)


def _to_ns(seconds: float) -> int:
    nanos = seconds * 1e9
    if not -(2**63) <= nanos < 2**63:
        shown = format_float(seconds, "g")
        raise CallFailed(f"{shown} cannot be represented as a nanoseconds timestamp since it overflows int64")
    return int(nanos) // 1_000_000 * 1_000_000 if nanos >= 0 else -(-int(nanos) // 1_000_000 * 1_000_000)


def humanize_timestamp(value: Any) -> str:
    seconds = to_float(value)
    if not math.isfinite(seconds):
        return g4(seconds)
    return str(Time(_to_ns(seconds)).shown())  # type: ignore[misc]


def _to_time(value: Any) -> Time:
    seconds = to_float(value)
    if not math.isfinite(seconds):
        raise CallFailed("value is NaN or Inf")
    return Time(_to_ns(seconds), pointer=True)


def _to_duration(value: Any) -> Duration:
    nanos = to_float(value) * 1e9
    return Duration(int(nanos) if abs(nanos) < 2**63 else -(2**63), pointer=True)


def compile_pattern(pattern: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0].decode() if error.args and isinstance(error.args[0], bytes) else str(error)
        what, _, fragment = reason.partition(": ")
        raise CallFailed(f"error parsing regexp: {_REASONS.get(what, what)}: `{fragment}`") from None


_REASONS = {
    "missing )": "missing closing )",
    "missing ]": "missing closing ]",
    "no argument for repetition operator": "missing argument to repetition operator",
    "bad repetition operator": "invalid nested repetition operator",
    "invalid repetition size": "invalid repeat count",
    "invalid perl operator": "invalid or unsupported Perl syntax",
}
"""RE2's words, and those of Go's regexp for the same."""


_REFERENCE = re.compile(r"\$(?:\$|(\w+)|\{(\w+)\})", re.ASCII)


def replace_all(pattern: str, replacement: str, text: str) -> str:
    """Go's ReplaceAllString, with $1 and ${name}; the result is bounded, whatever pattern and replacement do."""
    try:
        compiled = compile_pattern(pattern)
    except CallFailed as error:
        raise CallFailed(f"regexp: Compile(`{pattern}`): {error}") from None
    names = compiled.groupindex
    out: list[str] = []
    size = at = 0
    for found in compiled.finditer(text):
        start, end = found.span()
        if start == end == at and out:
            continue  # no empty match right after another one

        def group(reference: re.Match[str], found: Any = found) -> str:
            name = reference.group(1) or reference.group(2)
            if name is None:
                return "$"
            index = int(name) if name.isdigit() else names.get(name, -1)
            return (found.group(index) or "") if 0 <= index <= compiled.groups else ""

        piece = text[at:start] + _REFERENCE.sub(group, replacement)
        size += len(piece)
        if size > MOST_OUTPUT:
            raise CallFailed(f"more than {MOST_OUTPUT} characters of output")
        out.append(piece)
        at = end
    out.append(text[at:])
    return bounded("".join(out))


_WORD = re.compile(r"\w+(?:['’.:·]\w+)*")


def title(text: str) -> str:
    """Every word's first letter in title case, the others as they are."""

    def word(found: re.Match[str]) -> str:
        chars = list(found.group())
        for place, char in enumerate(chars):
            if char.isalpha():
                chars[place] = char.title()
                break
        return "".join(chars)

    return _WORD.sub(word, text)


def split_host_port(text: str) -> tuple[str, str] | None:
    """Go's net.SplitHostPort; None for its errors."""
    host, colon, port = text.rpartition(":")
    if not colon:
        return None
    if host.startswith("["):
        inner = host[1:-1]
        return (inner, port) if host.endswith("]") and "[" not in inner and "]" not in inner else None
    return None if ":" in host or "[" in text or "]" in text else (host, port)


def _strip_port(text: str) -> str:
    split = split_host_port(text)
    return text if split is None else split[0]


def _strip_domain(text: str) -> str:
    host, port = split_host_port(text) or (text, "")
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        host = host.split(".")[0]
        return (f"[{host}]:{port}" if ":" in host else f"{host}:{port}") if port else host
    return text


def _parse_duration(text: str) -> float:
    try:
        return -parse_duration(text[1:]) / 1000 if text.startswith("-") else parse_duration(text) / 1000
    except BadData as error:
        raise CallFailed(str(error)) from None


def sample(labels: Labels, value: Any) -> Struct:
    fields = {"Labels": GoMap(labels), "Value": value}
    return Struct("template.sample", fields, frozenset({"Value"}), pointer=True)


def _first(result: GoList) -> Any:
    if not result:
        raise CallFailed("first() called on vector with no elements")
    return result[0]


def _field_of(name: str) -> Callable[[Any], Any]:
    def get(of: Any) -> Any:
        if of is None:
            raise CallFailed("runtime error: invalid memory address or nil pointer dereference")
        return of.fields[name]

    return get


def _sort(label: str, result: GoList) -> GoList:
    result.sort(key=lambda each: each.fields["Labels"].get(label, ""))
    return result


def _asking(query: Query | None) -> Callable[[str], GoList]:
    def ask(expr: str) -> GoList:
        if query is None:
            raise CallFailed("no queries here")
        try:
            result = query(expr)
        except MetricsError as error:
            raise CallFailed(str(error)) from None
        return GoList((sample(labels, value) for labels, value in result), SAMPLE, RESULT)

    return ask


_value, _labels = _field_of("Value"), _field_of("Labels")


def functions(now_ms: int, external_url: str, query: Query | None) -> dict[str, Function]:
    """Those of Prometheus; `query` is None where templates are only parsed."""
    return {
        **_PURE,
        "query": Function(_asking(query), ("string",)),
        "now": Function(lambda: now_ms / 1000),
        "pathPrefix": Function(lambda: urlsplit(external_url).path),
        "externalURL": Function(lambda: external_url),
    }


_PURE: dict[str, Function] = {
    "first": Function(_first, (RESULT,)),
    "label": Function(lambda name, of: _labels(of).get(name, ""), ("string", SAMPLE)),
    "value": Function(_value, (SAMPLE,)),
    "strvalue": Function(lambda of: _labels(of).get("__value__", ""), (SAMPLE,)),
    "args": Function(lambda *args: GoMap({f"arg{i}": arg for i, arg in enumerate(args)}, ANY), (), ANY),
    "reReplaceAll": Function(replace_all, ("string", "string", "string")),
    "safeHtml": Function(Html, ("string",)),
    "match": Function(lambda pattern, text: compile_pattern(pattern).search(text) is not None, ("string", "string")),
    "title": Function(title, ("string",)),
    "toUpper": Function(lambda text: text.upper(), ("string",)),
    "toLower": Function(lambda text: text.lower(), ("string",)),
    "graphLink": Function(graph_link, ("string",)),
    "tableLink": Function(table_link, ("string",)),
    "sortByLabel": Function(_sort, ("string", RESULT)),
    "stripPort": Function(_strip_port, ("string",)),
    "stripDomain": Function(_strip_domain, ("string",)),
    "humanize": Function(_humanize, (ANY,)),
    "humanize1024": Function(_humanize1024, (ANY,)),
    "humanizeDuration": Function(humanize_duration, (ANY,)),
    "humanizePercentage": Function(lambda value: f"{g4(to_float(value) * 100)}%", (ANY,)),
    "humanizeTimestamp": Function(humanize_timestamp, (ANY,)),
    "toTime": Function(_to_time, (ANY,)),
    "toDuration": Function(_to_duration, (ANY,)),
    "parseDuration": Function(_parse_duration, ("string",)),
    "urlQueryEscape": Function(lambda text: quote_plus(text, safe="~"), ("string",)),
}
NAMES = frozenset(functions(0, "", None))
