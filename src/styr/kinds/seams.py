"""Protocols that `plane` hands from one room to another, so that no capability imports another.

Each names who implements it and who is handed it. Pure: types only.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from styr.kinds.resources import Object


class TokenSigner(Protocol):
    """Implemented by `api`, handed to the controller that fills token Secrets: the token of a ServiceAccount for the Secret of
    that name. `current` says whether a token was signed with the newest key."""

    def __call__(self, account: Object, secret: str, /) -> str: ...

    def current(self, token: str, /) -> bool: ...


@dataclass(frozen=True, slots=True)
class LogOptions:
    """Query of `pods/NAME/log`, as the Kubernetes API has it. `tail_lines=None` means all."""

    container: str = ""
    follow: bool = False
    previous: bool = False
    tail_lines: int | None = None
    since_seconds: int | None = None
    timestamps: bool = False
    limit_bytes: int | None = None


class PodLogs(Protocol):
    """Implemented by `node`, handed to `api` (the log subresource). Yields raw bytes as they are written; ends when the
    container has ended (or at once without `follow`). Raises `styr.kinds.errors.ApiError` (not found, bad request)."""

    def __call__(self, namespace: str, name: str, uid: str, options: LogOptions, /) -> AsyncIterator[bytes]: ...


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
