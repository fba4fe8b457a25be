"""The routing tree: which receivers an alert goes to, how it is grouped, and when. Called by `config` and `grouping`. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from styr.metrics.model.errors import BadData
from styr.metrics.model.labels import Labels
from styr.metrics.rules.durations import read_duration
from styr.metrics.rules.notify import matchers as matching
from styr.metrics.rules.notify.matchers import Matchers

_FIELDS = frozenset(
    (
        *("receiver", "group_by", "continue", "match", "match_re", "matchers", "routes"),
        *("group_wait", "group_interval", "repeat_interval", "mute_time_intervals", "active_time_intervals"),
    )
)
MOST_DEPTH = 50


@dataclass(frozen=True, slots=True)
class Options:
    """What a route inherits from its parent; times in milliseconds. `group_by` None: by all labels."""

    receiver: str = ""
    group_by: frozenset[str] | None = frozenset()
    group_wait: int = 30_000
    group_interval: int = 300_000
    repeat_interval: int = 4 * 3_600_000


@dataclass(frozen=True, slots=True)
class Route:
    """`key` is the way of matchers from the root: the same after a restart, and part of a group's key. `id` also tells apart
    routes with equal matchers."""

    options: Options
    matchers: Matchers = ()
    goes_on: bool = False
    mute: Sequence[str] = ()
    active: Sequence[str] = ()
    routes: Sequence[Route] = ()
    key: str = "{}"
    id: str = "{}"

    def find(self, labels: Labels) -> list[Route]:
        """The routes that an alert takes: of each level the first that matches, and further ones as long as they say
        `continue`; where no child matches, the route itself."""
        if not matching.matches(self.matchers, labels):
            return []
        found: list[Route] = []
        for child in self.routes:
            here = child.find(labels)
            found += here
            if here and not child.goes_on:
                break
        return found or [self]

    def group(self, labels: Labels) -> Labels:
        """The labels that alerts of one notification share."""
        by = self.options.group_by
        return labels if by is None else tuple(pair for pair in labels if pair[0] in by)

    def every(self) -> Iterator[Route]:
        yield self
        for child in self.routes:
            yield from child.every()


@dataclass(slots=True)
class Tree:
    """Reads a tree and checks its names."""

    receivers: Mapping[str, Any]
    intervals: Mapping[str, Any]
    path: str = "route"
    _depth: int = field(default=0)

    def read(self, data: Any) -> Route:
        """Raises BadData with the field's path."""
        if not isinstance(data, Mapping):
            raise BadData(f"{self.path}: there must be a route at the root, with a receiver")
        for name in ("match", "match_re", "matchers"):
            if data.get(name):
                raise BadData(f"{self.path}.{name}: the root route matches everything; give it no matchers")
        for name in ("mute_time_intervals", "active_time_intervals"):
            if data.get(name):
                raise BadData(f"{self.path}.{name}: the root route cannot have time intervals")
        if data.get("continue"):
            raise BadData(f"{self.path}.continue: the root route has no one to continue to")
        if not data.get("receiver"):
            raise BadData(f"{self.path}.receiver: the root route must name a receiver")
        return self._route(data, self.path, Options(), None, 0)

    def _route(self, data: Any, path: str, inherited: Options, parent: Route | None, index: int) -> Route:
        if not isinstance(data, Mapping):
            raise BadData(f"{path}: must be a map")
        for name in data:
            if name not in _FIELDS:
                raise BadData(f"{path}.{name}: unknown field; known are {', '.join(sorted(_FIELDS))}")
        self._depth += 1
        if self._depth > MOST_DEPTH:
            raise BadData(f"{path}: routes are nested more than {MOST_DEPTH} deep")
        own = matching.of_config(data, path)
        shown = matching.text(own)
        route = Route(
            self._options(data, path, inherited),
            own,
            bool(data.get("continue")),
            self._named(data, "mute_time_intervals", path),
            self._named(data, "active_time_intervals", path),
            (),
            shown if parent is None else f"{parent.key}/{shown}",
            shown if parent is None else f"{parent.id}/{shown}/{index}",
        )
        children = data.get("routes") or []
        if not isinstance(children, list):
            raise BadData(f"{path}.routes: must be a list")
        read = [self._route(child, f"{path}.routes[{i}]", route.options, route, i) for i, child in enumerate(children)]
        self._depth -= 1
        return Route(route.options, own, route.goes_on, route.mute, route.active, tuple(read), route.key, route.id)

    def _options(self, data: Mapping[str, Any], path: str, inherited: Options) -> Options:
        receiver = data.get("receiver") or inherited.receiver
        if receiver not in self.receivers:
            raise BadData(f"{path}.receiver: undefined receiver {receiver!r} used in route")
        times = {
            name: read_duration(data[name], f"{path}.{name}")
            if data.get(name) is not None
            else getattr(inherited, name)
            for name in ("group_wait", "group_interval", "repeat_interval")
        }
        for name in ("group_interval", "repeat_interval"):
            if times[name] <= 0:
                raise BadData(f"{path}.{name}: must be more than 0")
        return Options(receiver, self._group_by(data, path, inherited.group_by), **times)

    def _group_by(self, data: Mapping[str, Any], path: str, inherited: frozenset[str] | None) -> frozenset[str] | None:
        names = data.get("group_by")
        if names is None:
            return inherited
        if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
            raise BadData(f"{path}.group_by: must be a list of label names, or ['...'] for all")
        if len(set(names)) != len(names):
            raise BadData(f"{path}.group_by: a label stands there twice")
        if "..." in names:
            if len(names) > 1:
                raise BadData(f"{path}.group_by: '...' takes all labels, so it must stand alone")
            return None
        return frozenset(names)

    def _named(self, data: Mapping[str, Any], name: str, path: str) -> tuple[str, ...]:
        names = data.get(name) or []
        if not isinstance(names, list):
            raise BadData(f"{path}.{name}: must be a list of names")
        for each in names:
            if each not in self.intervals:
                raise BadData(f"{path}.{name}: undefined time interval {each!r}")
        return tuple(names)
