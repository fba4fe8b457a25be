"""/log of a pod: raw text, as the container writes it. Called by the server; what it says is the node's
(`kinds.seams.PodLogs`)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

from styr.api.call import Call
from styr.kinds.errors import BadRequest, Cause, Invalid, Unavailable
from styr.kinds.resources import Object
from styr.kinds.seams import LogOptions
from styr.kinds.transport import Response
from styr.kit.clock import parse_rfc3339

FIRST_BYTES = 0.1
"""Seconds that the answer to a followed log waits for a first part, or for the node's refusal."""
STREAMS = ("All", "Stderr", "Stdout")


async def logs(call: Call) -> Response:
    """GET."""
    record = call.core.store.get(call.key)
    if record is None:
        raise call.not_found()
    if call.core.logs is None:
        raise Unavailable("logs: no node serves this API; start one with `styr up`")
    pod = record.decode()
    options = _options(call, choose_container(call, pod))
    source = call.core.logs(call.namespace, call.name, pod["metadata"]["uid"], options)
    body = await _begun(source, FIRST_BYTES if options.follow else None)
    return Response(200, body, {"content-type": "text/plain; charset=utf-8"})


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


def _options(call: Call, container: str) -> LogOptions:
    """Raises BadRequest, Invalid."""
    stream = call.request.param("stream") or "All"
    options = LogOptions(
        container=container,
        follow=call.flag("follow"),
        previous=call.flag("previous"),
        tail_lines=call.number("tailLines", below_zero=True),
        since_seconds=call.number("sinceSeconds", below_zero=True),
        timestamps=call.flag("timestamps"),
        limit_bytes=call.number("limitBytes", below_zero=True),
        since_time=_time(call.request.param("sinceTime")),
        stream="" if stream == "All" else stream,
    )
    if causes := _causes(options, stream):
        raise _invalid(call, causes)
    return options


def _time(text: str) -> float | None:
    if not text:
        return None
    try:
        return parse_rfc3339(text)
    except (ValueError, OverflowError):
        raise BadRequest(
            f"query parameter sinceTime: {text[:60]!r} is not a time such as 2026-01-02T03:04:05Z"
        ) from None


def _causes(options: LogOptions, stream: str) -> list[Cause]:
    """In the words of Kubernetes."""
    found: list[Cause] = []

    def wrong(reason: str, field: str, message: str) -> None:
        found.append({"reason": reason, "field": field, "message": message})

    if options.tail_lines is not None and options.tail_lines < 0:
        text = f"Invalid value: {options.tail_lines}: must be greater than or equal to 0"
        wrong("FieldValueInvalid", "tailLines", text)
    if options.limit_bytes is not None and options.limit_bytes < 1:
        wrong("FieldValueInvalid", "limitBytes", f"Invalid value: {options.limit_bytes}: must be greater than 0")
    if options.since_seconds is not None and options.since_time is not None:
        wrong("FieldValueForbidden", "", "Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified")
    elif options.since_seconds is not None and options.since_seconds < 1:
        wrong("FieldValueInvalid", "sinceSeconds", f"Invalid value: {options.since_seconds}: must be greater than 0")
    if stream not in STREAMS:
        supported = ", ".join(f'"{name}"' for name in STREAMS)
        wrong("FieldValueNotSupported", "stream", f'Unsupported value: "{stream[:40]}": supported values: {supported}')
    elif options.stream and options.tail_lines is not None:
        wrong("FieldValueForbidden", "", "Forbidden: `tailLines` and specific `stream` are mutually exclusive for now")
    return found


def _invalid(call: Call, causes: list[Cause]) -> Invalid:
    parts = [f"{cause.get('field', '')}: {cause.get('message', '')}" for cause in causes]
    text = parts[0] if len(parts) == 1 else f"[{', '.join(parts)}]"
    details = {"name": call.name, "kind": "PodLogOptions", "causes": causes}
    return Invalid(f'PodLogOptions "{call.name}" is invalid: {text}', details=details)


async def _begun(source: AsyncIterator[bytes], patience: float | None) -> AsyncIterator[bytes]:
    """The same stream with its first part already asked for, so that a refusal (no such container) is still an answer
    with its own status. A quiet log that is followed is not waited for longer than `patience` seconds."""
    stream = _Begun(source)
    try:
        done, _ = await asyncio.wait([stream.first], timeout=patience)
        if done:
            stream.first.result()
    except BaseException:
        await stream.aclose()
        raise
    return stream


class _Begun:
    """A class, not a generator: `aclose` must end the source also when nobody has read a part yet."""

    def __init__(self, source: AsyncIterator[bytes]) -> None:
        self._source = source
        self.first: asyncio.Future[bytes | None] = asyncio.ensure_future(_next(source))
        self._begun = False

    def __aiter__(self) -> _Begun:
        return self

    async def __anext__(self) -> bytes:
        part = await _next(self._source) if self._begun else await self.first
        self._begun = True
        if part is None:
            raise StopAsyncIteration
        return part

    async def aclose(self) -> None:
        self.first.cancel()
        await asyncio.gather(self.first, return_exceptions=True)
        if isinstance(self._source, AsyncGenerator):
            await self._source.aclose()


async def _next(source: AsyncIterator[bytes]) -> bytes | None:
    return await anext(source, None)
