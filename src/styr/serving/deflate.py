"""Large answers, compressed for clients that ask for it: in a thread, so that nobody else waits. Called by `connection`.

As the real server: gzip at level 1, from 128 KiB on. isal does 600 MB a second of it.
"""

from __future__ import annotations

import asyncio

from styr.kinds.transport import Response

AT_LEAST = 128 << 10
"""Bytes of an answer below which compressing costs more than it saves."""
_COMPRESSIBLE = ("application/", "text/")


def worthwhile(response: Response) -> bool:
    body, headers = response.body, response.headers
    return (
        isinstance(body, bytes)
        and len(body) >= AT_LEAST
        and response.status == 200
        and "content-encoding" not in headers
        and headers.get("content-type", "").startswith(_COMPRESSIBLE)
    )


async def compressed(response: Response) -> Response:
    """The same answer, smaller."""
    assert isinstance(response.body, bytes)
    body = await asyncio.to_thread(_gzip, response.body)
    headers = response.headers | {"content-encoding": "gzip", "vary": "Accept-Encoding"}
    return Response(response.status, body, headers, response.repeated)


def _gzip(data: bytes) -> bytes:
    from isal import igzip

    return bytes(igzip.compress(data, compresslevel=1))
