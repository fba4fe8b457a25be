"""Microsoft Teams by a workflow's webhook: an adaptive card."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from styr.metrics.rules.fields import Fields, Secret, check_url
from styr.metrics.rules.notify.messages import Message, Texts
from styr.metrics.rules.notify.post import Access, check, post, read_access
from styr.metrics.rules.notify.receivers.base import Expander, read_secret

_MOST = 16_000
"""Characters of text; Teams refuses messages beyond 28 kB."""


@dataclass(frozen=True, slots=True)
class Teams:
    url: Secret
    access: Access
    title: str
    text: str
    send_resolved: bool = True
    kind: str = "msteamsv2"

    async def notify(self, message: Message, texts: Texts, timeout: float) -> None:
        expand = Expander(message, texts)
        url = read_secret(self.url, "webhook_url_file")
        check(await post(url, json.dumps(self.body(expand, message.status)).encode(), self.access, timeout))

    def body(self, expand: Expander, status: str) -> dict[str, Any]:
        title = {
            "type": "TextBlock",
            "text": expand(self.title, _MOST),
            "weight": "Bolder",
            "size": "Medium",
            "wrap": True,
            "style": "heading",
            "color": "Attention" if status == "firing" else "Good",
        }
        content = {
            "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
            "type": "AdaptiveCard",
            "version": "1.2",
            "body": [title, {"type": "TextBlock", "text": expand(self.text, _MOST), "wrap": True}],
            "msteams": {"width": "full"},
        }
        card = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": content}
        return {"type": "message", "attachments": [card]}


def read(data: object, path: str, access: Access) -> Teams:
    """Raises BadData."""
    fields = Fields.of(data, path)
    url = fields.secret("webhook_url")
    if url.value:
        check_url(url.value, fields.where("webhook_url"))
    config = fields.data.pop("http_config", None)
    teams = Teams(
        url,
        access if config is None else read_access(config, f"{path}.http_config"),
        fields.text("title", '{{ template "msteamsv2.default.title" . }}'),
        fields.text("text", '{{ template "msteamsv2.default.text" . }}'),
        fields.flag("send_resolved", True),
    )
    if not url:
        fields.data["webhook_url"] = None
    fields.end()
    return teams
