"""Reading a part of the configuration: every error names the path, unknown fields are errors. Called by `config` and
receivers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from styr.metrics.model.errors import BadData
from styr.metrics.rules.durations import read_duration


@dataclass(frozen=True, slots=True)
class Secret:
    """A value that is never shown. From a file it is read anew for each use, so that it can be changed without a restart."""

    value: str = field(default="", repr=False)
    file: str = ""

    def __bool__(self) -> bool:
        return bool(self.value or self.file)

    def read(self) -> str:
        """Raises OSError and UnicodeDecodeError."""
        return Path(self.file).read_text("utf-8").strip() if self.file else self.value


@dataclass(slots=True)
class Fields:
    """One map of the configuration at `path`. Each method takes a field out; `end` complains about what is left."""

    data: dict[str, Any]
    path: str

    @classmethod
    def of(cls, data: Any, path: str) -> Fields:
        if data is None:
            return cls({}, path)
        if not isinstance(data, Mapping) or not all(isinstance(name, str) for name in data):
            raise BadData(f"{path}: must be a map")
        return cls(dict(data), path)

    def where(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name

    def text(self, name: str, default: str = "") -> str:
        value = self.data.pop(name, None)
        if value is None:
            return default
        if isinstance(value, bool):
            return "true" if value else "false"
        if not isinstance(value, (str, int, float)):
            raise BadData(f"{self.where(name)}: must be a text")
        return str(value)

    def flag(self, name: str, default: bool) -> bool:
        value = self.data.pop(name, default)
        if not isinstance(value, bool):
            raise BadData(f"{self.where(name)}: must be true or false")
        return value

    def whole(self, name: str, default: int = 0) -> int:
        value = self.data.pop(name, None)
        if value is None:
            return default
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise BadData(f"{self.where(name)}: must be a whole number")
        return value

    def duration(self, name: str, default: int) -> int:
        value = self.data.pop(name, None)
        return default if value is None else read_duration(value, self.where(name))

    def secret(self, name: str, default: Secret | None = None) -> Secret:
        """`name`, or `name_file` with the path of a file."""
        value, file = self.text(name), self.text(f"{name}_file")
        if value and file:
            raise BadData(f"{self.where(name)}: at most one of {name} and {name}_file may be given")
        return Secret(value, file) if value or file else default or Secret()

    def texts(self, name: str) -> dict[str, str]:
        inner = Fields.of(self.data.pop(name, None), self.where(name))
        return {key: inner.text(key) for key in list(inner.data)}

    def several(self, name: str) -> list[tuple[Any, str]]:
        """The items of a list with their paths."""
        value = self.data.pop(name, None) or []
        if not isinstance(value, list):
            raise BadData(f"{self.where(name)}: must be a list")
        return [(item, f"{self.where(name)}[{index}]") for index, item in enumerate(value)]

    def inner(self, name: str) -> Fields:
        return Fields.of(self.data.pop(name, None), self.where(name))

    def end(self) -> None:
        if self.data:
            names = ", ".join(sorted(self.data))
            raise BadData(f"{self.where(next(iter(self.data)))}: unknown or not honoured here: {names}")


def check_url(url: str, path: str) -> str:
    """Raises BadData for what is no http(s) address. Addresses with templates can only be checked when they are used."""
    if "{{" in url:
        return url
    try:
        split = urlsplit(url)
        fine = split.scheme in ("http", "https") and bool(split.hostname) and (split.port is None or split.port > 0)
    except ValueError:
        fine = False
    if not fine:
        raise BadData(f"{path}: {url!r} is no address; write it as https://host/path")
    return url
