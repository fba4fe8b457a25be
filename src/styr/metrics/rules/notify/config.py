"""The notifier's configuration: Alertmanager's YAML in the parts that are honoured. Called by `process`, the check command
and tests. Reads the files that `templates` names; otherwise pure. Every error names the path of its field.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from glob import glob
from pathlib import Path
from typing import Any

import yaml

from styr.metrics.model.errors import BadData
from styr.metrics.rules.fields import Fields, Secret, check_url
from styr.metrics.rules.notify import inhibit, intervals
from styr.metrics.rules.notify.inhibit import Rule
from styr.metrics.rules.notify.intervals import Interval
from styr.metrics.rules.notify.messages import TemplateError, Texts
from styr.metrics.rules.notify.post import Access, read_access
from styr.metrics.rules.notify.receivers import discord, mail, matrix, slack, teams, webhook
from styr.metrics.rules.notify.receivers.base import Receiver
from styr.metrics.rules.notify.route import Route, Tree

MOST = 1 << 20
"""Bytes of configuration."""
Read = Callable[[object, str], Receiver]


@dataclass(frozen=True, slots=True)
class Config:
    """`receivers` by name, each with its integrations in the order of the file; `original` is the text as it was given, which
    the API shows. `resolve_timeout` in milliseconds."""

    route: Route
    receivers: Mapping[str, Sequence[Receiver]]
    inhibit_rules: Sequence[Rule] = ()
    intervals: Mapping[str, Sequence[Interval]] = field(default_factory=dict)
    texts: Texts = field(default_factory=Texts)
    resolve_timeout: int = 300_000
    original: str = ""


@dataclass(slots=True)
class _Globals:
    access: Access
    slack_url: Secret
    server: mail.Server
    sender: str

    def readers(self) -> dict[str, Read]:
        return {
            "webhook_configs": partial(webhook.read, access=self.access),
            "email_configs": partial(mail.read, server=self.server, sender=self.sender),
            "slack_configs": partial(slack.read, access=self.access, url=self.slack_url),
            "discord_configs": partial(discord.read, access=self.access),
            "msteamsv2_configs": partial(teams.read, access=self.access),
            "matrix_configs": partial(matrix.read, access=self.access),
        }


def parse(text: str, folder: Path = Path()) -> Config:
    """Relative names of template files are looked up from `folder`. Raises BadData."""
    if len(text) > MOST:
        raise BadData(f"a configuration of {len(text)} characters; at most {MOST}")
    if "*" in text and _aliased(text):
        raise BadData("anchors and aliases are not honoured in this configuration")
    try:
        data = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise BadData(f"not valid YAML: {str(error)[:500]}") from None
    return of_data(data, text, folder)


def _aliased(text: str) -> bool:
    """Aliases let a small text grow without bounds."""
    try:
        return any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, yaml.SafeLoader))
    except (yaml.YAMLError, RecursionError, ValueError):
        return False


def of_data(data: Any, original: str = "", folder: Path = Path()) -> Config:
    """From what YAML or JSON was read to. Raises BadData."""
    fields = Fields.of(data, "")
    if not fields.data:
        raise BadData("the configuration is empty; it needs at least a route and a receiver")
    shared = fields.inner("global")
    resolve = shared.duration("resolve_timeout", 300_000)
    globals_ = _globals(shared)
    texts = _texts(fields, folder)
    named = _intervals(fields)
    receivers = dict(_receiver(item, path, globals_, texts) for item, path in _distinct(fields.several("receivers")))
    route = Tree(receivers, named).read(fields.data.pop("route", None))
    rules = [inhibit.read(item, path) for item, path in fields.several("inhibit_rules")]
    fields.end()
    return Config(route, receivers, tuple(rules), named, texts, resolve, original)


def _globals(fields: Fields) -> _Globals:
    access = read_access(fields.data.pop("http_config", None), "global.http_config")
    url = fields.secret("slack_api_url")
    if url.value:
        check_url(url.value, "global.slack_api_url")
    sender = fields.text("smtp_from")
    server = mail.read_server(fields, "smtp_", mail.Server())
    fields.end()
    return _Globals(access, url, server, sender)


def _texts(fields: Fields, folder: Path) -> Texts:
    texts = Texts()
    for item, path in fields.several("templates"):
        if not isinstance(item, str):
            raise BadData(f"{path}: must be the name of a file")
        for name in sorted(glob(str(folder / item))):
            try:
                texts.add(Path(name).name, Path(name).read_text("utf-8"))
            except (TemplateError, OSError, UnicodeDecodeError) as error:
                raise BadData(f"{path}: {name}: {error}") from None
    return texts


def _intervals(fields: Fields) -> dict[str, list[Interval]]:
    named: dict[str, list[Interval]] = {}
    for item, path in [*fields.several("time_intervals"), *fields.several("mute_time_intervals")]:
        own = Fields.of(item, path)
        name = own.text("name")
        if not name or name in named:
            raise BadData(f"{path}.name: must be given, once")
        named[name] = [intervals.read(each, where) for each, where in own.several("time_intervals")]
        own.end()
    return named


def _distinct(items: list[tuple[Any, str]]) -> list[tuple[Any, str]]:
    seen = set()
    for item, path in items:
        name = item.get("name") if isinstance(item, Mapping) else None
        if not isinstance(name, str) or not name:
            raise BadData(f"{path}.name: a receiver must have a name")
        if name in seen:
            raise BadData(f"{path}.name: the receiver {name!r} is there twice")
        seen.add(name)
    return items


def _receiver(item: Any, path: str, globals_: _Globals, texts: Texts) -> tuple[str, list[Receiver]]:
    fields = Fields.of(item, path)
    name = fields.text("name")
    integrations: list[Receiver] = []
    for key, read in globals_.readers().items():
        for each, where in fields.several(key):
            _check_templates(each, where, texts)
            integrations.append(read(each, where))
    fields.end()
    return name, integrations


def _check_templates(data: Any, path: str, texts: Texts) -> None:
    """A template that does not parse would only be noticed when something fires."""
    if isinstance(data, Mapping):
        for name, value in data.items():
            _check_templates(value, f"{path}.{name}", texts)
    elif isinstance(data, list):
        for index, value in enumerate(data):
            _check_templates(value, f"{path}[{index}]", texts)
    elif isinstance(data, str):
        try:
            texts.check(data)
        except TemplateError as error:
            raise BadData(f"{path}: {error}") from None
