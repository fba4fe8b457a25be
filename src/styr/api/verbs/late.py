"""Streams and proxies: their modules (WebSocket, SPDY) are loaded when one is first asked for. Called by the server."""

from __future__ import annotations

from styr.api.call import Call
from styr.kinds.transport import Response


async def execute(call: Call) -> Response:
    from styr.api.verbs import connect

    return await connect.execute(call)


async def attach(call: Call) -> Response:
    from styr.api.verbs import connect

    return await connect.attach(call)


async def forward(call: Call) -> Response:
    from styr.api.verbs import connect

    return await connect.forward(call)


async def proxy(call: Call) -> Response:
    from styr.api.verbs import proxy as proxying

    return await proxying.proxy(call)
