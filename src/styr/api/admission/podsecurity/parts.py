"""What the checks have in common: the containers of a pod, their security contexts, and the words of a fault. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

Context = Mapping[str, Any]


class Fault(NamedTuple):
    """What is forbidden, and where: `reason (detail)`."""

    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Pod:
    """`minor` is the version of the standard that it is held to."""

    spec: Mapping[str, Any]
    annotations: Mapping[str, str]
    minor: int

    @property
    def containers(self) -> Iterator[Mapping[str, Any]]:
        for group in ("initContainers", "containers", "ephemeralContainers"):
            yield from self.spec.get(group) or ()

    @property
    def context(self) -> Context:
        return self.spec.get("securityContext") or {}

    @property
    def is_windows(self) -> bool:
        return (self.spec.get("os") or {}).get("name") == "windows" and self.minor >= 25

    @property
    def has_own_users(self) -> bool:
        """Root in its user namespace is nobody outside of it."""
        return self.spec.get("hostUsers") is False and self.minor >= 35

    def named(self, wrong: Callable[[Context], bool]) -> list[str]:
        """The containers whose security context is wrong."""
        return [str(c["name"]) for c in self.containers if wrong(c.get("securityContext") or {})]

    def setters(self, wrong: Callable[[Context], bool]) -> list[str]:
        """`pod`, and `container "a"` or `containers "a", "b"`, that are wrong."""
        found = ["pod"] if wrong(self.context) else []
        return [*found, *([containers(names)] if (names := self.named(wrong)) else [])]


def quoted(items: Iterable[str]) -> str:
    return ", ".join(f'"{item}"' for item in items)


def plural(word: str, items: Iterable[Any]) -> str:
    return word if len(list(items)) == 1 else f"{word}s"


def containers(names: list[str]) -> str:
    return f"{plural('container', names)} {quoted(names)}"


def both(setters: list[str]) -> str:
    return " and ".join(setters)
