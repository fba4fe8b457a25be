"""Protocols that `plane` hands from one room to another, so that no capability imports another.

Each names who implements it and who is handed it. Pure: types only.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from styr.kinds.resources import Object


class TokenSigner(Protocol):
    """Implemented by `api`, handed to the controller that fills token Secrets: the token of a ServiceAccount for the Secret of
    that name. `current` says whether a token was signed with the newest key."""

    def __call__(self, account: Object, secret: str, /) -> str: ...

    def current(self, token: str, /) -> bool: ...


class CertificateSigner(Protocol):
    """Implemented by `api`, handed to the controller that signs approved requests: the certificate (PEM) for a request (PEM),
    good for these usages and, at most, so many seconds (None: as long as it signs for). Raises ValueError."""

    def __call__(self, request: bytes, usages: Sequence[str], seconds: int | None, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class LogOptions:
    """Query of `pods/NAME/log`, as the Kubernetes API has it. `tail_lines=None` means all; `since_time` is seconds since 1970;
    `stream` is Stdout, Stderr or "" for both."""

    container: str = ""
    follow: bool = False
    previous: bool = False
    tail_lines: int | None = None
    since_seconds: int | None = None
    timestamps: bool = False
    limit_bytes: int | None = None
    since_time: float | None = None
    stream: str = ""


class PodLogs(Protocol):
    """Implemented by `node`, handed to `api` (the log subresource). Yields raw bytes as they are written; ends when the
    container has ended (or at once without `follow`). Raises `styr.kinds.errors.ApiError` (not found, bad request)."""

    def __call__(self, namespace: str, name: str, uid: str, options: LogOptions, /) -> AsyncIterator[bytes]: ...


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """What an exec or attach asks for. `container` is chosen already; with `tty` there is no separate stderr."""

    container: str
    command: tuple[str, ...] = ()
    stdin: bool = False
    stdout: bool = False
    stderr: bool = False
    tty: bool = False


class Terminal(Protocol):
    """The client's end of an exec or attach. All of it raises ConnectionError once the client has gone."""

    async def read(self) -> bytes:
        """Standard input; b"" when the client has closed it."""

    async def write(self, data: bytes, stream: int = 1) -> None:
        """Standard output (1) or error (2); returns when the client has read enough for more."""

    async def resized(self) -> tuple[int, int]:
        """Waits for the next size of the client's terminal: columns, rows."""


class Duplex(Protocol):
    """One forwarded connection, as raw bytes. Raises ConnectionError once the client has gone."""

    async def read(self) -> bytes:
        """b"" when the client sends no more."""

    async def write(self, data: bytes) -> None: ...

    async def close(self) -> None:
        """Sends no more; the client still may."""


Run = Callable[[Terminal], Awaitable[int]]
"""Runs it to its end and returns the exit code; cancelled when the client goes. Raises ApiError."""
Forward = Callable[[int, Duplex], Awaitable[None]]
"""Joins a connection to a port of the pod until both sides are through. Raises OSError when nobody listens there."""


class PodStreams(Protocol):
    """Implemented by `node`, handed to `api` (the subresources exec, attach, portforward, proxy). Each call raises ApiError
    while the request is still an ordinary one, and else returns what is called once the client's streams are there."""

    async def exec(self, namespace: str, name: str, uid: str, options: StreamOptions, /) -> Run: ...

    async def attach(self, namespace: str, name: str, uid: str, options: StreamOptions, /) -> Run: ...

    async def forward(self, namespace: str, name: str, uid: str, /) -> Forward: ...

    async def address(self, namespace: str, name: str, uid: str, port: int, /) -> tuple[str, int]:
        """Where a port of the pod is reached. Raises ConnectionRefusedError for one that is not the pod's own."""

    async def about(self, node: str, path: str, /) -> tuple[str, bytes] | None:
        """What a node tells of itself, as the kubelet does at that path: content type and body. None for a path that it does
        not know, or another node."""


@dataclass(frozen=True, slots=True)
class Image:
    """What `node` needs to run a release in the `process` runtime.

    `layers` are directories, read-only for the pod; `root` is the directory copied into the pod's own writable working
    directory at start (the app's files); `env` values may use the layers' absolute paths.
    """

    digest: str
    root: Path
    layers: tuple[Path, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()


class ImageStore(Protocol):
    """Implemented by `delivery.images`, handed to `node`. `resolve` takes the `image` of a container, such as
    `styr.dev/app/hello@sha256:...`, and returns None when this store does not hold it. Cheap enough to call inline."""

    def resolve(self, reference: str, /) -> Image | None: ...


@dataclass(frozen=True, slots=True)
class ArmCounters:
    """Cumulative since the proxy started. `responses` maps a class ("2xx", "4xx", "5xx", ...; "5xx" includes answers the
    proxy itself gave for this arm, such as connection refused) to a count of *final* responses to the user.
    `latency` counts final responses by bucket: `latency[j]` are those <= bounds[j] and > bounds[j-1]; one more at the
    end for those above the last bound. Bounds are in milliseconds and never change within a process's life."""

    responses: Mapping[str, int]
    latency: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class RouteCounters:
    """`arms` maps the name of the backend Service to its counters; `bounds` are the histogram's upper bounds in ms.
    `epoch` changes whenever counters may have restarted from zero (another Envoy process)."""

    arms: Mapping[str, ArmCounters]
    bounds: tuple[float, ...]
    epoch: str


class TrafficSource(Protocol):
    """Implemented by `gateway` (Envoy's own statistics), handed to `delivery`. One call reads one HTTPRoute. Returns
    None when there is no fresh reading (proxy down, statistics unreadable): missing data is never zero."""

    async def read(self, namespace: str, route: str, /) -> RouteCounters | None: ...


class QueryFailed(Exception):
    """A question to the metrics engine has no answer: it is not running, too slow, or the expression is wrong. `str()` is a
    sentence that says which. Missing data is not this: that is an empty answer."""


class MetricQuery(Protocol):
    """Implemented by `metrics.launch` (HTTP to the metrics process), handed to `delivery`. Evaluates PromQL now; returns
    (labels, value) of each series, one without labels for a scalar. Raises `QueryFailed`."""

    async def query(self, expression: str, /) -> list[tuple[Mapping[str, str], float]]: ...


@dataclass(frozen=True, slots=True)
class Usage:
    """`cpu` is processors in use over a window, `memory` bytes at its end."""

    cpu: float
    memory: int


@dataclass(frozen=True, slots=True)
class NodeUsage:
    """What a node and its pods used: `at` seconds since 1970, over the last `window` seconds. `pods` maps (namespace, name) to
    the usage of each container that runs."""

    node: str
    at: float
    window: float
    whole: Usage
    pods: Mapping[tuple[str, str], Mapping[str, Usage]]


class UsageSource(Protocol):
    """Implemented by `node`, handed to `api` (metrics.k8s.io). Looks now, and only when it is asked; may take half a second.
    Raises `styr.kinds.errors.Unavailable` while there is no node."""

    async def __call__(self) -> NodeUsage: ...
