"""The notification log: what was told to whom, so that it is not told twice. Called by `pipeline` and `state`. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Reason = Literal[
    "", "first notification", "new alerts in group", "all alerts resolved", "new resolved alerts", "repeat interval"
]


@dataclass(frozen=True, slots=True)
class Entry:
    """The last notification of a group by one integration of a receiver. Fingerprints; times in milliseconds. Kept until
    `expires_at`: twice the repeat interval, since nobody asks for it after that."""

    group: str
    receiver: str
    at: int
    firing: frozenset[str]
    resolved: frozenset[str]
    expires_at: int


def reason(
    entry: Entry | None, firing: frozenset[str], resolved: frozenset[str], repeat: int, now: int, send_resolved: bool
) -> Reason:
    """Why to notify now, "" for not at all."""
    if entry is None:
        return "first notification" if firing else ""
    if not firing <= entry.firing:
        return "new alerts in group" if entry.firing else "first notification"
    if not firing:
        return "all alerts resolved" if entry.firing else ""
    if send_resolved and not resolved <= entry.resolved:
        return "new resolved alerts"
    return "repeat interval" if entry.at < now - repeat else ""


class NotificationLog:
    def __init__(self) -> None:
        self._entries: dict[tuple[str, str], Entry] = {}

    def find(self, group: str, receiver: str, now: int) -> Entry | None:
        entry = self._entries.get((group, receiver))
        return entry if entry is not None and entry.expires_at > now else None

    def put(self, entry: Entry) -> None:
        self._entries[entry.group, entry.receiver] = entry

    def every(self) -> list[Entry]:
        return list(self._entries.values())

    def load(self, entries: Iterable[Entry]) -> None:
        self._entries = {(entry.group, entry.receiver): entry for entry in entries}

    def clean(self, now: int) -> None:
        self._entries = {key: entry for key, entry in self._entries.items() if entry.expires_at > now}
