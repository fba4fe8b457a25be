"""The labels `pod-security.kubernetes.io/*` of a namespace, as what is to be checked. Pure; called by the plugin."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

PREFIX = "pod-security.kubernetes.io/"
LEVELS = ("privileged", "baseline", "restricted")
"""From the laxest to the strictest."""
LATEST = 1 << 20
"""The minor version that stands for `latest`."""
_VERSION = re.compile(r"v1\.(0|[1-9][0-9]{0,5})")


@dataclass(frozen=True, slots=True)
class Standard:
    """A level in the state of one minor version of Kubernetes."""

    level: str = "privileged"
    minor: int = LATEST

    def __str__(self) -> str:
        return f"{self.level}:{'latest' if self.minor == LATEST else f'v1.{self.minor}'}"

    @property
    def is_free(self) -> bool:
        return self.level == LEVELS[0]

    def stricter(self, other: Standard) -> bool:
        return LEVELS.index(self.level) > LEVELS.index(other.level)


FREE = Standard()


@dataclass(frozen=True, slots=True)
class Policy:
    """`errors` are (label, value, what is wrong)."""

    enforce: Standard = FREE
    audit: Standard = FREE
    warn: Standard = FREE
    errors: tuple[tuple[str, str, str], ...] = ()

    @property
    def is_free(self) -> bool:
        return self.enforce.is_free and self.audit.is_free and self.warn.is_free and not self.errors


NONE = Policy()


def read(labels: Mapping[str, Any] | None) -> Policy:
    """A label that cannot be read counts as the strictest for `enforce`, and as nothing for the others. Who enforces is warned
    of as much, unless the labels say otherwise."""
    if not labels or not any(key.startswith(PREFIX) for key in labels):
        return NONE
    errors: list[tuple[str, str, str]] = []
    found = {mode: _standard(mode, labels, errors) for mode in ("enforce", "audit", "warn")}
    said = labels.get(f"{PREFIX}enforce") in LEVELS
    if f"{PREFIX}warn" not in labels and said and found["enforce"].stricter(found["warn"]):
        minor = found["warn"].minor if f"{PREFIX}warn-version" in labels else found["enforce"].minor
        found["warn"] = Standard(found["enforce"].level, minor)
    return Policy(found["enforce"], found["audit"], found["warn"], tuple(errors))


def _standard(mode: str, labels: Mapping[str, Any], errors: list[tuple[str, str, str]]) -> Standard:
    level, minor = LEVELS[0], LATEST
    if (text := labels.get(f"{PREFIX}{mode}")) is not None:
        if text in LEVELS:
            level = text
        else:
            level = LEVELS[-1] if mode == "enforce" else LEVELS[0]
            errors.append((f"{PREFIX}{mode}", str(text), f"must be one of {', '.join(LEVELS)}"))
    if (text := labels.get(f"{PREFIX}{mode}-version")) not in (None, "latest"):
        match = _VERSION.fullmatch(str(text))
        if match:
            minor = int(match[1])
        else:
            errors.append((f"{PREFIX}{mode}-version", str(text), 'must be "latest" or "v1.x"'))
    return Standard(level, minor)
