"""Any address that takes Alertmanager's webhook format, version 4."""

from __future__ import annotations

import json
from dataclasses import dataclass

from styr.metrics.rules.fields import Fields, Secret, check_url
from styr.metrics.rules.notify.messages import Message, Texts
from styr.metrics.rules.notify.post import Access, check, post, read_access
from styr.metrics.rules.notify.receivers.base import Expander, read_secret


@dataclass(frozen=True, slots=True)
class Webhook:
    """`max_alerts` 0: all. `timeout` in milliseconds, 0: the pipeline's."""

    url: Secret
    access: Access
    max_alerts: int = 0
    timeout: int = 0
    send_resolved: bool = True
    kind: str = "webhook"

    async def notify(self, message: Message, texts: Texts, timeout: float) -> None:
        url = Expander(message, texts)(read_secret(self.url, "url_file"))
        body = json.dumps(message.as_json(self.max_alerts), ensure_ascii=False).encode("utf-8", "replace")
        limit = min(timeout, self.timeout / 1000) if self.timeout else timeout
        check(await post(url, body, self.access, limit))


def read(data: object, path: str, access: Access) -> Webhook:
    """Raises BadData."""
    fields = Fields.of(data, path)
    url = fields.secret("url")
    if not url:
        fields.data = {"url": None}
        fields.end()
    if url.value:
        check_url(url.value, fields.where("url"))
    config = fields.data.pop("http_config", None)
    webhook = Webhook(
        url,
        access if config is None else read_access(config, f"{path}.http_config"),
        fields.whole("max_alerts"),
        fields.duration("timeout", 0),
        fields.flag("send_resolved", True),
    )
    fields.end()
    return webhook
