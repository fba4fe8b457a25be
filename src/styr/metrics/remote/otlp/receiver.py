"""Answers OTLP requests. Called by `web/write.py`; calls `messages`, `points` and the storage's appender.

A request is answered when its samples are on the disk. What cannot be taken is told as OTLP's partial success (HTTP 200 with
a count and a reason), so that the sender drops it instead of sending all of it again; a request of which nothing can be taken
is 400.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from styr.kit.clock import Clock
from styr.metrics.model.errors import BadData, MetricsError, Unavailable
from styr.metrics.model.labels import Labels
from styr.metrics.model.samples import STALE_BITS, Appender, Refs
from styr.metrics.remote.metadata import FamilyMetadata
from styr.metrics.remote.otlp.messages import RESPONSE, from_json, from_protobuf
from styr.metrics.remote.otlp.names import Settings
from styr.metrics.remote.otlp.points import Batch, translate
from styr.metrics.remote.proto import encode
from styr.metrics.remote.write import MAX_AHEAD

PROTOBUF, JSON, TEXT = "application/x-protobuf", "application/json", "text/plain; charset=utf-8"
MAX_KNOWN = 1_000_000
"""Label sets whose refs are remembered."""


@dataclass(slots=True)
class Answer:
    status: int
    body: bytes
    content_type: str = TEXT


class OtlpReceiver:
    """`await receiver(headers, body)` for each request."""

    def __init__(self, appender: Appender, clock: Clock, settings: Settings) -> None:
        self._appender = appender
        self._clock = clock
        self._settings = settings
        self._metadata = FamilyMetadata(appender, clock)
        self._known: dict[Labels, int] = {}
        self._generation = appender.generation

    async def __call__(self, headers: Mapping[str, str], body: bytes) -> Answer:
        """Never raises for what a sender does. The body is inflated already."""
        media = headers.get("content-type", PROTOBUF).partition(";")[0].strip().lower()
        encoding = headers.get("content-encoding", "").strip().lower()
        if media not in (PROTOBUF, JSON):
            return Answer(415, f"content type {media!r} is not taken here; {PROTOBUF} and {JSON} are\n".encode())
        if encoding not in ("", "identity"):
            return Answer(415, f"content encoding {encoding!r} is not taken here; gzip is\n".encode())
        try:
            batch = await asyncio.to_thread(_translated, media, body, self._settings)
            added = self._append(batch)
            await self._appender.commit()
        except BadData as error:
            return Answer(400, f"{error}\n".encode())
        except Unavailable as error:
            return Answer(503, f"{error}\n".encode())
        except MetricsError as error:
            return Answer(500, f"{error}\n".encode())
        if batch.rejected and not added:
            return Answer(400, ("; ".join(batch.errors) + "\n").encode())
        return _success(media, batch)

    def _append(self, batch: Batch) -> int:
        """How many samples went in; what was refused is told to the batch."""
        latest = int((self._clock.time() + MAX_AHEAD) * 1000)
        added = 0
        if batch.v:
            refs, t = self._refs(batch.labels), np.array(batch.t, np.int64)
            values = np.array(batch.v, np.float64)
            values.view(np.int64)[batch.stale] = STALE_BITS
            take = t <= latest
            appended = self._appender.append(refs[take], t[take], values[take])
            added += appended.added
            self._tell(batch, len(appended.refused), int((~take).sum()))
        found = [row for row in batch.histograms if row[1] <= latest]
        if found:
            refs = self._refs([labels for labels, _, _ in found])
            appended = self._appender.append_histograms(
                refs.tolist(), [t for _, t, _ in found], [histogram for _, _, histogram in found]
            )
            added += appended.added
            self._tell(batch, len(appended.refused), len(batch.histograms) - len(found))
        if batch.exemplars:
            refs = self._refs([labels for labels, _ in batch.exemplars])
            self._appender.append_exemplars(refs.tolist(), [each for _, each in batch.exemplars])
        for family, about in batch.metadata.items():
            self._metadata.tell(family, about)
        return added

    def _tell(self, batch: Batch, refused: int, ahead: int) -> None:
        if refused:
            batch.refuse(refused, f"{refused} samples are out of order, too old, or there with another value")
        if ahead:
            batch.refuse(ahead, f"{ahead} samples are out of bounds: too far in the future")

    def _refs(self, series: Sequence[Labels]) -> Refs:
        if self._generation != self._appender.generation or len(self._known) > MAX_KNOWN:
            self._generation = self._appender.generation
            self._known.clear()
        new = list(dict.fromkeys(labels for labels in series if labels not in self._known))
        if new:
            self._known.update(zip(new, self._appender.refs(new).tolist(), strict=True))
        return np.array([self._known[labels] for labels in series], np.int64)


def _translated(media: str, body: bytes, settings: Settings) -> Batch:
    return translate(from_json(body) if media == JSON else from_protobuf(body), settings)


def _success(media: str, batch: Batch) -> Answer:
    partial = {"rejected_data_points": batch.rejected, "error_message": "; ".join(batch.errors)}
    told = batch.rejected or batch.errors
    if media == JSON:
        shown = {"rejectedDataPoints": str(batch.rejected), "errorMessage": partial["error_message"]}
        return Answer(200, msgspec.json.encode({"partialSuccess": shown} if told else {}), JSON)
    return Answer(200, encode({"partial_success": partial} if told else {}, RESPONSE), PROTOBUF)
