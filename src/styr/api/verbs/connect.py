"""Exec, attach and portforward of a pod: what is asked, whether it may be, and over which protocol it goes.

Called by the server, by way of `late`, for GET (WebSocket) and POST (SPDY) alike; both need the verb `create` on the
subresource, as since v1.35. What runs is the node's (`kinds.seams.PodStreams`); what is said on the wire is `styr.api.streams`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from styr.api.call import Call
from styr.api.streams import channels, command, spdy
from styr.api.streams import forward as forwarding
from styr.api.streams.channels import ChannelSession
from styr.api.streams.forward import ChannelForward, Joined, SpdyForward
from styr.api.streams.spdy import SpdySession
from styr.api.verbs import admit
from styr.api.verbs.logs import choose_container
from styr.kinds.errors import ApiError, BadRequest, Unavailable
from styr.kinds.resources import Object
from styr.kinds.seams import PodStreams, Run, StreamOptions
from styr.kinds.transport import ANONYMOUS, Response, Wire
from styr.serving import websocket
from styr.serving.websocket import WebSocket


async def execute(call: Call) -> Response:
    pod, streams = _begin(call)
    options = _options(call, pod, tuple(value for key, value in call.request.query if key == "command"))
    if not options.command:
        raise BadRequest("you must specify at least one command for the container")
    await _admit(call, "PodExecOptions", options)
    return await _command(call, options, lambda: streams.exec(call.namespace, call.name, _uid(pod), options))


async def attach(call: Call) -> Response:
    pod, streams = _begin(call)
    options = _options(call, pod)
    await _admit(call, "PodAttachOptions", options)
    return await _command(call, options, lambda: streams.attach(call.namespace, call.name, _uid(pod), options))


async def forward(call: Call) -> Response:
    pod, streams = _begin(call)
    request, headers = call.request, call.request.headers
    ports: list[int] = []
    if websocket.asked(headers):
        tunnel = forwarding.TUNNEL in websocket.offered(headers)
        chosen = forwarding.TUNNEL if tunnel else websocket.choose(headers, forwarding.CHANNELS)
        answer = websocket.accept(request.method, headers, chosen)
        ports = [] if tunnel else forwarding.read_ports([value for key, value in request.query if key == "ports"])
    elif spdy.asked(headers):
        chosen = spdy.choose(headers, (forwarding.PROTOCOL,))
        answer = spdy.accept(chosen)
    else:
        raise upgrade_required()
    options: Object = {"kind": "PodPortForwardOptions", "apiVersion": "v1"}
    await admit.connect(call, options | ({"ports": ports} if ports else {}))
    join = Joined(await streams.forward(call.namespace, call.name, _uid(pod)), f"{call.name}, uid {_uid(pod)}")

    async def upgrade(wire: Wire) -> None:
        if chosen == forwarding.PROTOCOL:
            await SpdyForward(wire, join).serve()
        elif chosen == forwarding.TUNNEL:
            await forwarding.tunnelled(wire, join)
        else:
            await ChannelForward(wire, chosen, ports, join).serve()

    return Response(101, headers=answer, upgrade=upgrade)


async def _admit(call: Call, kind: str, options: StreamOptions) -> None:
    found = {name: True for name in ("stdin", "stdout", "stderr", "tty") if getattr(options, name)}
    obj: Object = {"kind": kind, "apiVersion": "v1", **found, "container": options.container}
    await admit.connect(call, obj | ({"command": list(options.command)} if options.command else {}))


def _begin(call: Call) -> tuple[Object, PodStreams]:
    """The pod, and who runs it. Raises Forbidden, NotFound, BadRequest, Unavailable."""
    if call.request.method == "GET" and call.core.authorize is not None:
        user, resource = call.request.user or ANONYMOUS, call.served.resource
        call.core.authorize(
            user,
            "create",
            resource.group,
            resource.plural,
            call.subresource,
            call.namespace,
            call.name,
            call.request.path,
        )
    call.waits = call.core.chain.waits(call.served, call.subresource)
    record = call.core.store.get(call.key)
    if record is None:
        raise call.not_found()
    pod = record.decode()
    if not pod["spec"].get("nodeName"):
        raise BadRequest(f"pod {call.name} does not have a host assigned")
    if call.core.streams is None:
        raise Unavailable(f"{call.subresource}: no node serves this API; start one with `styr up`")
    return pod, call.core.streams


def _options(call: Call, pod: Object, words: tuple[str, ...] = ()) -> StreamOptions:
    tty = call.flag("tty")
    options = StreamOptions(
        container=choose_container(call, pod),
        command=words,
        stdin=call.flag("stdin"),
        stdout=call.flag("stdout"),
        stderr=call.flag("stderr") and not tty,
        tty=tty,
    )
    if not (options.stdin or options.stdout or options.stderr):
        raise BadRequest("you must specify at least 1 of stdin, stdout, stderr")
    return options


async def _command(call: Call, options: StreamOptions, ready: Callable[[], Awaitable[Run]]) -> Response:
    headers, over = _negotiate(call, options)
    run = await ready()

    async def upgrade(wire: Wire) -> None:
        await command.conduct(over(wire), run)

    return Response(101, headers=headers, upgrade=upgrade)


def _negotiate(call: Call, options: StreamOptions) -> tuple[dict[str, str], Callable[[Wire], command.Session]]:
    """The headers of the 101, and what makes the client's session of the connection. Raises ApiError."""
    request = call.request
    if websocket.asked(request.headers):
        chosen = websocket.choose(request.headers, channels.PROTOCOLS)
        headers = websocket.accept(request.method, request.headers, chosen)
        return headers, lambda wire: ChannelSession(WebSocket(wire), chosen, options)
    if spdy.asked(request.headers):
        protocol = spdy.choose(request.headers, spdy.PROTOCOLS)
        return spdy.accept(protocol), lambda wire: SpdySession(wire, protocol, options)
    raise upgrade_required()


def upgrade_required() -> ApiError:
    return BadRequest("Upgrade request required")


def _uid(pod: Object) -> str:
    uid: Any = pod["metadata"]["uid"]
    return str(uid)
