"""The audit: who asked for what, when, and what came of it, one event a stage, as JSON of audit.k8s.io/v1.

Called by the server: `begin` when a request has been read, `end` with its answer. Asks `audit_policy` whether and how much;
hands lines to a sink (`audit_log`). A request that no rule concerns costs the look at the rules and nothing more.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from random import Random
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from styr.api import media, metadata
from styr.api.filters.asked import Asked
from styr.api.filters.audit_policy import METADATA, REQUEST, RESPONSE, Policy, Rule
from styr.kinds.errors import ApiError, Unauthorized
from styr.kinds.resources import Object
from styr.kinds.transport import Request, Response, User, Wire
from styr.kit.clock import Clock
from styr.kit.followed import Followed

MAX_BODY = 256 << 10
"""Bytes of one body; a larger one is left out, and an annotation says so."""
MAX_TEXT = 2048
REFUSALS = 10.0
_NOBODY = User("")
_REFUSED = Rule(METADATA, frozenset({"ResponseComplete"}), True)
_TRUNCATED = "audit.k8s.io/truncated"

Sink = Callable[[bytes], None]


class Audit:
    """`policy` is asked anew at each request: it may change."""

    def __init__(self, policy: Callable[[], Policy], sink: Sink, clock: Clock, random: Random) -> None:
        self._policy = policy
        self._sink = sink
        self._clock = clock
        self._random = random
        self._allowance, self._refilled = REFUSALS, clock.monotonic()
        self._unwritten = 0

    def begin(self, request: Request, user: User, asked: Asked) -> Event | None:
        """None for a request that is not written down."""
        rule = self._policy().rule(user, asked)
        if rule is None:
            return None
        given = request.headers.get("audit-id", "")
        known = given if given and len(given) <= 64 and given.isascii() and given.isprintable() else ""
        event = Event(
            self, rule, rule.for_request(asked), request, user, asked, known or metadata.new_uid(self._random)
        )
        event.write("RequestReceived")
        return event

    def refused(self, request: Request, asked: Asked) -> None:
        """A request that was answered 401 before it got here. So many may come that only REFUSALS a second are written; the
        next one says how many were not."""
        policy, now = self._policy(), self._clock.monotonic()
        rule = _REFUSED if policy.refusals else policy.rule(_NOBODY, asked)
        if rule is None:
            return
        self._allowance = min(REFUSALS, self._allowance + (now - self._refilled) * REFUSALS)
        self._refilled = now
        if self._allowance < 1:
            self._unwritten += 1
            return
        self._allowance -= 1
        if self._unwritten:
            request.annotations["styr.dev/not-written"], self._unwritten = str(self._unwritten), 0
        scheme = request.headers.get("authorization", "").partition(" ")[0].lower() or "x509"
        scheme = scheme if scheme in ("bearer", "basic", "x509") else "other"
        failure = Unauthorized(f"Authentication failed, attempted: {scheme}").to_status()
        event = Event(self, rule, METADATA, request, _NOBODY, asked, metadata.new_uid(self._random))
        event.end(Response(401, msgspec.json.encode(failure)))

    def now(self) -> str:
        moment = datetime.fromtimestamp(self._clock.time(), UTC)
        return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond:06d}Z"

    def take(self, event: Object) -> None:
        self._sink(msgspec.json.encode(event) + b"\n")


class Event:
    """One request, on its way through the stages. `acting` is set when it is impersonated."""

    def __init__(
        self, audit: Audit, rule: Rule, level: str, request: Request, user: User, asked: Asked, id: str
    ) -> None:
        self.acting: User | None = None
        self._audit = audit
        self._rule = rule
        self._level = level
        self._request = request
        self._user = user
        self._asked = asked
        self._id = id
        self._received = audit.now()

    def end(self, response: Response, *, broke: bool = False) -> Response:
        """Writes what came of it, or has it written when the last byte of a stream has gone. Returns the response to send."""
        response.headers["audit-id"] = self._id
        if broke:
            self.write("Panic", response)
        elif response.upgrade is not None:
            self.write("ResponseStarted", response)
            response.upgrade = self._told(response.upgrade, response)
        elif isinstance(response.body, bytes):
            self.write("ResponseComplete", response)
        else:
            if self._asked.lasts:
                self.write("ResponseStarted", response)
            response.body = _Told(response.body, lambda: self.write("ResponseComplete", response))
        return response

    def _told(
        self, upgrade: Callable[[Wire], Awaitable[None]], response: Response
    ) -> Callable[[Wire], Awaitable[None]]:
        async def run(wire: Wire) -> None:
            try:
                await upgrade(wire)
            finally:
                self.write("ResponseComplete", response)

        return run

    def write(self, stage: str, response: Response | None = None) -> None:
        if stage not in self._rule.stages:
            return
        asked, request, now = self._asked, self._request, self._audit.now()
        uri = quote(asked.path, errors="replace") + (
            f"?{urlencode(request.query, errors='replace')}" if request.query else ""
        )
        event: Object = {
            "kind": "Event",
            "apiVersion": "audit.k8s.io/v1",
            "level": self._level,
            "auditID": self._id,
            "stage": stage,
            "requestURI": uri[:MAX_TEXT],
            "verb": asked.verb,
            "user": _user(self._user),
        }
        if self.acting is not None:
            event["impersonatedUser"] = _user(self.acting)
        if request.peer:
            event["sourceIPs"] = [request.peer]
        if agent := request.headers.get("user-agent", ""):
            event["userAgent"] = agent[:MAX_TEXT]
        if asked.resource:
            event["objectRef"] = _reference(asked, response)
        if response is not None:
            event["responseStatus"] = _status(response)
            self._add_bodies(event, response)
        event["requestReceivedTimestamp"] = self._received
        event["stageTimestamp"] = now
        if response is not None and (notes := {**request.annotations, **dict(self._user.notes)}):
            event["annotations"] = notes
        self._audit.take(event)

    def _add_bodies(self, event: Object, response: Response) -> None:
        if self._level == METADATA or not self._asked.resource:
            return
        found: dict[str, Any] = {}
        body = self._request.body
        if self._level in (REQUEST, RESPONSE) and isinstance(body, bytes) and body:
            found["requestObject"] = self._shown(body, self._request.headers.get("content-type", ""))
        if self._level == RESPONSE and isinstance(response.body, bytes) and response.body:
            found["responseObject"] = self._shown(response.body, response.headers.get("content-type", ""))
        for name, value in found.items():
            if value is not None:
                event[name] = value
            else:
                self._request.annotations[_TRUNCATED] = "true"

    def _shown(self, body: bytes, content_type: str) -> Any:
        """The body as JSON; None when it is too large, or is none."""
        if len(body) > MAX_BODY:
            return None
        try:
            plain = content_type.partition(";")[0].strip()
            if not plain.endswith("json") and not media.is_protobuf(content_type):
                return None
            value = media.decode(body, content_type if media.is_protobuf(content_type) else "")
        except ApiError:
            return None
        if self._rule.bare and isinstance(value, dict):
            _bare(value)
        return value


class _Told:
    """A stream that says when it has ended, or was given up."""

    def __init__(self, source: AsyncIterator[bytes], ended: Callable[[], None]) -> None:
        self._source = source
        self._ended: Callable[[], None] | None = ended

    def __aiter__(self) -> _Told:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await anext(self._source)
        except BaseException:
            self._end()
            raise

    def _end(self) -> None:
        ended, self._ended = self._ended, None
        if ended is not None:
            ended()

    async def aclose(self) -> None:
        self._end()
        close = getattr(self._source, "aclose", None)
        if close is not None:
            await close()


def _user(user: User) -> Object:
    info: Object = {"username": user.name, "uid": user.uid, "groups": list(user.groups)}
    info["extra"] = {key: list(values) for key, values in user.extra}
    return {key: value for key, value in info.items() if value}


class _Meta(msgspec.Struct):
    name: str = ""
    namespace: str = ""
    uid: str = ""


class _Made(msgspec.Struct):
    metadata: _Meta


_made = msgspec.json.Decoder(_Made).decode


def _reference(asked: Asked, response: Response | None) -> Object:
    name, uid = asked.name, ""
    if asked.verb == "create" and response is not None and response.status == 201 and isinstance(response.body, bytes):
        try:
            found = _made(response.body).metadata
            name, uid = name or found.name, found.uid
        except msgspec.DecodeError:
            pass
    reference = {
        "resource": asked.resource,
        "namespace": asked.namespace,
        "name": name,
        "uid": uid,
        "apiGroup": asked.group,
        "apiVersion": asked.version,
        "subresource": asked.subresource,
    }
    return {key: value for key, value in reference.items() if value}


class _Failure(msgspec.Struct):
    message: str = ""
    reason: str = ""


_failure = msgspec.json.Decoder(_Failure).decode


def _status(response: Response) -> Object:
    status: Object = {"metadata": {}}
    if response.status >= 400 and isinstance(response.body, bytes):
        try:
            found = _failure(response.body)
            status |= {"status": "Failure", "message": found.message[:MAX_TEXT], "reason": found.reason}
        except msgspec.DecodeError:
            pass
    return {**status, "code": response.status}


def _bare(value: Object) -> None:
    """Without managedFields, of the object itself or of those in a list."""
    for obj in (value, *(value.get("items") or () if isinstance(value.get("items"), list) else ())):
        if isinstance(obj, dict) and isinstance(obj.get("metadata"), dict):
            obj["metadata"].pop("managedFields", None)


def follow(file: Followed[Policy]) -> Callable[[], Policy]:
    """What `Audit` is handed: what the file says now."""

    def policy() -> Policy:
        file.changed()
        return file.value

    return policy
