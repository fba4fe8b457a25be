"""Which HTTPRoute is guilty when Envoy rejects a route configuration that was made of many.

Called by `gateway` with Envoy's answers; its `held` goes into the next translation. Envoy's text names no route, so the
routes that are new since the last acceptance are halved until one is left; what was held back is tried again after each
acceptance. That is about log2(n)^2 / 2 answers of a few ms for each bad route. All others go into force; the guilty one is
served as Envoy last took it. Pure state, no I/O.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from styr.gateway.ir import ObjectKey, Route


@dataclass(frozen=True, slots=True)
class Refusal:
    generation: int
    message: str


class Quarantine:
    def __init__(self) -> None:
        self.good: dict[ObjectKey, Route] = {}
        """Each route as Envoy last took it."""
        self.rejected: dict[ObjectKey, Refusal] = {}
        self.waiting: dict[ObjectKey, int] = {}
        """Generations that are held back while others are tried."""

    @property
    def held(self) -> dict[ObjectKey, int]:
        return {**self.waiting, **{key: refusal.generation for key, refusal in self.rejected.items()}}

    def forget(self, present: Iterable[ObjectKey]) -> None:
        """Drops what is known of routes that are gone."""
        keep = set(present)
        for table in (self.good, self.rejected, self.waiting):
            for key in [key for key in table if key not in keep]:
                del table[key]

    def taken(self, served: Mapping[ObjectKey, Route]) -> bool:
        """Envoy accepted a configuration with these routes. True when others may now be tried."""
        self.good.update(served)
        for key, route in served.items():
            if key in self.rejected and self.rejected[key].generation < route.source.generation:
                del self.rejected[key]
        waiting, self.waiting = self.waiting, {}
        return bool(waiting)

    def refused(self, served: Mapping[ObjectKey, Route], members: Iterable[ObjectKey], message: str) -> bool:
        """Envoy rejected a configuration with `served`, of which `members` were in the resource it named. True when the
        next translation will differ."""
        suspects = sorted(key for key in set(members) if key in served and self.good.get(key) != served[key])
        if not suspects:
            return False
        if len(suspects) == 1:
            self.rejected[suspects[0]] = Refusal(served[suspects[0]].source.generation, message)
        else:
            self.waiting |= {key: served[key].source.generation for key in suspects[len(suspects) // 2 :]}
        return True
