"""HTTP/1.1 as bytes: request targets, heads of responses, error bodies, bounded gzip. Called by `connection`. Pure."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from urllib.parse import parse_qsl, unquote

from styr.kinds.errors import ApiError, BadRequest, TooLarge
from styr.kinds.transport import Response

MAX_BODY = 3 * 1024 * 1024
"""Bytes in the body of an API request, after decompression. The real server's limit."""
MAX_HEAD = 64 * 1024
"""Bytes in the request line and headers together."""
MAX_HEADERS = 200
MAX_QUERY_FIELDS = 1000
JSON = "application/json"

_REASONS = {status.value: status.phrase for status in HTTPStatus}
_BODYLESS = (204, 304)


def parse_target(target: bytes) -> tuple[str, list[tuple[str, str]]]:
    """Decoded path and query pairs of a request target, `/path?query` or an absolute URL. Raises `BadRequest`."""
    try:
        text = target.decode("ascii")
    except UnicodeDecodeError:
        raise BadRequest("the request target must be ASCII, with other characters percent-encoded") from None
    if not text.startswith("/"):
        _, found, rest = text.partition("://")
        text = "/" + rest.partition("/")[2] if found else ""
    if not text:
        raise BadRequest("the request target must be a path")
    raw, _, query = text.partition("#")[0].partition("?")
    try:
        path = unquote(raw, errors="strict") if "%" in raw else raw
        pairs = (
            parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=MAX_QUERY_FIELDS) if query else []
        )
    except ValueError as error:
        raise BadRequest(f"the request target cannot be decoded: {error}") from None
    if "\0" in path:
        raise BadRequest("the path must not contain a NUL character")
    return path, pairs


def bare_target(target: bytes) -> str:
    """Path and query alone, as they came; of a target that `parse_target` has taken."""
    text = target.decode("ascii").partition("#")[0]
    return text if text.startswith("/") else "/" + text.partition("://")[2].partition("/")[2]


def head(response: Response, *, length: int | None, close: bool, chunked: bool = True) -> bytes:
    """Status line and headers. `length=None`: the body goes out chunked, or else until the end of the connection, unless
    the headers tell its length."""
    status = response.status
    lines = [f"HTTP/1.1 {status} {_REASONS.get(status, 'Status')}"]
    for name, value in (*response.headers.items(), *response.repeated):
        if "\r" in value or "\n" in value:
            value = value.replace("\r", " ").replace("\n", " ")
        lines.append(f"{name}: {value}")
    if length is None:
        if chunked and "content-length" not in response.headers:
            lines.append("transfer-encoding: chunked")
    elif status not in _BODYLESS and status >= 200:
        lines.append(f"content-length: {length}")
    if close:
        lines.append("connection: close")
    lines.append("\r\n")
    return "\r\n".join(lines).encode("utf-8", "replace")


def has_body(method: str, status: int) -> bool:
    return method != "HEAD" and status not in _BODYLESS and status >= 200


def error_response(error: ApiError) -> Response:
    """A Status as a response. 429 and 503 carry Retry-After, which clients obey."""
    headers = {"content-type": JSON}
    if error.retry_after is not None:
        headers["retry-after"] = str(max(1, round(error.retry_after)))
    return Response(error.status_code, json.dumps(error.to_status(), separators=(",", ":")).encode(), headers)


def too_large() -> TooLarge:
    return TooLarge(f"Request entity too large: limit is {MAX_BODY}")


def names_upgrade(headers: Mapping[str, str]) -> bool:
    """Does `Connection` say that the `Upgrade` beside it is meant?"""
    return "upgrade" in (word.strip().lower() for word in headers.get("connection", "").split(","))


def takes_gzip(headers: Mapping[str, str]) -> bool:
    """Does the client ask for it (`gzip`, with any weight but 0)?"""
    for part in headers.get("accept-encoding", "").split(","):
        name, _, weight = part.partition(";")
        if name.strip().lower() == "gzip":
            return weight.replace(" ", "").rstrip("0.") != "q="
    return False


class Inflate:
    """A gzip (or deflate) body as it comes, in bounded pieces: the caller bounds the sum."""

    PIECE = 256 * 1024

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(wbits=47)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Raises `BadRequest` for bytes that are not gzip."""
        try:
            while data and not self._stream.eof:
                piece = self._stream.decompress(data, self.PIECE)
                if piece:
                    yield piece
                data = self._stream.unconsumed_tail
        except zlib.error as error:
            raise BadRequest(f"the body is not valid gzip: {error}") from None

    def end(self) -> None:
        """Raises `BadRequest` when the body was cut off."""
        if not self._stream.eof:
            raise BadRequest("the gzip body ends too early")


def inflate(data: bytes) -> bytes:
    """A whole API body. Raises `BadRequest`, or `TooLarge` before more than the limit is in memory."""
    stream, pieces, size = Inflate(), [], 0
    for piece in stream.feed(data):
        size += len(piece)
        if size > MAX_BODY:
            raise too_large()
        pieces.append(piece)
    stream.end()
    return b"".join(pieces)


def is_gzip(headers: Mapping[str, str]) -> bool:
    return headers.get("content-encoding", "").strip().lower() in ("gzip", "x-gzip", "deflate")
