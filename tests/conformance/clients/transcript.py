"""What a client sent, as lines that stay true: what differs from run to run stands there by where it came from. Pure.

Called by `report.py` with what the recorder saw; `replay.py` reads the lines again. A line is one of

    ["make", OBJECT]  ["has", REF, LIKE]  ["gone", REF]      what the scene did itself (`scene.py`)
    [METHOD, TARGET, HEADERS, ANSWER]                         a request without a body
    [METHOD, TARGET, HEADERS, ANSWER, BODY]                   and with one; base64 with "b64:" before it when it is no text

`{ns}`, `{node}` and `{now}` are filled in; `{N:POINTER}` is what stood at that JSON pointer of the answer to line N. ANSWER is
the status and the shape: `200 Table NAME,READY`, `404 Status NotFound`, `101 v5.channel.k8s.io`, `200 watch`, `200 text/plain`.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from styr.api.protobuf import envelope as protobuf

Line = list[Any]
KEPT = (
    "accept",
    "content-type",
    "impersonate-user",
    "impersonate-group",
    "upgrade",
    "connection",
    "sec-websocket-protocol",
    "sec-websocket-version",
    "x-stream-protocol-version",
)
"""Headers that change an answer."""
NOISE = {"connection": ("keep-alive",), "accept": ("*/*",)}
ALIASES = {
    "table": "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json",
    "protobuf": "application/vnd.kubernetes.protobuf,application/json",
    "metadata": "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,"
    "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json",
}
"""Short words for long values of Accept."""
DISCOVERY = re.compile(r"(/api|/apis|/version|/openapi/.*|/api/v1|/apis/[^/]+|/apis/[^/]+/[^/]+)/?(\?.*)?$")
"""What a client asks once to know the server, and keeps."""
_VERSION = r'(resourceVersion(?:=|%3D|\\?": \\?"|", "value": "))'
"""What stands before a resourceVersion, in a query, an object or a JSON patch."""
_TODAY = re.compile(rf'"{datetime.now(UTC):%Y-%m-%d}T\d\d:\d\d:\d\dZ"')
"""A time that the client has put in: the server may act on its age."""
LONG = 4096
"""Bytes of a protobuf message from which on it is kept as JSON, and shortened."""
_OWN = re.compile(r"t-[0-9a-f]{8}")
"""What a scene is named, and so the groups that cases define."""
_PLACE = re.compile(r"\{(\d+):([^{}]*)\}")


def lines(entries: Iterable[Any], namespace: str, node: str, token: str) -> tuple[list[Line], list[Line]]:
    """The lines of a case, and apart from them those of discovery."""
    case: list[Line] = []
    asked: dict[str, Line] = {}
    known: dict[str, str] = {}
    for entry in entries:
        if isinstance(entry, list):
            case.append(_named(entry, namespace, node))
            continue
        if not entry.status:
            continue
        line = _line(entry, token)
        if DISCOVERY.fullmatch(entry.target) and entry.method == "GET":
            line[1] = line[1].partition("?")[0] if line[1].startswith("/openapi/") else line[1]
            if not _OWN.search(line[1]) and entry.status != 304 and "authorization" not in line[2]:
                asked[json.dumps(line[:3])] = line
            continue
        line = _named(_placed(_opened(line, known), known), namespace, node)
        before = next((old for old in case if old[:3] == line[:3] and old[4:] == line[4:]), None)
        if before is not None and entry.method == "GET":
            if line[3] not in before[3].split("|"):
                before[3] += f"|{line[3]}"
            continue
        document = _document(entry) if entry.status < 400 else None
        if entry.status == 201 and (ref := _made_again(line, document, case)):
            case.append(["gone", ref])
        case.append(line)
        if document is not None:
            _learn(document, len(case) - 1, known, f"{namespace} {node} {json.dumps(case)}")
    return _gone_at_last(case), list(asked.values())


def _line(exchange: Any, token: str) -> Line:
    headers = {key: value for key, value in exchange.request.headers.items() if key in KEPT}
    headers = {key: value for key, value in headers.items() if value.lower() not in NOISE.get(key, ())}
    if short := next((word for word, value in ALIASES.items() if value == headers.get("accept")), ""):
        headers["accept"] = short
    if (sent := exchange.request.headers.get("authorization", "")) != f"Bearer {token}":
        headers["authorization"] = sent
    line = [
        exchange.method,
        exchange.target,
        headers,
        answer(exchange.status, exchange.response.headers, body_of(exchange.response)),
    ]
    if exchange.request.body:
        line.append(_text(bytes(exchange.request.body), exchange.request.headers))
        if "protobuf" in headers.get("content-type", "") and not isinstance(line[4], str):
            headers["content-type"] = "application/json"
    return line


def _text(body: bytes, headers: Mapping[str, str]) -> Any:
    if headers.get("content-encoding") == "gzip":
        body = gzip.decompress(body)
    if "protobuf" in headers.get("content-type", "") or body[:4] == b"k8s\0":
        return "b64:" + base64.b64encode(body).decode() if len(body) < LONG else _shortened(protobuf.decode(body))
    try:
        return json.loads(body)
    except ValueError:
        return body.decode(errors="replace")


def _shortened(value: Any) -> Any:
    """Without the rest of its long texts, as helm's releases are: nobody looks into them."""
    if isinstance(value, dict):
        return {key: _shortened(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_shortened(item) for item in value]
    return value[: LONG // 8] if isinstance(value, str) and len(value) > LONG // 4 else value


def body_of(message: Any) -> bytes:
    """Of an answer, unpacked."""
    data = bytes(message.body)
    if message.headers.get("content-encoding") != "gzip":
        return data
    try:
        return gzip.decompress(data)
    except (EOFError, OSError):
        return b""


def answer(status: int, headers: Mapping[str, str], body: bytes) -> str:
    """The status and the shape of an answer."""
    if status == 101:
        spoken = (headers.get(key) for key in ("sec-websocket-protocol", "x-stream-protocol-version", "upgrade"))
        return f"101 {next(filter(None, spoken), '')}"
    media = headers.get("content-type", "").partition(";")[0]
    if media != "application/json":
        return f"{status} {media}".strip()
    try:
        document = json.loads(body)
    except ValueError:
        return f"{status} watch"
    if set(document) == {"type", "object"}:
        return f"{status} watch"
    kind = document.get("kind", "")
    if kind == "Table":
        return f"{status} Table {','.join(column['name'] for column in document['columnDefinitions'])}"
    if kind == "Status":
        return f"{status} Status {document.get('reason', '')}".strip()
    return f"{status} {kind}".strip()


def _document(exchange: Any) -> Any:
    try:
        return json.loads(body_of(exchange.response))
    except ValueError:
        return None


def _learn(document: Any, number: int, known: dict[str, str], said: str) -> None:
    """What a later request may say again: uids, versions, tokens, names that nobody had said before."""
    for pointer, obj in _objects(document):
        meta = obj.get("metadata") or {}
        for key in ("uid", "resourceVersion", "continue"):
            if value := meta.get(key):
                known.setdefault(f"{key}={value}", f"{{{number}:{pointer}/metadata/{key}}}")
        if (name := meta.get("name")) and len(name) > 8 and name not in said:
            known.setdefault(f"name={meta['name']}", f"{{{number}:{pointer}/metadata/name}}")
        if token := (obj.get("status") or {}).get("token") if isinstance(obj.get("status"), dict) else None:
            known.setdefault(f"token={token}", f"{{{number}:{pointer}/status/token}}")


def _objects(document: Any) -> Iterator[tuple[str, Any]]:
    if not isinstance(document, dict):
        return
    yield "", document
    for index, item in enumerate(document.get("items") or ()):
        if isinstance(item, dict):
            yield f"/items/{index}", item


def _opened(line: Line, known: Mapping[str, str]) -> Line:
    """A protobuf message that holds a value of an earlier answer, as the JSON that it stands for: another value there would be
    of another length."""
    if len(line) < 5 or not isinstance(line[4], str) or not line[4].startswith("b64:"):
        return line
    message = base64.b64decode(line[4][4:])
    uids = (found.partition("=")[2].encode() for found in known if found.startswith("uid="))
    if not any(uid in message for uid in uids):
        return line
    return [*line[:2], {**line[2], "content-type": "application/json"}, line[3], protobuf.decode(message)]


def _placed(line: Line, known: Mapping[str, str]) -> Line:
    """Each value that an earlier answer held, by its place."""
    text = json.dumps(line)
    for found, place in sorted(known.items(), key=lambda pair: -len(pair[0])):
        key, _, value = found.partition("=")
        if key == "resourceVersion":
            text = re.sub(_VERSION + re.escape(value) + r"(?!\d)", lambda m, p=place: m[1] + p, text)
        else:
            text = text.replace(json.dumps(value)[1:-1], place)
    return list(json.loads(text))


def _named(line: Line, namespace: str, node: str) -> Line:
    """With `{ns}` and `{node}` in place of theirs."""
    *rest, last = line
    if isinstance(last, str) and last.startswith("b64:"):
        return [*_named(rest, namespace, node), _packed(last, namespace)]
    text = _TODAY.sub('"{now}"', json.dumps(line).replace(namespace, "{ns}"))
    return list(json.loads(re.sub(rf'("|/|%3D){re.escape(node)}(?![\w.-])', r"\1{node}", text)))


def _packed(text: str, namespace: str) -> str:
    """Namespaces have one length, so that a name in a message of known lengths can stand for another."""
    data = base64.b64decode(text[4:]).replace(namespace.encode(), b"{%s}" % (b"n" * (len(namespace) - 2)))
    return "b64:" + base64.b64encode(data).decode()


def _made_again(line: Line, document: Any, case: list[Line]) -> str:
    """How a scene names what this makes, if it was deleted before: the client has waited for its end, and so must a replay."""
    path = line[1].partition("?")[0]
    if line[0] == "POST" and isinstance(document, dict):
        path += "/" + str((document.get("metadata") or {}).get("name"))
    deleted = any(old[0] == "DELETE" and old[1].partition("?")[0] == path for old in case)
    found = re.fullmatch(r"/(?:api|apis)/(?P<group>[^/]+(?:/[^/]+)?)/namespaces/[^/]+/(?P<name>[^/]+/[^/]+)", path)
    return f"{found['group']}/{found['name']}" if deleted and found else ""


def _gone_at_last(case: list[Line]) -> list[Line]:
    """After a delete, whether a GET still finds it is a matter of time."""
    deleted: list[str] = []
    for line in case:
        if line[0] == "DELETE":
            deleted.append(line[1].partition("?")[0])
        if line[0] == "GET" and line[1].partition("?")[0] in deleted:
            for other in ("404 Status NotFound",):
                if other not in line[3]:
                    line[3] += f"|{other}"
    return case


def fill(line: Line, answers: Mapping[int, Any], namespace: str, node: str) -> Line:
    """The other way: a line as it is to be sent. Raises KeyError where an answer does not hold what it held."""

    def value(found: re.Match[str]) -> str:
        at = answers[int(found[1])]
        for part in found[2].split("/")[1:]:
            at = at[int(part)] if isinstance(at, list) else at[part]
        return json.dumps(at)[1:-1] if isinstance(at, str) else json.dumps(at)

    if len(line) > 4 and isinstance(line[4], str) and line[4].startswith("b64:"):
        data = base64.b64decode(line[4][4:]).replace(b"{%s}" % (b"n" * (len(namespace) - 2)), namespace.encode())
        return [*fill(line[:4], answers, namespace, node), data]
    text = _PLACE.sub(value, json.dumps(line))
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    filled = list(json.loads(text.replace("{ns}", namespace).replace("{node}", node).replace("{now}", now)))
    if accept := filled[2].get("accept"):
        filled[2]["accept"] = ALIASES.get(accept, accept)
    return filled
