"""Receivers against peers on loopback that answer, refuse, hang, lie and hang up; what they send, and that secrets stay
secret."""

from __future__ import annotations

import asyncio
import email
from email.message import Message as Mail
from pathlib import Path
from typing import Any

import pytest

from styr.metrics.model.errors import BadData
from styr.metrics.rules.notify.alert import Alert
from styr.metrics.rules.notify.config import of_data
from styr.metrics.rules.notify.messages import Message, Texts
from styr.metrics.rules.notify.post import NotSent
from styr.metrics.rules.notify.receivers.base import Receiver
from tests.metrics.rules.notify.kit import EPOCH, Peer, alert

NOW = EPOCH * 1000 + 60_000
FIRING = Alert(
    (("alertname", "Down"), ("instance", "a"), ("job", "x")),
    (("summary", "it is <down>"),),
    EPOCH * 1000,
    1 << 62,
    EPOCH * 1000,
    "http://g/graph",
)
GONE = alert("Down", -100, 30, instance="b", job="x")
MESSAGE = Message("team", '{}:{alertname="Down"}', (("alertname", "Down"),), (FIRING, GONE), "http://styr", NOW, "new")


def receiver(kind: str, **fields: Any) -> Receiver:
    more = fields.pop("top", {})
    data = {"route": {"receiver": "r"}, "receivers": [{"name": "r", kind: [fields]}], **more}
    return of_data(data).receivers["r"][0]


async def told(peer: Peer, kind: str, **fields: Any) -> Any:
    await receiver(kind, **fields).notify(MESSAGE, Texts(), 5.0)
    return peer.requests[-1][2]


async def test_webhook() -> None:
    async with Peer() as peer:
        sent = await told(peer, "webhook_configs", url=f"{peer.url}/hook?x=1")
        line, headers, _ = peer.requests[0]
        assert line == "POST /hook?x=1 HTTP/1.1"
        assert headers["content-type"] == "application/json"
        assert {name: value for name, value in sent.items() if name != "alerts"} == {
            "receiver": "team",
            "status": "firing",
            "groupLabels": {"alertname": "Down"},
            "commonLabels": {"alertname": "Down", "job": "x"},
            "commonAnnotations": {},
            "externalURL": "http://styr",
            "version": "4",
            "groupKey": '{}:{alertname="Down"}',
            "truncatedAlerts": 0,
        }
        assert sent["alerts"][0] == {
            "status": "firing",
            "labels": dict(FIRING.labels),
            "annotations": {"summary": "it is <down>"},
            "startsAt": "2027-01-15T08:00:00Z",
            "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "http://g/graph",
            "fingerprint": FIRING.fingerprint,
        }
        assert [each["status"] for each in sent["alerts"]] == ["firing", "resolved"]
        cut = await told(peer, "webhook_configs", url=peer.url, max_alerts=1)
        assert (len(cut["alerts"]), cut["truncatedAlerts"]) == (1, 1)


async def test_slack() -> None:
    async with Peer() as peer:
        sent = await told(
            peer,
            "slack_configs",
            api_url=peer.url,
            channel="#ops",
            fields=[{"title": "n", "value": "{{ len .Alerts }}"}],
        )
        assert (sent["channel"], sent["username"]) == ("#ops", "Styr")
        (shown,) = sent["attachments"]
        assert shown["title"] == "[FIRING:1] Down (x)"
        assert shown["color"] == "danger"
        assert shown["fields"] == [{"title": "n", "value": "2", "short": False}]
        assert "it is <down>" in shown["text"]
        assert shown["title_link"] == "http://styr/#/alerts?receiver=team"
        peer.body = b'{"ok": false, "error": "channel_not_found"}'
        with pytest.raises(NotSent, match="channel_not_found") as raised:
            await told(peer, "slack_configs", api_url=peer.url)
        assert not raised.value.again


async def test_discord_teams_and_matrix() -> None:
    async with Peer() as peer:
        sent = await told(peer, "discord_configs", webhook_url=peer.url, message="{{ .Status }}" + "y" * 3000)
        assert sent["embeds"][0]["title"] == "[FIRING:1] Down (x)"
        assert len(sent["embeds"][0]["description"]) == 2000
        assert sent["embeds"][0]["color"] == 0x992D22
        sent = await told(peer, "msteamsv2_configs", webhook_url=peer.url)
        card = sent["attachments"][0]["content"]
        assert card["body"][0]["text"] == "[FIRING:1] Down (x)"
        assert card["type"] == "AdaptiveCard"
        matrix = {"homeserver_url": peer.url, "room_id": "!r:x", "access_token": "s3cret"}
        await told(peer, "matrix_configs", **matrix)
        await told(peer, "matrix_configs", **matrix)
        (one, headers, sent), (two, _, _) = peer.requests[-2:]
        assert one == two
        assert one.startswith("PUT /_matrix/client/v3/rooms/%21r%3Ax/send/m.room.message/")
        assert headers["authorization"] == "Bearer s3cret"
        assert sent["msgtype"] == "m.text"


async def test_secrets_and_credentials_come_from_files_anew_each_time(tmp_path: Path) -> None:
    async with Peer() as peer:
        (tmp_path / "url").write_text(f"{peer.url}/one\n")
        (tmp_path / "password").write_text("pw\n")
        basic = {"basic_auth": {"username": "me", "password_file": str(tmp_path / "password")}}
        hook = receiver("webhook_configs", url_file=str(tmp_path / "url"), http_config=basic)
        await hook.notify(MESSAGE, Texts(), 5.0)
        (tmp_path / "url").write_text(f"{peer.url}/two")
        await hook.notify(MESSAGE, Texts(), 5.0)
        assert [line.split()[1] for line, _, _ in peer.requests] == ["/one", "/two"]
        assert peer.requests[0][1]["authorization"] == "Basic bWU6cHc="
        (tmp_path / "url").unlink()
        with pytest.raises(NotSent, match="url_file cannot be read") as raised:
            await hook.notify(MESSAGE, Texts(), 5.0)
        assert raised.value.again


@pytest.mark.parametrize(
    ("answer", "again", "said"),
    [
        (500, True, "unexpected status code 500: ok"),
        (503, True, "503"),
        (429, True, "429"),
        (400, False, "400"),
        (404, False, "404"),
        (302, False, "302"),
        ("close", True, "closed the connection"),
        ("garbage", True, "no valid HTTP"),
        ("hang", True, "no whole response within"),
    ],
)
async def test_peers_that_misbehave(answer: Any, again: bool, said: str) -> None:
    async with Peer(script=[answer]) as peer:
        hook = receiver("webhook_configs", url=f"{peer.url}/secret-token")
        with pytest.raises(NotSent, match=said) as raised:
            await hook.notify(MESSAGE, Texts(), 0.3)
        assert raised.value.again is again
        assert "secret-token" not in str(raised.value)


async def test_nobody_listens() -> None:
    async with Peer() as peer:
        url = peer.url
    with pytest.raises(NotSent) as raised:
        await receiver("webhook_configs", url=url).notify(MESSAGE, Texts(), 1.0)
    assert raised.value.again


async def test_a_template_that_fails_is_not_tried_again() -> None:
    async with Peer() as peer:
        with pytest.raises(NotSent, match="expanding a template failed") as raised:
            await told(peer, "discord_configs", webhook_url=peer.url, title="{{ index .Alerts 9 }}")
        assert not raised.value.again
        assert peer.requests == []


class Smtp:
    """A mail server of few words. `refuse` maps a command to the answer that it gets instead."""

    def __init__(self, refuse: dict[str, str] | None = None, hangs: bool = False) -> None:
        self.refuse, self.hangs = refuse or {}, hangs
        self.mails: list[Mail] = []
        self.lines: list[str] = []

    async def __aenter__(self) -> Smtp:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.hangs:
            await reader.read()
            writer.close()
            return
        writer.write(b"220 here\r\n")
        while line := (await reader.readline()).decode().strip():
            self.lines.append(line)
            word = line.split()[0].upper()
            if word in self.refuse:
                writer.write(self.refuse[word].encode() + b"\r\n")
            elif word == "EHLO":
                writer.write(b"250-here\r\n250 AUTH PLAIN\r\n")
            elif word == "DATA":
                writer.write(b"354 go on\r\n")
                raw = await reader.readuntil(b"\r\n.\r\n")
                self.mails.append(email.message_from_bytes(raw[:-5]))
                writer.write(b"250 taken\r\n")
            elif word == "AUTH":
                writer.write(b"235 welcome\r\n")
            elif word == "QUIT":
                writer.write(b"221 bye\r\n")
                break
            else:
                writer.write(b"250 fine\r\n")
        writer.close()


def mail(port: int, **fields: Any) -> Receiver:
    base = {
        "to": "Ops <ops@x.org>, two@x.org",
        "from": "styr@x.org",
        "smarthost": f"127.0.0.1:{port}",
        "require_tls": False,
    }
    return receiver("email_configs", **{**base, **fields})


async def test_mail() -> None:
    async with Smtp() as smtp:
        headers = {"X-Job": "{{ .CommonLabels.job }}"}
        html = '{{ template "email.default.html" . }}'
        await mail(smtp.port, auth_username="me", auth_password="pw", headers=headers, html=html).notify(
            MESSAGE, Texts(), 5
        )
        (got,) = smtp.mails
        assert got["Subject"] == "[FIRING:1] Down (x)"
        assert got["X-Job"] == "x"
        assert got["From"] == "styr@x.org"
        assert [line for line in smtp.lines if line.startswith("rcpt")] == [
            "rcpt TO:<ops@x.org>",
            "rcpt TO:<two@x.org>",
        ]
        assert any(line.startswith("AUTH PLAIN") for line in smtp.lines)
        text, html_part = (part.get_payload(decode=True).decode() for part in got.get_payload())  # type: ignore[union-attr]
        assert "it is <down>" in text
        assert html_part.startswith("<!doctype html>")


async def test_what_an_alert_carries_is_no_markup() -> None:
    evil = '"><script>alert(1)</script>'
    labels = (("alertname", evil), ("x", "<b>"))
    hostile = Alert(labels, (("summary", evil), ("url", "javascript:x")), EPOCH * 1000, 1 << 62, EPOCH * 1000, evil)
    message = Message(evil, "k", labels, (hostile,), "javascript:alert(1)//", NOW)
    html = '{{ template "email.default.html" . }}<a href="{{ .CommonAnnotations.url }}" title={{ .Receiver }}>{{ .Status }}'
    async with Smtp() as smtp:
        await mail(smtp.port, html=html).notify(message, Texts(), 5)
    text, shown = (part.get_payload(decode=True).decode() for part in smtp.mails[0].get_payload())  # type: ignore[union-attr]
    assert evil in text
    assert "<script" not in shown
    assert "<b>" not in shown
    assert '<a href="#ZgotmplZ/#/alerts?receiver=%22%3E%3Cscript%3Ealert%281%29%3C%2Fscript%3E">' in shown
    escaped = "&#34;&gt;&lt;script&gt;alert(1)&lt;/script&gt;"
    assert shown.rstrip().endswith(f'<a href="#ZgotmplZ" title={escaped}>firing')


async def test_mail_headers_cannot_be_injected() -> None:
    async with Smtp() as smtp:
        evil = Alert((("alertname", "A\r\nBcc: evil@x.org"),), (), EPOCH * 1000, 1 << 62, EPOCH * 1000)
        message = Message("t", "k", evil.labels, (evil,), "", NOW)
        await mail(smtp.port).notify(message, Texts(), 5)
        assert smtp.mails[0]["Bcc"] is None
        assert not [line for line in smtp.lines if "evil" in line and line.startswith("rcpt")]


@pytest.mark.parametrize(
    ("refuse", "again"),
    [
        ({"MAIL": "550 no"}, False),
        ({"MAIL": "451 later"}, True),
        ({"RCPT": "550 nobody"}, False),
        ({"RCPT": "450 later"}, True),
        ({"DATA": "554 no"}, False),
        ({"AUTH": "535 wrong password"}, False),
    ],
)
async def test_mail_refused(refuse: dict[str, str], again: bool) -> None:
    async with Smtp(refuse) as smtp:
        with pytest.raises(NotSent) as raised:
            await mail(smtp.port, auth_username="me", auth_password="s3cret").notify(MESSAGE, Texts(), 5)
        assert raised.value.again is again
        assert "s3cret" not in str(raised.value)


async def test_mail_without_starttls_where_it_is_required() -> None:
    async with Smtp() as smtp:
        with pytest.raises(NotSent, match="require_tls") as raised:
            await mail(smtp.port, require_tls=True).notify(MESSAGE, Texts(), 5)
        assert not raised.value.again


async def test_a_mail_server_that_hangs() -> None:
    async with Smtp(hangs=True) as smtp:
        with pytest.raises(NotSent, match="timed out") as raised:
            await mail(smtp.port).notify(MESSAGE, Texts(), 0.3)
        assert raised.value.again


def test_secrets_are_not_shown() -> None:
    shown = repr(
        receiver("webhook_configs", url="http://x/secret", http_config={"authorization": {"credentials": "pw123"}})
    )
    assert "secret" not in shown.replace("Secret", "")
    assert "pw123" not in shown


@pytest.mark.parametrize(
    ("kind", "fields", "said"),
    [
        ("webhook_configs", {}, "receivers[0].webhook_configs[0].url"),
        ("webhook_configs", {"url": "ftp://x"}, "webhook_configs[0].url: 'ftp://x' is no address"),
        ("webhook_configs", {"url": "http://x", "url_file": "f"}, "at most one of url and url_file"),
        ("webhook_configs", {"url": "http://x", "nope": 1}, "webhook_configs[0].nope: unknown or not honoured"),
        ("webhook_configs", {"url": "http://x", "max_alerts": -1}, "max_alerts: must be a whole number"),
        ("webhook_configs", {"url": "http://x", "timeout": "soon"}, "webhook_configs[0].timeout: "),
        ("webhook_configs", {"url": "http://x", "send_resolved": "yes"}, "send_resolved: must be true or false"),
        ("webhook_configs", {"url": "http://x", "http_config": {"proxy_url": "x"}}, "http_config.proxy_url"),
        (
            "webhook_configs",
            {"url": "http://x/{{ nope }}"},
            'webhook_configs[0].url: template: :1: function "nope" not defined',
        ),
        ("slack_configs", {}, "slack_configs[0].api_url"),
        ("discord_configs", {}, "discord_configs[0].webhook_url"),
        ("msteamsv2_configs", {}, "msteamsv2_configs[0].webhook_url"),
        ("matrix_configs", {"homeserver_url": "http://x"}, "matrix_configs[0].room_id"),
        ("email_configs", {"from": "a@b"}, "email_configs[0].to: must be given"),
        ("email_configs", {"from": "a@b", "to": "c@d"}, "email_configs[0].smarthost: must be given"),
        ("email_configs", {"from": "a b@", "to": "c@d", "smarthost": "x:25"}, "email_configs[0].from"),
        ("email_configs", {"from": "a@b", "to": "c@d", "smarthost": "x"}, "smarthost: 'x' is no HOST:PORT"),
        ("pagerduty_configs", {}, "pagerduty_configs: unknown or not honoured"),
    ],
)
def test_wrong_configurations_name_their_field(kind: str, fields: dict[str, Any], said: str) -> None:
    with pytest.raises(BadData) as raised:
        receiver(kind, **fields)
    assert said in str(raised.value)
