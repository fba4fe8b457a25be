"""Reading a configuration's mappings: every error names the field by its path. Called by `config`; pure.

Units as in Prometheus' files: durations (`1h30m`, model.ParseDuration) become ms, sizes (`10MB`, powers of 1024) bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from styr.metrics.model.errors import BadData

_DURATION = re.compile(
    r"(?:([0-9]+)y)?(?:([0-9]+)w)?(?:([0-9]+)d)?(?:([0-9]+)h)?(?:([0-9]+)m)?(?:([0-9]+)s)?(?:([0-9]+)ms)?"
)
_UNITS = (
    ("y", 31_536_000_000),
    ("w", 604_800_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
)
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)(?:([KMGTPE])i?)?B")


def parse_duration(text: str) -> int:
    """Milliseconds. Raises ValueError."""
    found = _DURATION.fullmatch(text)
    if text == "0":
        return 0
    if not text or found is None:
        raise ValueError(f"not a valid duration: {text!r}; such as 15s or 1h30m")
    total = sum(int(count or 0) * unit for count, (_, unit) in zip(found.groups(), _UNITS, strict=True))
    if total >= 1 << 63:
        raise ValueError(f"duration out of range: {text!r}")
    return total


def duration_text(ms: int) -> str:
    """As Prometheus prints one: years and weeks only when nothing is left over."""
    if ms == 0:
        return "0s"
    text = ""
    for name, unit in _UNITS:
        if ms >= unit and not (name in "yw" and ms % unit):
            text += f"{ms // unit}{name}"
            ms %= unit
    return text


def parse_size(text: str) -> int:
    """Bytes. Raises ValueError."""
    if text == "0":
        return 0
    found = _SIZE.fullmatch(text)
    if found is None:
        raise ValueError(f"not a valid size: {text!r}; such as 512KB or 10MB")
    return int(float(found[1]) * 1024 ** ("KMGTPE".index(found[2]) + 1 if found[2] else 0))


class Fields:
    """One mapping of a configuration. Each field is read once; `end` refuses what nobody read. All raise BadData."""

    def __init__(self, value: Any, path: str) -> None:
        self.path = path
        if value is None:
            value = {}
        if not isinstance(value, Mapping):
            raise BadData(f"{path}: a mapping is needed, not {_kind(value)}")
        self._left = {str(name): inner for name, inner in value.items()}

    def __contains__(self, name: str) -> bool:
        return name in self._left

    def names(self) -> list[str]:
        """Of the fields that nobody has read yet, sorted."""
        return sorted(self._left)

    def error(self, name: str, message: str) -> BadData:
        return BadData(f"{self.path}.{name}: {message}")

    def raw(self, name: str) -> Any:
        return self._left.pop(name, None)

    def text(self, name: str, default: str = "") -> str:
        value = self.raw(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            raise self.error(name, f"a text is needed, not {_kind(value)}")
        return str(value)

    def choice(self, name: str, among: tuple[str, ...], default: str) -> str:
        value = self.text(name, default)
        if value not in among:
            raise self.error(name, f"{value!r} is none of {', '.join(each for each in among if each)}")
        return value

    def flag(self, name: str, default: bool) -> bool:
        value = self.raw(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.error(name, f"true or false is needed, not {_kind(value)}")
        return value

    def count(self, name: str, default: int = 0) -> int:
        value = self.raw(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 63:
            raise self.error(name, f"a whole number from 0 is needed, not {value!r}")
        return value

    def number(self, name: str, default: float = 0.0) -> float:
        value = self.raw(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self.error(name, f"a number is needed, not {value!r}")
        return float(value)

    def duration(self, name: str, default: int = 0) -> int:
        return self._read(name, default, parse_duration)

    def size(self, name: str, default: int = 0) -> int:
        return self._read(name, default, parse_size)

    def _read(self, name: str, default: int, parse: Any) -> int:
        if self._left.get(name) is None:
            return default
        try:
            return int(parse(self.text(name)))
        except ValueError as error:
            raise self.error(name, str(error)) from None

    def texts(self, name: str) -> tuple[str, ...]:
        value = self.raw(name)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(each, (str, int, float)) for each in value):
            raise self.error(name, "a list of texts is needed")
        return tuple(str(each) for each in value)

    def mapping(self, name: str) -> dict[str, str]:
        """Texts by name, as labels are."""
        inner = self.section(name)
        return {key: inner.text(key) for key in inner.names()}

    def section(self, name: str) -> Fields:
        return Fields(self.raw(name), f"{self.path}.{name}")

    def sections(self, name: str) -> Iterator[Fields]:
        value = self.raw(name)
        if value is not None and not isinstance(value, list):
            raise self.error(name, f"a list is needed, not {_kind(value)}")
        for place, inner in enumerate(value or ()):
            if inner is None:
                raise self.error(f"{name}[{place}]", "is empty")
            yield Fields(inner, f"{self.path}.{name}[{place}]")

    def end(self) -> None:
        if self._left:
            raise self.error(min(self._left), "no such field")


def _kind(value: Any) -> str:
    return {"list": "a list", "str": "a text", "int": "a number", "float": "a number", "bool": "true or false"}.get(
        type(value).__name__, type(value).__name__
    )
