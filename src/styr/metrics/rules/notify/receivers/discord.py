"""Discord's webhooks: one embed, red while something fires and green when all is resolved."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from styr.metrics.rules.fields import Fields, Secret, check_url
from styr.metrics.rules.notify.messages import Message, Texts
from styr.metrics.rules.notify.post import Access, check, post, read_access
from styr.metrics.rules.notify.receivers.base import Expander, read_secret

RED, GREEN = 0x992D22, 0x2ECC71
_MOST_TITLE, _MOST_MESSAGE, _MOST_CONTENT = 256, 2000, 2000


@dataclass(frozen=True, slots=True)
class Discord:
    url: Secret
    access: Access
    title: str
    message: str
    content: str
    username: str = ""
    avatar_url: str = ""
    send_resolved: bool = True
    kind: str = "discord"

    async def notify(self, message: Message, texts: Texts, timeout: float) -> None:
        expand = Expander(message, texts)
        url = read_secret(self.url, "webhook_url_file")
        check(await post(url, json.dumps(self.body(expand, message.status)).encode(), self.access, timeout))

    def body(self, expand: Expander, status: str) -> dict[str, Any]:
        embed = {
            "title": expand(self.title, _MOST_TITLE),
            "description": expand(self.message, _MOST_MESSAGE),
            "color": RED if status == "firing" else GREEN,
        }
        around = {"username": self.username, "avatar_url": self.avatar_url}
        content = expand(self.content, _MOST_CONTENT)
        return {"content": content, "embeds": [embed], **{name: value for name, value in around.items() if value}}


def read(data: object, path: str, access: Access) -> Discord:
    """Raises BadData."""
    fields = Fields.of(data, path)
    url = fields.secret("webhook_url")
    if url.value:
        check_url(url.value, fields.where("webhook_url"))
    config = fields.data.pop("http_config", None)
    discord = Discord(
        url,
        access if config is None else read_access(config, f"{path}.http_config"),
        fields.text("title", '{{ template "discord.default.title" . }}'),
        fields.text("message", '{{ template "discord.default.message" . }}'),
        fields.text("content", '{{ template "discord.default.content" . }}'),
        fields.text("username"),
        fields.text("avatar_url"),
        fields.flag("send_resolved", True),
    )
    if not url:
        fields.data["webhook_url"] = None
    fields.end()
    return discord
