"""Mail by SMTP, with STARTTLS or TLS and with authentication. smtplib blocks, so a message is sent in a thread of its own."""

from __future__ import annotations

import asyncio
import hashlib
import smtplib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, getaddresses

from styr.metrics.model.errors import BadData
from styr.metrics.rules.fields import Fields, Secret
from styr.metrics.rules.notify.messages import Message, Texts
from styr.metrics.rules.notify.post import NotSent
from styr.metrics.rules.notify.receivers.base import Expander, read_secret


@dataclass(frozen=True, slots=True)
class Server:
    """The smarthost. `tls` from the first byte (port 465) or, with `starttls`, before anything else is said."""

    host: str = ""
    port: int = 25
    hello: str = "localhost"
    username: str = ""
    password: Secret = field(default_factory=Secret)
    starttls: bool = True
    tls: bool = False
    ca_file: str = ""
    insecure: bool = False


@dataclass(frozen=True, slots=True)
class Mail:
    """`headers` are templates; subject, sender and recipients are among them or come from `to` and `sender`."""

    server: Server
    to: str
    sender: str
    headers: Mapping[str, str]
    text: str = '{{ template "email.default.text" . }}'
    html: str = ""
    send_resolved: bool = False
    kind: str = "email"

    async def notify(self, message: Message, texts: Texts, timeout: float) -> None:
        mail = self.mail(Expander(message, texts), message)
        password = read_secret(self.server.password, "auth_password_file") if self.server.username else ""
        await asyncio.to_thread(_send, self.server, password, mail, timeout)

    def mail(self, expand: Expander, message: Message) -> EmailMessage:
        mail = EmailMessage()
        wanted = {
            "Subject": '{{ template "email.default.subject" . }}',
            "From": self.sender,
            "To": self.to,
            **self.headers,
        }
        try:
            for name, text in wanted.items():
                mail[name] = " ".join(expand(text).split())
            mail["Date"] = format_datetime(datetime.fromtimestamp(message.now / 1000, UTC))
            digest = hashlib.sha256(f"{message.group_key}{message.now}{self.to}".encode("utf-8", "replace"))
            mail["Message-ID"] = f"<{digest.hexdigest()[:32]}@{self.server.hello}>"
            mail.set_content(expand(self.text))
            if self.html:
                mail.add_alternative(expand(self.html, html=True), subtype="html")
        except (MessageError, ValueError, IndexError) as error:
            raise NotSent(f"the mail cannot be composed: {error}", again=False) from None
        return mail


def _send(server: Server, password: str, mail: EmailMessage, timeout: float) -> None:
    """In a thread; the timeout is per step of the exchange."""
    peer = f"{server.host}:{server.port}"
    try:
        context = ssl.create_default_context(cafile=server.ca_file or None)
        if server.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if server.tls:
            connection: smtplib.SMTP = smtplib.SMTP_SSL(
                server.host, server.port, server.hello, timeout=timeout, context=context
            )
        else:
            connection = smtplib.SMTP(server.host, server.port, server.hello, timeout=timeout)
        with connection:
            if server.starttls and not server.tls:
                connection.starttls(context=context)
            if server.username:
                connection.login(server.username, password)
            recipients = [address for _, address in getaddresses([str(mail["To"])])]
            connection.send_message(mail, to_addrs=recipients)
    except smtplib.SMTPRecipientsRefused as error:
        again = any(400 <= code < 500 for code, _ in error.recipients.values())
        raise NotSent(f"{peer} refused the recipients: {sorted(error.recipients)}", again=again) from None
    except smtplib.SMTPResponseException as error:
        said = error.smtp_error.decode(errors="replace") if isinstance(error.smtp_error, bytes) else error.smtp_error
        raise NotSent(f"{peer} answered {error.smtp_code}: {said}", again=400 <= error.smtp_code < 500) from None
    except smtplib.SMTPNotSupportedError as error:
        raise NotSent(f"{peer}: {error}; set require_tls: false to do without", again=False) from None
    except ssl.SSLError as error:
        raise NotSent(f"{peer}: {error}", again=False) from None
    except (OSError, smtplib.SMTPException) as error:
        raise NotSent(f"{peer}: {error or type(error).__name__}", again=True) from None


def read_server(fields: Fields, prefix: str, default: Server) -> Server:
    """`smtp_smarthost` and so on of the global part, or the same of one receiver. Raises BadData."""
    host, port = default.host, default.port
    smarthost = fields.text(f"{prefix}smarthost")
    if smarthost:
        host, _, number = smarthost.rpartition(":")
        host = host.strip("[]")
        if not host or not number.isdigit() or not 0 < int(number) < 65536:
            raise BadData(f"{fields.where(prefix + 'smarthost')}: {smarthost!r} is no HOST:PORT")
        port = int(number)
    tls_config = fields.inner(f"{prefix}tls_config")
    server = Server(
        host,
        port,
        fields.text(f"{prefix}hello", default.hello),
        fields.text(f"{prefix}auth_username", default.username),
        fields.secret(f"{prefix}auth_password", default.password),
        fields.flag(f"{prefix}require_tls", default.starttls),
        fields.flag(f"{prefix}force_implicit_tls", port == 465),
        tls_config.text("ca_file", default.ca_file),
        tls_config.flag("insecure_skip_verify", default.insecure),
    )
    tls_config.end()
    return server


def read(data: object, path: str, server: Server, sender: str) -> Mail:
    """`server` and `sender` are the configuration's global ones. Raises BadData."""
    fields = Fields.of(data, path)
    to, own = fields.text("to"), fields.text("from", sender)
    mail = Mail(
        read_server(fields, "", server),
        to,
        own,
        {_header(name): text for name, text in fields.texts("headers").items()},
        fields.text("text", '{{ template "email.default.text" . }}'),
        fields.text("html", ""),
        fields.flag("send_resolved", False),
    )
    for name, value in (("to", to), ("from", own), ("smarthost", mail.server.host)):
        if not value:
            raise BadData(f"{path}.{name}: must be given, here or in global")
    if "{{" not in own:
        _check_address(own, f"{path}.from")
    fields.end()
    return mail


def _header(name: str) -> str:
    return "-".join(part.capitalize() for part in name.split("-"))


def _check_address(text: str, path: str) -> None:
    for _, address in getaddresses([text]):
        try:
            Address(addr_spec=address)
        except (ValueError, IndexError, MessageError):
            raise BadData(f"{path}: {text!r} is no mail address") from None
