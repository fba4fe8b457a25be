"""One alert as the notifier keeps it. Called by all of `notify`. Pure; times in milliseconds.

Fingerprints and the merging of two reports of one alert are Alertmanager's, so that its clients see the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from styr.metrics.model.labels import Labels, get, is_legacy_label_name, quote

_OFFSET, _PRIME, _MASK = 0xCBF29CE484222325, 0x100000001B3, (1 << 64) - 1


def fingerprint(labels: Labels) -> str:
    """FNV-1a over names and values, 16 hex digits."""
    digest = _OFFSET
    for name, value in labels:
        for text in (name, value):
            for byte in text.encode("utf-8", "surrogatepass"):
                digest = (digest ^ byte) * _PRIME & _MASK
            digest = (digest ^ 255) * _PRIME & _MASK
    return f"{digest:016x}"


@dataclass(frozen=True, slots=True)
class Alert:
    """`ends_at`: resolved once that is past. `timeout`: nobody said so, it is only how long silence means that it still
    fires."""

    labels: Labels
    annotations: Labels
    starts_at: int
    ends_at: int
    updated_at: int
    generator_url: str = ""
    timeout: bool = False

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.labels)

    def resolved(self, now: int) -> bool:
        return self.ends_at <= now

    def merged(self, newer: Alert, now: int) -> Alert:
        """This and a later report as one. Reports that do not overlap in time are two incidents: the later one stands alone."""
        overlaps = (self.starts_at < newer.ends_at < self.ends_at) or (self.starts_at < newer.starts_at < self.ends_at)
        if not overlaps:
            return newer
        ends = newer.ends_at
        if newer.resolved(now):
            ends = max(ends, self.ends_at) if self.resolved(now) else ends
        elif not self.timeout:
            ends = max(ends, self.ends_at)
        return replace(newer, starts_at=min(self.starts_at, newer.starts_at), ends_at=ends)


def order(alerts: Iterable[Alert]) -> list[Alert]:
    """As notifications list them: by job, instance, then all labels."""
    return sorted(alerts, key=lambda each: (get(each.labels, "job"), get(each.labels, "instance"), each.labels))


def label_text(labels: Labels) -> str:
    """`{a="b", c="d"}`, as group keys show a label set."""
    pairs = (f"{name if is_legacy_label_name(name) else quote(name)}={quote(value)}" for name, value in labels)
    return "{" + ", ".join(pairs) + "}"
