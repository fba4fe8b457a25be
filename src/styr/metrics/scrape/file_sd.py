"""`file_sd_configs`: target groups in JSON and YAML files, read again when they change. Run by `job`.

A file that cannot be read or understood keeps the targets that it had; it is told once, and again when the reason changes.
"""

from __future__ import annotations

import asyncio
import glob
import json
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from styr.kit.clock import Clock
from styr.kit.log import Log
from styr.metrics.model.errors import BadData
from styr.metrics.scrape.config import FileSd
from styr.metrics.scrape.discovery import Group, Publish
from styr.metrics.scrape.groups import difference, parse_groups

log = Log("styr.metrics.scrape")

LOOK = 5.0
"""Seconds between two looks at the files' times; `refresh_interval` has them read whatever their times say."""

Stamp = tuple[int, int, int]


@dataclass(frozen=True)
class FileDiscovery:
    """`folder` is where relative names begin."""

    config: FileSd
    folder: Path
    clock: Clock = field(compare=False)

    async def run(self, publish: Publish) -> None:
        known: dict[str, tuple[Stamp, list[Group]]] = {}
        told: dict[str, str] = {}
        sources: set[str] = set()
        read_all = self.clock.monotonic()
        while True:
            if self.clock.monotonic() >= read_all:
                known = {name: ((0, 0, 0), groups) for name, (_, groups) in known.items()}
                read_all = self.clock.monotonic() + self.config.refresh_interval / 1000
            changed, known = await asyncio.to_thread(self._look, known, told)
            if changed or not sources:
                groups = [group for _, (_, inner) in sorted(known.items()) for group in inner]
                publish(difference(sources, groups))
                sources = {group.source for group in groups}
            await self.clock.sleep(min(LOOK, self.config.refresh_interval / 1000))

    def _look(
        self, known: dict[str, tuple[Stamp, list[Group]]], told: dict[str, str]
    ) -> tuple[bool, dict[str, tuple[Stamp, list[Group]]]]:
        """Reads what has changed. (whether anything has, what the files hold)."""
        found: dict[str, tuple[Stamp, list[Group]]] = {}
        for pattern in self.config.files:
            for name in sorted(glob.glob(str(self.folder / pattern))):
                before = known.get(name)
                try:
                    state = Path(name).stat()
                    stamp = (state.st_mtime_ns, state.st_size, state.st_ino)
                    groups = before[1] if before and before[0] == stamp else _read(name)
                    told.pop(name, None)
                except (OSError, ValueError, BadData, yaml.YAMLError) as error:
                    if told.get(name) != str(error):
                        log.error("a file of targets is not usable", file=name, reason=str(error))
                    told[name] = str(error)
                    stamp, groups = before or ((0, 0, 0), [])
                found[name] = (stamp, groups)
        same = {name: groups for name, (_, groups) in found.items()} == {n: groups for n, (_, groups) in known.items()}
        return not same, found


def _read(name: str) -> list[Group]:
    text = Path(name).read_text()
    document = json.loads(text) if name.endswith(".json") else yaml.safe_load(text)
    return parse_groups(document, name, {"__meta_filepath": name})
