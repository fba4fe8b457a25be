"""Header blocks of SPDY/3: names and values, compressed with one zlib stream a direction and a dictionary that both sides know.

Called by `frames`. Source: SPDY Protocol, Draft 3, sections 2.6.10 and 2.6.10.1; the dictionary's Adler-32 is 0xE3C6A7C2.

    BadHeaders(Exception)     not a header block, or one that unfolds to more than `MAX_BLOCK`
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping

MAX_BLOCK = 32 << 10
"""Bytes of an unpacked block: what somebody can make of a few packed ones is bounded."""
MAX_HEADERS = 100

_WORDS = (
    "options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age allow "
    "authorization cache-control connection content-base content-encoding content-language content-length content-location "
    "content-md5 content-range content-type date etag expect expires from host if-match if-modified-since if-none-match "
    "if-range if-unmodified-since last-modified location max-forwards pragma proxy-authenticate proxy-authorization range "
    "referer retry-after server te trailer transfer-encoding upgrade user-agent vary via warning www-authenticate "
    "method get status "
)
_PAIRS = ("200 OK", "version", "HTTP/1.1", "url", "public", "set-cookie", "keep-alive", "origin")
_TAIL = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden"
    "404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable"
    "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
    "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,text/javascript,"
    "publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)


def _sized(text: str) -> bytes:
    return len(text).to_bytes(4, "big") + text.encode()


DICTIONARY = b"".join(_sized(word) for word in (*_WORDS.split(), *_PAIRS)) + _TAIL.encode()


class BadHeaders(Exception):
    """The zlib stream is lost with it, and so the connection."""


class Unpacker:
    """Of one connection: the blocks are one stream, to be fed in order."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(zdict=DICTIONARY)

    def __call__(self, packed: bytes) -> dict[str, str]:
        """Names in lower case; several values of one name are joined by NUL, as they came. Raises BadHeaders."""
        try:
            block = self._zlib.decompress(packed, MAX_BLOCK)
        except zlib.error as error:
            raise BadHeaders(f"a header block is not zlib: {error}") from None
        if self._zlib.unconsumed_tail:
            raise BadHeaders(f"a header block unfolds to more than {MAX_BLOCK} bytes")
        if self._zlib.eof:
            raise BadHeaders("the zlib stream of the headers has ended")
        return _parse(block)


def _parse(block: bytes) -> dict[str, str]:
    words = _strings(block)
    count = int.from_bytes(block[:4], "big")
    if len(block) < 4 or count > MAX_HEADERS:
        raise BadHeaders(f"a header block announces {count} headers; at most {MAX_HEADERS} are taken")
    headers: dict[str, str] = {}
    for _ in range(count):
        name = next(words).lower()
        if not name or name in headers:
            raise BadHeaders(f"a header block has the name {name[:80]!r} twice, or one that is empty")
        headers[name] = next(words)
    return headers


def _strings(block: bytes) -> Iterator[str]:
    position = 4
    while True:
        size = int.from_bytes(block[position : position + 4], "big")
        end = position + 4 + size
        if position + 4 > len(block) or end > len(block):
            raise BadHeaders("a header block ends in the middle of a word")
        yield block[position + 4 : end].decode("latin-1")
        position = end


class Packer:
    """Of one connection. A window of 2 KiB holds the dictionary: more would cost memory for the few headers that we send."""

    def __init__(self) -> None:
        self._zlib = zlib.compressobj(level=1, wbits=11, memLevel=1, zdict=DICTIONARY)

    def __call__(self, headers: Mapping[str, str]) -> bytes:
        block = len(headers).to_bytes(4, "big") + b"".join(_sized(word) for pair in headers.items() for word in pair)
        return self._zlib.compress(block) + self._zlib.flush(zlib.Z_SYNC_FLUSH)
