"""Names and small numbers that several controllers share. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""Kubernetes' own for generated names: no vowels, so no words, and no 0, 1 and 3, which look like letters."""

NAME_LIMIT = 63


def digest(*parts: Any, length: int = 5) -> str:
    """The same letters for the same parts, in every process and version of Python."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    number = int.from_bytes(hashlib.sha256(text.encode()).digest(), "big")
    letters = []
    for _ in range(length):
        number, index = divmod(number, len(ALPHABET))
        letters.append(ALPHABET[index])
    return "".join(letters)


def child_name(base: str, suffix: str) -> str:
    """`base-suffix`, the base cut so that the whole is a valid label."""
    return f"{base[: NAME_LIMIT - 1 - len(suffix)]}-{suffix}"


def without_zeros(counts: Mapping[str, int], *keep: str) -> dict[str, int]:
    """Kubernetes leaves counts of zero out of a status, but for those in `keep`."""
    return {name: count for name, count in counts.items() if count or name in keep}
