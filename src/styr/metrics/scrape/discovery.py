"""Where targets come from: the seam between whoever finds them (files, HTTP, Kubernetes) and `pool`, which scrapes them.

Implemented here (`Static`), by `file_sd`, `http_sd` and `kubernetes`; run by `pool`, one per job and discovery. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

ADDRESS = "__address__"
META = "__meta_"
"""Labels with this prefix are for relabelling; they, like all that begin with `__`, are gone after it."""


@dataclass(frozen=True, slots=True)
class Group:
    """Targets that came from one place. `source` names the place and is unique within a discovery: `pod/default/web-1`, a
    file's path. A target is its labels, `__address__` (host:port) among them; it wins over the group's common `labels`."""

    source: str
    targets: Sequence[Mapping[str, str]] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


Publish = Callable[[Sequence[Group]], None]
"""Takes groups that are new or have changed, each replacing the one of the same source; one without targets removes it. Sources
that are not named stay as they are. Cheap: called as often as there is something to tell, the pool collects for itself."""


class Discovery(Protocol):
    """One way to find targets. Two discoveries that are equal (`==`) do the same: on a reload the one that runs goes on,
    its targets undisturbed. Frozen dataclasses are right; so is plain identity, for one that lives long."""

    async def run(self, publish: Publish) -> None:
        """Publishes what there is, at once, and then each change, until it is cancelled. A source of targets that cannot be
        reached is its own to retry, and the groups known so far stay. Raising ends it: the pool logs, and runs it again."""


@dataclass(frozen=True)
class Static:
    """`static_configs`: the same groups for ever."""

    groups: Sequence[Group]

    async def run(self, publish: Publish) -> None:
        publish(self.groups)
