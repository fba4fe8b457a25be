"""Exec, attach and portforward of a pod: what is asked, whether it may be, and over which protocol it goes.

Called by the server for GET (WebSocket) and POST (SPDY) alike; both need the verb `create` on the subresource, as since v1.35.
What runs is the node's (`kinds.seams.PodStreams`); what is said on the wire is `styr.api.streams`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from styr.api.call import Call
from styr.api.streams import channels, command
from styr.api.streams.channels import ChannelSession
from styr.api.verbs import admit
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


def choose_container(call: Call, pod: Object) -> str:
    """The one that was asked for, or the only one. Raises BadRequest."""
    spec = pod["spec"]
    groups = ("initContainers", "containers", "ephemeralContainers")
    names = [container["name"] for group in groups for container in spec.get(group) or ()]
    wanted = call.request.param("container")
    if not wanted and len(spec["containers"]) == 1:
        return str(spec["containers"][0]["name"])
    if not wanted:
        raise BadRequest(
            f"a container name must be specified for pod {call.name}, choose one of: [{' '.join(map(str, names))}]"
        )
    if wanted not in names:
        raise BadRequest(f"container {wanted} is not valid for pod {call.name}")
    return wanted


async def _command(call: Call, options: StreamOptions, ready: Callable[[], Awaitable[Run]]) -> Response:
    request = call.request
    if not websocket.asked(request.headers):
        raise upgrade_required()
    protocol = websocket.choose(request.headers, channels.PROTOCOLS)
    headers = websocket.accept(request.method, request.headers, protocol)
    run = await ready()

    async def upgrade(wire: Wire) -> None:
        session = ChannelSession(WebSocket(wire), protocol, options)
        await session.begin()
        await command.conduct(session, run)

    return Response(101, headers=headers, upgrade=upgrade)


def upgrade_required() -> ApiError:
    return BadRequest("Upgrade request required")


def _uid(pod: Object) -> str:
    uid: Any = pod["metadata"]["uid"]
    return str(uid)
