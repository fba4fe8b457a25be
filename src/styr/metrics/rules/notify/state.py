"""What survives a restart, in one file: silences, the notification log, and the alerts that fired. Called by `notifier`.

The file is written whole beside the old one and renamed over it, after every notification and every change of a silence:
whoever is killed in between sends at most that one notification again, and loses no silence that the API has confirmed.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from styr.kit.files import write_atomic
from styr.kit.log import Log
from styr.metrics.model.errors import BadData, StorageError
from styr.metrics.model.labels import make
from styr.metrics.rules.notify import matchers as matching
from styr.metrics.rules.notify.alert import Alert
from styr.metrics.rules.notify.log import Entry
from styr.metrics.rules.notify.silences import Silence
from styr.metrics.rules.workers import Run, thread

log = Log("styr.metrics.notify")
VERSION = 1


@dataclass(frozen=True, slots=True)
class Snapshot:
    silences: Sequence[Silence] = ()
    entries: Sequence[Entry] = ()
    alerts: Sequence[Alert] = ()


def dump(snapshot: Snapshot) -> bytes:
    data = {
        "version": VERSION,
        "silences": [_silence_out(each) for each in snapshot.silences],
        "notifications": [
            {
                "group": each.group,
                "receiver": each.receiver,
                "at": each.at,
                "firing": sorted(each.firing),
                "resolved": sorted(each.resolved),
                "expiresAt": each.expires_at,
            }
            for each in snapshot.entries
        ],
        "alerts": [
            {
                "labels": dict(each.labels),
                "annotations": dict(each.annotations),
                "startsAt": each.starts_at,
                "endsAt": each.ends_at,
                "updatedAt": each.updated_at,
                "generatorURL": each.generator_url,
                "timeout": each.timeout,
            }
            for each in snapshot.alerts
        ],
    }
    return json.dumps(data, separators=(",", ":")).encode()


def load(data: bytes) -> Snapshot:
    """Raises BadData for what this version did not write."""
    try:
        read = json.loads(data)
        if not isinstance(read, dict) or read.get("version") != VERSION:
            raise BadData(f"not a state of version {VERSION}")
        return Snapshot(
            [_silence_in(each) for each in read["silences"]],
            [
                Entry(
                    str(each["group"]),
                    str(each["receiver"]),
                    int(each["at"]),
                    frozenset(map(str, each["firing"])),
                    frozenset(map(str, each["resolved"])),
                    int(each["expiresAt"]),
                )
                for each in read["notifications"]
            ],
            [
                Alert(
                    make(each["labels"]),
                    tuple(each["annotations"].items()),
                    int(each["startsAt"]),
                    int(each["endsAt"]),
                    int(each["updatedAt"]),
                    str(each["generatorURL"]),
                    bool(each["timeout"]),
                )
                for each in read["alerts"]
            ],
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadData(f"not a state of version {VERSION}: {type(error).__name__}: {error}") from None


def _silence_out(silence: Silence) -> dict[str, Any]:
    return {
        "id": silence.id,
        "matchers": [matching.as_json(matcher) for matcher in silence.matchers],
        "startsAt": silence.starts_at,
        "endsAt": silence.ends_at,
        "updatedAt": silence.updated_at,
        "createdBy": silence.created_by,
        "comment": silence.comment,
    }


def _silence_in(data: Mapping[str, Any]) -> Silence:
    return Silence(
        str(data["id"]),
        tuple(matching.of_json(each) for each in data["matchers"]),
        int(data["startsAt"]),
        int(data["endsAt"]),
        int(data["updatedAt"]),
        str(data["createdBy"]),
        str(data["comment"]),
    )


@dataclass(slots=True)
class StateFile:
    """`save` writes what `snapshot` gives at that time; callers that come while a write runs share the next one."""

    path: Path | None
    snapshot: Callable[[], Snapshot]
    run: Run = thread
    _writing: asyncio.Lock = field(default_factory=asyncio.Lock)
    _wanted: int = 0
    _written: int = 0

    def read(self) -> Snapshot:
        """What an earlier process left. A file that is damaged is kept aside under another name, and told: silences in it are
        lost, and what fires is told again. Raises StorageError when there is a file that cannot be read."""
        if self.path is None:
            return Snapshot()
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return Snapshot()
        except OSError as error:
            raise StorageError(f"{self.path}: the notifier's state cannot be read: {error}") from None
        try:
            return load(data)
        except BadData as error:
            aside = self.path.with_suffix(".damaged")
            log.warning("the state of the notifier is damaged and was put aside", file=aside, error=error)
            self.path.replace(aside)
            return Snapshot()

    async def save(self) -> None:
        """Returns when everything before the call is on the disk. Raises StorageError."""
        if self.path is None:
            return
        self._wanted += 1
        mine = self._wanted
        async with self._writing:
            if self._written >= mine:
                return
            upto, data = self._wanted, dump(self.snapshot())
            try:
                await self.run(partial(write_atomic, self.path, data))
            except OSError as error:
                raise StorageError(f"{self.path}: the notifier's state cannot be written: {error}") from None
            self._written = upto
