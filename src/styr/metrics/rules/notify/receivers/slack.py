"""Slack's incoming webhooks and what understands them (Mattermost, Rocket.Chat, Discord's /slack)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from styr.metrics.rules.fields import Fields, Secret, check_url
from styr.metrics.rules.notify.messages import Message, Texts
from styr.metrics.rules.notify.post import Access, NotSent, check, post, read_access
from styr.metrics.rules.notify.receivers.base import Expander, read_secret

_TEXTS: Mapping[str, str] = {
    "title": '{{ template "slack.default.title" . }}',
    "title_link": '{{ template "slack.default.titlelink" . }}',
    "pretext": '{{ template "slack.default.pretext" . }}',
    "text": '{{ template "slack.default.text" . }}',
    "fallback": '{{ template "slack.default.fallback" . }}',
    "footer": '{{ template "slack.default.footer" . }}',
    "color": '{{ template "slack.default.color" . }}',
    "image_url": "",
    "thumb_url": "",
}
_AROUND: Mapping[str, str] = {
    "channel": "",
    "username": '{{ template "slack.default.username" . }}',
    "icon_emoji": "",
    "icon_url": "",
}
_MOST_TITLE, _MOST_TEXT = 1024, 16_000


@dataclass(frozen=True, slots=True)
class Slack:
    """`attachment` and `around` are templates by the names of Slack's fields; `fields` have title, value and short."""

    url: Secret
    access: Access
    attachment: Mapping[str, str]
    around: Mapping[str, str]
    fields: Sequence[tuple[str, str, bool]] = ()
    send_resolved: bool = False
    kind: str = "slack"

    async def notify(self, message: Message, texts: Texts, timeout: float) -> None:
        expand = Expander(message, texts)
        url = read_secret(self.url, "api_url_file")
        body = json.dumps(self.body(expand)).encode()
        answer = await post(url, body, self.access, timeout)
        check(answer)
        self._check_said(answer.headers.get("content-type", ""), answer.body)

    def body(self, expand: Expander) -> dict[str, Any]:
        attachment: dict[str, Any] = {
            name: expand(text, _MOST_TITLE if name == "title" else _MOST_TEXT) for name, text in self.attachment.items()
        }
        attachment["mrkdwn_in"] = ["fallback", "pretext", "text"]
        if self.fields:
            attachment["fields"] = [
                {"title": expand(title), "value": expand(value), "short": short} for title, value, short in self.fields
            ]
        around = {name: value for name, text in self.around.items() if (value := expand(text))}
        return {**around, "attachments": [{name: value for name, value in attachment.items() if value}]}

    @staticmethod
    def _check_said(kind: str, body: bytes) -> None:
        """Slack's API answers 200 to what it refuses, and says so inside."""
        if kind.startswith("application/json"):
            try:
                said = json.loads(body)
            except ValueError:
                return
            if isinstance(said, dict) and said.get("ok") is False:
                raise NotSent(f"error response from Slack: {said.get('error')}", again=False)


def read(data: object, path: str, access: Access, url: Secret) -> Slack:
    """`url` is the configuration's global slack_api_url. Raises BadData."""
    fields = Fields.of(data, path)
    own = fields.secret("api_url", url)
    if own.value:
        check_url(own.value, fields.where("api_url"))
    config = fields.data.pop("http_config", None)
    attachment = {name: fields.text(name, default) for name, default in _TEXTS.items()}
    around = {name: fields.text(name, default) for name, default in _AROUND.items()}
    short = fields.flag("short_fields", False)
    listed = [_field(item, where, short) for item, where in fields.several("fields")]
    slack = Slack(
        own,
        access if config is None else read_access(config, f"{path}.http_config"),
        attachment,
        around,
        tuple(listed),
        fields.flag("send_resolved", False),
    )
    if not own:
        fields.data["api_url"] = None
    fields.end()
    return slack


def _field(data: object, path: str, short: bool) -> tuple[str, str, bool]:
    fields = Fields.of(data, path)
    read_ = (fields.text("title"), fields.text("value"), fields.flag("short", short))
    fields.end()
    return read_
