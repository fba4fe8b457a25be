"""The texts of notifications: Alertmanager's template data, functions, and defaults of our own under its names. Called by
receivers. Pure: the time comes in."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from typing import Any
from urllib.parse import unquote_plus
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from styr.metrics.model.labels import Labels
from styr.metrics.rules.notify.alert import Alert
from styr.metrics.rules.notify.grouping import FOREVER
from styr.metrics.rules.status import NEVER, moment
from styr.metrics.rules.templates.builtins import BUILTINS
from styr.metrics.rules.templates.execute import Executor
from styr.metrics.rules.templates.functions import compile_pattern, humanize_duration, replace_all, title
from styr.metrics.rules.templates.markup import Markup
from styr.metrics.rules.templates.nodes import Template
from styr.metrics.rules.templates.parser import Parser, TemplateError
from styr.metrics.rules.templates.printing import bounded
from styr.metrics.rules.templates.times import Duration, Time
from styr.metrics.rules.templates.values import ANY, CallFailed, Function, GoList, GoMap, Html, Struct, Url

DEFAULTS = """\
{{ define "__subject" }}[{{ .Status | toUpper }}{{ if eq .Status "firing" }}:{{ len .Alerts.Firing }}{{ end }}] \
{{ .GroupLabels.SortedPairs.Values | join " " }}\
{{ with (.CommonLabels.Remove .GroupLabels.Names).Values }} ({{ join " " . }}){{ end }}{{ end }}
{{ define "__link" }}{{ .ExternalURL }}/#/alerts?receiver={{ .Receiver | urlquery }}{{ end }}
{{ define "__one" }}{{ with .Annotations.summary }}{{ . }}
{{ else }}{{ with .Annotations.description }}{{ . }}
{{ end }}{{ end }}{{ range .Labels.SortedPairs }}  {{ .Name }} = {{ .Value }}
{{ end }}{{ range .Annotations.SortedPairs }}{{ if and (ne .Name "summary") .Value }}  {{ .Name }}: {{ .Value }}
{{ end }}{{ end }}  since {{ .StartsAt.Format "2006-01-02 15:04:05 MST" }}{{ with .GeneratorURL }}
  {{ . }}{{ end }}
{{ end }}
{{ define "__list" }}{{ with .Alerts.Firing }}Firing:
{{ range . }}{{ template "__one" . }}{{ end }}{{ end }}{{ with .Alerts.Resolved }}Resolved:
{{ range . }}{{ template "__one" . }}{{ end }}{{ end }}{{ end }}
{{ define "slack.default.title" }}{{ template "__subject" . }}{{ end }}
{{ define "slack.default.titlelink" }}{{ template "__link" . }}{{ end }}
{{ define "slack.default.username" }}Styr{{ end }}
{{ define "slack.default.fallback" }}{{ template "__subject" . }} | {{ template "__link" . }}{{ end }}
{{ define "slack.default.color" }}{{ if eq .Status "firing" }}danger{{ else }}good{{ end }}{{ end }}
{{ define "slack.default.text" }}{{ template "__list" . }}{{ end }}
{{ define "slack.default.pretext" }}{{ end }}{{ define "slack.default.footer" }}{{ end }}
{{ define "discord.default.title" }}{{ template "__subject" . }}{{ end }}
{{ define "discord.default.message" }}{{ template "__list" . }}{{ end }}
{{ define "discord.default.content" }}{{ end }}
{{ define "msteamsv2.default.title" }}{{ template "__subject" . }}{{ end }}
{{ define "msteamsv2.default.text" }}{{ template "__list" . }}{{ end }}
{{ define "matrix.default.message" }}{{ template "__subject" . }}
{{ template "__list" . }}{{ end }}
{{ define "email.default.subject" }}{{ template "__subject" . }}{{ end }}
{{ define "email.default.text" }}{{ template "__subject" . }}

{{ template "__list" . }}{{ template "__link" . }}
{{ end }}
{{ define "email.default.html" }}<!doctype html><html><body><h2>{{ template "__subject" . }}</h2>
<pre>{{ template "__list" . }}</pre><p><a href="{{ template "__link" . }}">All alerts</a></p></body></html>{{ end }}
"""


def _sorted_pairs(values: GoMap) -> GoList:
    """`alertname` first, then by name."""
    names = sorted(values, key=lambda name: (name != "alertname", name))
    pairs = (Struct("template.Pair", {"Name": name, "Value": values[name]}) for name in names)
    return GoList(pairs, "template.Pair", "template.Pairs", _PAIRS)


def _strings(values: Iterable[str]) -> GoList:
    return GoList(values, "string", "[]string", _STRINGS)


def _column(name: str) -> Callable[[GoList], GoList]:
    return lambda pairs: _strings(pair.fields[name] for pair in pairs)


def _pairs_text(pairs: GoList) -> str:
    return ", ".join(f"{pair.fields['Name']}={pair.fields['Value']}" for pair in pairs)


def _without(values: GoMap, names: Sequence[str]) -> GoMap:
    return pairs_of({name: value for name, value in values.items() if name not in names})


_STRINGS = {"Join": Function(lambda strings, separator: bounded(separator.join(strings)), ("string",))}
_PAIRS = {
    "Names": Function(_column("Name")),
    "Values": Function(_column("Value")),
    "String": Function(_pairs_text),
}
_KV = {
    "SortedPairs": Function(_sorted_pairs),
    "Remove": Function(_without, ("[]string",)),
    "Names": Function(lambda values: _column("Name")(_sorted_pairs(values))),
    "Values": Function(lambda values: _column("Value")(_sorted_pairs(values))),
    "String": Function(lambda values: _pairs_text(_sorted_pairs(values))),
}


def pairs_of(values: Labels | dict[str, str]) -> GoMap:
    return GoMap(values, "string", "template.KV", _KV)


def _with_status(status: str) -> Callable[[GoList], GoList]:
    return lambda alerts: _alerts([each for each in alerts if each.fields["Status"] == status])


def _alerts(items: Iterable[Struct]) -> GoList:
    return GoList(items, "template.Alert", "template.Alerts", _ALERTS)


_ALERTS = {"Firing": Function(_with_status("firing")), "Resolved": Function(_with_status("resolved"))}


def common(sets: Sequence[Labels]) -> Labels:
    """The pairs that all sets share."""
    shared = set(sets[0]) if sets else set()
    for each in sets[1:]:
        shared &= set(each)
    return tuple(sorted(shared))


@dataclass(frozen=True, slots=True)
class Message:
    """One notification's content; `now` in milliseconds, at which alerts count as firing or resolved."""

    receiver: str
    group_key: str
    group_labels: Labels
    alerts: Sequence[Alert]
    external_url: str
    now: int
    reason: str = ""

    @property
    def status(self) -> str:
        return "firing" if any(not alert.resolved(self.now) for alert in self.alerts) else "resolved"

    def as_json(self, most: int = 0) -> dict[str, Any]:
        """Alertmanager's webhook format, version 4; with `most`, further alerts are left out and counted."""
        shown = self.alerts[:most] if most else self.alerts
        return {
            "receiver": self.receiver,
            "status": self.status,
            "alerts": [self._alert(alert) for alert in shown],
            "groupLabels": dict(self.group_labels),
            "commonLabels": dict(common([alert.labels for alert in shown])),
            "commonAnnotations": dict(common([alert.annotations for alert in shown])),
            "externalURL": self.external_url,
            "version": "4",
            "groupKey": self.group_key,
            "truncatedAlerts": len(self.alerts) - len(shown),
        }

    def _alert(self, alert: Alert) -> dict[str, Any]:
        return {
            "status": "resolved" if alert.resolved(self.now) else "firing",
            "labels": dict(alert.labels),
            "annotations": dict(alert.annotations),
            "startsAt": moment(alert.starts_at),
            "endsAt": NEVER if alert.ends_at >= FOREVER else moment(alert.ends_at),
            "generatorURL": alert.generator_url,
            "fingerprint": alert.fingerprint,
        }

    def data(self) -> Struct:
        """What templates see."""
        fields: dict[str, Any] = {
            "Receiver": self.receiver,
            "Status": self.status,
            "Alerts": _alerts(map(self._struct, self.alerts)),
            "GroupLabels": pairs_of(self.group_labels),
            "CommonLabels": pairs_of(common([alert.labels for alert in self.alerts])),
            "CommonAnnotations": pairs_of(common([alert.annotations for alert in self.alerts])),
            "ExternalURL": self.external_url,
            "NotificationReason": self.reason,
            "GroupKey": self.group_key,
        }
        return Struct("template.Data", fields, pointer=True)

    def _struct(self, alert: Alert) -> Struct:
        never = -62_135_596_800_000
        fields = {
            "Status": "resolved" if alert.resolved(self.now) else "firing",
            "Labels": pairs_of(alert.labels),
            "Annotations": pairs_of(alert.annotations),
            "StartsAt": Time(alert.starts_at * 1_000_000),
            "EndsAt": Time((never if alert.ends_at >= FOREVER else alert.ends_at) * 1_000_000),
            "GeneratorURL": alert.generator_url,
            "Fingerprint": alert.fingerprint,
        }
        return Struct("template.Alert", fields)


def _zone(name: str, time: Time) -> Time:
    try:
        return Time(time.ns, ZoneInfo(name) if name not in ("", "UTC", "Local") else UTC)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise CallFailed(f"unknown time zone {name}") from None


def _json(value: Any) -> str:
    return bounded(json.dumps(_plain(value, 0), ensure_ascii=False, separators=(",", ":")))


def _plain(value: Any, depth: int) -> Any:
    if depth > 20:
        raise CallFailed("nested too deeply for JSON")
    if isinstance(value, Struct):
        if isinstance(value, Time):
            return moment(value.ns // 1_000_000)
        return {name: _plain(each, depth + 1) for name, each in value.fields.items()}
    if isinstance(value, dict):
        return {name: _plain(each, depth + 1) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain(each, depth + 1) for each in value]
    return value if isinstance(value, (str, int, float, bool)) or value is None else str(value)


def _dict(*values: Any) -> GoMap:
    if len(values) % 2:
        raise CallFailed("dict requires an even number of arguments")
    if not all(isinstance(name, str) for name in values[::2]):
        raise CallFailed("dict keys must be strings")
    return GoMap(dict(zip(values[::2], values[1::2], strict=True)), ANY)


def _decode(text: str) -> str:
    try:
        return base64.urlsafe_b64decode(text).decode("utf-8", "replace")
    except (binascii.Error, ValueError) as error:
        raise CallFailed(f"illegal base64 data: {error}") from None


def _functions(now: int) -> dict[str, Function]:
    return {
        **_PURE,
        "now": Function(lambda: Time(now * 1_000_000)),
        "since": Function(lambda time: Duration(now * 1_000_000 - time.ns), ("time.Time",)),
    }


_PURE = {
    "toUpper": Function(str.upper, ("string",)),
    "toLower": Function(str.lower, ("string",)),
    "title": Function(lambda text: title(text.lower()), ("string",)),
    "trimSpace": Function(str.strip, ("string",)),
    "join": Function(lambda separator, strings: bounded(separator.join(strings)), ("string", "[]string")),
    "match": Function(lambda pattern, text: compile_pattern(pattern).search(text) is not None, ("string", "string")),
    "safeHtml": Function(Html, ("string",)),
    "safeUrl": Function(Url, ("string",)),
    "urlUnescape": Function(unquote_plus, ("string",)),
    "reReplaceAll": Function(replace_all, ("string", "string", "string")),
    "stringSlice": Function(lambda *strings: _strings(strings), (), "string"),
    "date": Function(lambda form, time: time.methods["Format"].call(time, form), ("string", "time.Time")),
    "tz": Function(_zone, ("string", "time.Time")),
    "humanizeDuration": Function(humanize_duration, (ANY,)),
    "toJson": Function(_json, (ANY,)),
    "base64encode": Function(lambda text: base64.urlsafe_b64encode(text.encode()).decode(), ("string",)),
    "base64decode": Function(_decode, ("string",)),
    "list": Function(lambda *items: GoList(items), (), ANY),
    "append": Function(lambda items, *more: GoList([*items, *more]), ("[]interface {}",), ANY),
    "dict": Function(_dict, (), ANY),
}
_ESCAPERS = {
    "html": Function(lambda *values: Html(BUILTINS["html"].call(*values)), (), ANY),
    "urlquery": Function(lambda *values: Url(BUILTINS["urlquery"].call(*values)), (), ANY),
}
"""In HTML: what they made is not escaped again."""
_KNOWN = BUILTINS.keys() | _functions(0).keys()


@dataclass(slots=True)
class Texts:
    """The default templates and those of the configuration's files, over which templates of receivers are expanded."""

    _base: Template = field(default_factory=lambda: Parser("default.tmpl", DEFAULTS, _KNOWN).parse())

    def add(self, name: str, text: str) -> None:
        """A file with further definitions, which win over the defaults. Raises TemplateError."""
        own = Parser(name, text, _KNOWN).parse()
        for each, body in own.bodies.items():
            self._base.bodies[each] = body
            self._base.sources[each] = own

    def check(self, text: str) -> None:
        """Raises TemplateError for what is no template."""
        if "{{" in text:
            Parser("", text, _KNOWN).parse()

    def expand(self, text: str, message: Message, *, html: bool = False) -> str:
        """With `html`, what a message carries is escaped for the place where it is shown. Raises TemplateError."""
        if "{{" not in text:
            return text
        own = Parser("", text, _KNOWN).parse()
        for each, body in self._base.bodies.items():
            if each not in own.bodies:
                own.bodies[each] = body
                own.sources[each] = self._base.sources.get(each, self._base)
        calls = _functions(message.now)
        if html:
            return Executor(own, {**calls, **_ESCAPERS}, markup=Markup()).run(message.data())
        return Executor(own, calls).run(message.data())


__all__ = ["Message", "TemplateError", "Texts", "common"]
