"""Go's text/template with Prometheus' functions: labels and annotations of alerts, and the notifier's messages.

Called by `groups` (which checks), `evaluation` (which expands) and `notify`. `lexer` and `parser` make a tree,
`execute` walks it within bounds on steps, output and depth; `values` and `printing` are Go's types and fmt. Errors are
texts, never exceptions that could stop an evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from styr.metrics.model.labels import Labels
from styr.metrics.rules.evaluate import Value
from styr.metrics.rules.templates.builtins import BUILTINS
from styr.metrics.rules.templates.execute import Executor
from styr.metrics.rules.templates.functions import NAMES, Query, functions
from styr.metrics.rules.templates.nodes import Template
from styr.metrics.rules.templates.parser import Parser, TemplateError
from styr.metrics.rules.templates.values import Function, GoMap, Struct

__all__ = ["AlertData", "TemplateError", "alert_template", "check", "expand", "expand_alert"]

_KNOWN = NAMES | BUILTINS.keys()
_DEFINITIONS = (
    "{{$labels := .Labels}}{{$externalLabels := .ExternalLabels}}{{$externalURL := .ExternalURL}}{{$value := .Value}}"
)
_TYPE = "struct { Labels map[string]string; ExternalLabels map[string]string; ExternalURL string; Value interface {} }"


@dataclass(frozen=True, slots=True)
class AlertData:
    """What an alert's templates can say: `$labels`, `$value`, `$externalLabels`, `$externalURL`."""

    labels: Labels
    value: Value
    external_labels: Labels = ()
    external_url: str = ""


def alert_template(text: str) -> str:
    """The text with the variables in front that Prometheus puts there; messages count columns from them."""
    return _DEFINITIONS + text


@lru_cache(maxsize=4096)
def _parsed(text: str, name: str) -> Template | str:
    """The template, or the message why it is none."""
    try:
        return Parser(name, text, _KNOWN).parse()
    except (TemplateError, RecursionError) as error:
        return str(error)


def check(text: str, name: str) -> str:
    """Why a text is no template, "" when it is one."""
    parsed = _parsed(text, name)
    return parsed if isinstance(parsed, str) else ""


def expand(text: str, name: str, data: object, calls: Mapping[str, Function]) -> str:
    """One text with data. Raises TemplateError."""
    parsed = _parsed(text, name)
    if isinstance(parsed, str):
        raise TemplateError(f"error parsing template {name}: {parsed}")
    try:
        return Executor(parsed, calls).run(data)
    except TemplateError as error:
        raise TemplateError(f"error executing template {name}: {error}") from None


def expand_alert(text: str, alert: str, data: AlertData, now: int, query: Query | None) -> str:
    """A label's or annotation's text for one result; `now` in milliseconds. An error becomes the text, as in
    Prometheus."""
    if "{{" not in text:
        return text
    fields = {
        "Labels": GoMap(data.labels),
        "ExternalLabels": GoMap(data.external_labels),
        "ExternalURL": data.external_url,
        "Value": data.value,
    }
    root = Struct(_TYPE, fields, frozenset({"Value"}))
    try:
        return expand(alert_template(text), f"__alert_{alert}", root, functions(now, data.external_url, query))
    except TemplateError as error:
        return f"<error expanding template: {error}>"
