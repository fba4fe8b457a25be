"""Alertmanager's API v2 over the embedded notifier, so that amtool, Grafana and karma work against it. Mounted by `web`; calls
`notifier` and `listing`.

Alerts in and out, groups, silences, receivers, status. Every change is on the disk before it is confirmed.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from styr.kinds.transport import Request, Response
from styr.metrics.model.errors import BadData, MetricsError, NotFoundError
from styr.metrics.model.labels import make
from styr.metrics.rules.notify import matchers as matching
from styr.metrics.rules.notify.alert import Alert
from styr.metrics.rules.notify.listing import Listing, silence_json, sorted_silences
from styr.metrics.rules.notify.notifier import Notifier
from styr.metrics.rules.notify.silences import Silence
from styr.metrics.rules.status import moment
from styr.version import __version__

MOST_BODY = 8 << 20
PREFIX = "/api/v2"
_Answer = Awaitable[Any]


@dataclass(slots=True)
class Api:
    """A `kinds.transport.Handler`. `prefix` is where it is mounted, in front of /api/v2."""

    notifier: Notifier
    prefix: str = ""

    async def __call__(self, request: Request, /) -> Response:
        path = request.path.removeprefix(self.prefix)
        if path in ("/-/healthy", "/-/ready") and request.method in ("GET", "HEAD"):
            return Response(200, b"OK", {"content-type": "text/plain"})
        found = self._route(path.removeprefix(PREFIX) if path.startswith(PREFIX + "/") else "", request)
        if isinstance(found, Response):
            return found
        try:
            return _json(200, await found(request))
        except NotFoundError as error:
            return _json(404, str(error))
        except BadData as error:
            return _json(400, str(error))
        except MetricsError as error:
            return _json(500, str(error))

    def _route(self, path: str, request: Request) -> Callable[[Request], _Answer] | Response:
        routes: dict[str, dict[str, Callable[[Request], _Answer]]] = {
            "/status": {"GET": self._status},
            "/receivers": {"GET": self._receivers},
            "/alerts": {"GET": self._alerts, "POST": self._post_alerts},
            "/alerts/groups": {"GET": self._groups},
            "/silences": {"GET": self._silences, "POST": self._post_silence},
        }
        methods = routes.get(path.rstrip("/"))
        if methods is None and path.startswith("/silence/") and len(path) > len("/silence/"):
            methods = {"GET": self._silence, "DELETE": self._expire}
        if methods is None:
            return _json(404, {"code": 404, "message": f"path {request.path} was not found"})
        found = methods.get(request.method)
        if found is None:
            return _json(405, {"code": 405, "message": f"method {request.method} is not allowed"})
        return found

    async def _status(self, request: Request) -> Any:
        return {
            "cluster": {"status": "disabled", "peers": []},
            "versionInfo": {
                "version": __version__,
                "revision": "",
                "branch": "",
                "buildUser": "",
                "buildDate": "",
                "goVersion": "",
            },
            "config": {"original": self.notifier.config.original},
            "uptime": moment(self.notifier.started_at),
        }

    async def _receivers(self, request: Request) -> Any:
        return [{"name": name} for name in self.notifier.config.receivers]

    async def _alerts(self, request: Request) -> Any:
        return Listing.of(self.notifier, request).alerts()

    async def _groups(self, request: Request) -> Any:
        return Listing.of(self.notifier, request).groups()

    async def _post_alerts(self, request: Request) -> Any:
        data = await _body(request)
        if not isinstance(data, list):
            raise BadData("the body must be a list of alerts")
        now = self.notifier.now()
        resolve = self.notifier.config.resolve_timeout
        good, faults = [], []
        for index, each in enumerate(data):
            try:
                good.append(_alert(each, now, resolve))
            except BadData as error:
                faults.append(f"[{index}]: {error}")
        self.notifier.receive(good)
        if faults:
            raise BadData("; ".join(faults))
        return None

    async def _silences(self, request: Request) -> Any:
        now = self.notifier.now()
        wanted = [matcher for key, text in request.query if key == "filter" for matcher in matching.parse(text)]
        states = {state for state in ("active", "expired", "pending") if _flag(request, state)}
        chosen = [
            each
            for each in self.notifier.silences.every()
            if each.state(now) in states and all(matcher in each.matchers for matcher in wanted)
        ]
        return [silence_json(each, now) for each in sorted_silences(chosen, now)]

    async def _post_silence(self, request: Request) -> Any:
        silence = _silence(await _body(request))
        made = self.notifier.silences.put(silence, self.notifier.now())
        await self.notifier.save()
        return {"silenceID": made}

    async def _silence(self, request: Request) -> Any:
        return silence_json(self.notifier.silences.get(self._id(request)), self.notifier.now())

    async def _expire(self, request: Request) -> Any:
        self.notifier.silences.expire(self._id(request), self.notifier.now())
        await self.notifier.save()
        return None

    def _id(self, request: Request) -> str:
        return request.path.rpartition("/")[2]


def _json(status: int, data: Any) -> Response:
    if data is None:
        return Response(status, b"", {"content-type": "application/json"})
    body = json.dumps(data, ensure_ascii=False).encode("utf-8", "replace")
    return Response(status, body, {"content-type": "application/json"})


async def _body(request: Request) -> Any:
    raw = request.body
    if isinstance(raw, AsyncIterator):
        parts, size = [], 0
        async for part in raw:
            size += len(part)
            if size > MOST_BODY:
                break
            parts.append(part)
        raw = b"".join(parts) if size <= MOST_BODY else b" " * (MOST_BODY + 1)
    if len(raw) > MOST_BODY:
        raise BadData(f"the body is larger than {MOST_BODY} bytes")
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise BadData(f"the body is no JSON: {error}") from None


def _flag(request: Request, name: str, default: bool = True) -> bool:
    text = request.param(name, "true" if default else "false").lower()
    if text not in ("true", "false", "1", "0", ""):
        raise BadData(f"{name} must be true or false, not {text!r}")
    return text in ("true", "1") or (text == "" and default)


def _time(data: Any, name: str) -> int | None:
    """Milliseconds, None when it is absent or Go's zero."""
    if data is None or data == "":
        return None
    if not isinstance(data, str):
        raise BadData(f"{name} must be an RFC 3339 time")
    try:
        at = datetime.fromisoformat(data.replace("Z", "+00:00"))
        if at.tzinfo is None:
            raise ValueError
        if at.year <= 1:
            return None
        return int(at.timestamp() * 1000)
    except (ValueError, OverflowError):
        raise BadData(f"{name}: {data[:100]!r} is no RFC 3339 time") from None


def _texts(data: Any, name: str) -> dict[str, str]:
    if data is None:
        return {}
    if not isinstance(data, dict) or not all(isinstance(value, str) for value in data.values()):
        raise BadData(f"{name} must be a map of names to texts")
    return data


def _alert(data: Any, now: int, resolve: int) -> Alert:
    if not isinstance(data, dict):
        raise BadData("an alert is a map with labels")
    labels = make(_texts(data.get("labels"), "labels"))
    if not labels:
        raise BadData("at least one label pair required")
    if any(not name for name, _ in labels):
        raise BadData("a label without a name")
    annotations = tuple(sorted(_texts(data.get("annotations"), "annotations").items()))
    starts, ends = _time(data.get("startsAt"), "startsAt"), _time(data.get("endsAt"), "endsAt")
    timeout = ends is None
    if starts is None:
        starts = now if ends is None else ends
    if ends is None:
        ends = now + resolve
    if starts > ends:
        raise BadData("start time must be before end time")
    link = data.get("generatorURL", "")
    if not isinstance(link, str):
        raise BadData("generatorURL must be a text")
    return Alert(labels, annotations, starts, ends, now, link, timeout)


def _silence(data: Any) -> Silence:
    if not isinstance(data, dict) or not isinstance(data.get("matchers"), list):
        raise BadData("a silence is a map with matchers, startsAt, endsAt, createdBy and comment")
    starts, ends = _time(data.get("startsAt"), "startsAt"), _time(data.get("endsAt"), "endsAt")
    if starts is None or ends is None:
        raise BadData("startsAt and endsAt are required")
    words = {name: data.get(name) or "" for name in ("id", "createdBy", "comment")}
    if not all(isinstance(word, str) for word in words.values()):
        raise BadData("id, createdBy and comment must be texts")
    matchers = tuple(sorted(map(matching.of_json, data["matchers"]), key=lambda m: (m.name, m.value, m.op)))
    return Silence(words["id"], matchers, starts, ends, 0, words["createdBy"], words["comment"])
