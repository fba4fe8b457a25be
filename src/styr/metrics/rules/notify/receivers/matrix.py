"""A room of a Matrix homeserver. The transaction id is made of the notification, so the server drops what it is sent twice."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from urllib.parse import quote

from styr.metrics.rules.fields import Fields, Secret, check_url
from styr.metrics.rules.notify.messages import Message, Texts
from styr.metrics.rules.notify.post import Access, check, post, read_access
from styr.metrics.rules.notify.receivers.base import Expander, read_secret

_MOST = 16_000


@dataclass(frozen=True, slots=True)
class Matrix:
    """`room` is an id (`!abc:example.org`)."""

    homeserver: str
    room: str
    token: Secret
    access: Access
    message: str = '{{ template "matrix.default.message" . }}'
    send_resolved: bool = True
    kind: str = "matrix"

    async def notify(self, message: Message, texts: Texts, timeout: float) -> None:
        body = json.dumps({"msgtype": "m.text", "body": Expander(message, texts)(self.message, _MOST)}).encode()
        told = sorted(f"{alert.fingerprint}{alert.resolved(message.now)}" for alert in message.alerts)
        transaction = hashlib.sha256(f"{message.group_key}{message.now}{told}".encode("utf-8", "replace")).hexdigest()[
            :32
        ]
        path = f"/_matrix/client/v3/rooms/{quote(self.room, safe='')}/send/m.room.message/{transaction}"
        token = read_secret(self.token, "access_token_file")
        headers = {"authorization": f"Bearer {token}"}
        answer = await post(
            self.homeserver.rstrip("/") + path, body, self.access, timeout, method="PUT", headers=headers
        )
        check(answer)


def read(data: object, path: str, access: Access) -> Matrix:
    """Raises BadData."""
    fields = Fields.of(data, path)
    homeserver, room, token = fields.text("homeserver_url"), fields.text("room_id"), fields.secret("access_token")
    config = fields.data.pop("http_config", None)
    matrix = Matrix(
        check_url(homeserver, fields.where("homeserver_url")),
        room,
        token,
        access if config is None else read_access(config, f"{path}.http_config"),
        fields.text("message", '{{ template "matrix.default.message" . }}'),
        fields.flag("send_resolved", True),
    )
    if not room or not token:
        fields.data["access_token" if room else "room_id"] = None
    fields.end()
    return matrix
