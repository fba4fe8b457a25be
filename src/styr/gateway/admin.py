"""Envoy's admin interface over its Unix socket: one short HTTP/1.1 exchange per call.

Called by `envoy` (handshake, log rotation, shutdown) and `stats`. Never raises anything but OSError and ValueError.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

_MAX_BODY = 64 << 20


async def call(socket: Path, path: str, *, method: str = "GET", timeout: float = 2.0) -> bytes:
    """The body of a 200. Raises OSError (nobody listens, timeout) or ValueError (another status, broken answer)."""
    try:
        async with asyncio.timeout(timeout):
            reader, writer = await asyncio.open_unix_connection(str(socket), limit=1 << 20)
            try:
                length = "Content-Length: 0\r\n" if method == "POST" else ""
                writer.write(f"{method} {path} HTTP/1.1\r\nHost: admin\r\n{length}Connection: close\r\n\r\n".encode())
                await writer.drain()
                return await _read(reader, path)
            finally:
                writer.close()
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        raise ValueError(f"Envoy's admin answer to {path} ended early: {error}") from error


async def call_json(socket: Path, path: str, *, timeout: float = 2.0) -> Any:
    return json.loads(await call(socket, path, timeout=timeout))


async def _read(reader: asyncio.StreamReader, path: str) -> bytes:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    status = head[0].split(" ", 2)[1:2]
    headers = {key.strip().lower(): value.strip() for key, _, value in (line.partition(":") for line in head[1:])}
    if "chunked" in headers.get("transfer-encoding", ""):
        body = await _read_chunks(reader)
    elif "content-length" in headers:
        body = await reader.readexactly(min(int(headers["content-length"]), _MAX_BODY))
    else:
        body = await reader.read(_MAX_BODY)
    if status != ["200"]:
        raise ValueError(f"Envoy's admin answered {path} with {head[0]}: {body[:200].decode(errors='replace')}")
    return body


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    parts: list[bytes] = []
    total = 0
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        total += size
        if total > _MAX_BODY:
            raise ValueError(f"Envoy's admin answer is larger than {_MAX_BODY >> 20} MB")
        parts.append(await reader.readexactly(size))
        await reader.readexactly(2)
    return b"".join(parts)
