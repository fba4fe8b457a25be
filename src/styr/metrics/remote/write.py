"""Prometheus remote write 1.0 and 2.0, receiving side.

Called by `web/write.py` with a body and its headers; calls `kernels.wire`, `series`, `histograms` and the storage's appender. A
request is answered when its samples are on the disk (`Appender.commit`), never before. Start ("created") timestamps are not
stored: the samples before the first one that they imply (a zero at the start) would be made up, and Prometheus stores them
behind a flag only.

What a request may meet (the specification's words): 204 all written; 400 something in it is wrong and will stay wrong, the rest
is written and 2.0's headers say how much; 413 too large; 415 not this media type, message or compression; 5xx nothing is
promised, send it again. Sending it again is harmless: the same value at the same time is no duplicate.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

import numpy as np

from styr.kit.clock import Clock
from styr.metrics.kernels import wire
from styr.metrics.model.errors import BadData, MetricsError, Unavailable
from styr.metrics.model.histogram import Histogram
from styr.metrics.model.labels import METRIC_NAME
from styr.metrics.model.samples import Appended, Appender, Exemplar, Refs
from styr.metrics.remote import histograms
from styr.metrics.remote.metadata import FamilyMetadata
from styr.metrics.remote.proto import DOUBLE, INT, STRING, UINT, Field, Malformed, Table, decode
from styr.metrics.remote.request import Request, parse
from styr.metrics.remote.series import SeriesRefs, checked
from styr.metrics.remote.snappy import TooLarge, decompress

V1, V2 = "prometheus.WriteRequest", "io.prometheus.write.v2.Request"
PROTOBUF = "application/x-protobuf"
MAX_AHEAD = 600.0
"""Seconds that a sample may lie in the future; Prometheus' limit for pushed samples."""
IN_THREAD = 128 << 10
"""Bodies from this size on are walked by a worker thread: it takes longer than the event loop may be held up."""
MAX_TOLD = 10
"""Complaints in an answer; then only their number."""

LABEL: Table = {1: Field("name", STRING), 2: Field("value", STRING)}
EXEMPLAR_V1: Table = {1: Field("labels", lambda: LABEL, True), 2: Field("value", DOUBLE), 3: Field("timestamp", INT)}
EXEMPLAR_V2: Table = {1: Field("labels_refs", UINT, True), 2: Field("value", DOUBLE), 3: Field("timestamp", INT)}
METADATA_V1: Table = {
    1: Field("type", UINT),
    2: Field("metric_family_name", STRING),
    4: Field("help", STRING),
    5: Field("unit", STRING),
}


@dataclass(slots=True)
class Answer:
    """An HTTP response without a shell."""

    status: int
    text: str = ""
    headers: dict[str, str] = field(default_factory=dict)


def message_of(content_type: str) -> int:
    """1 or 2. Raises BadData that says what is taken instead."""
    media, *parameters = [part.strip() for part in content_type.split(";")]
    if media and media.lower() != PROTOBUF:
        raise BadData(f"content type {content_type!r} is not taken here; {PROTOBUF} is")
    for parameter in parameters:
        name, equals, value = parameter.partition("=")
        if not equals:
            raise BadData(f"content type {content_type!r}: {parameter!r} is no parameter")
        if name.strip().lower() == "proto":
            value = value.strip().strip('"')
            if value not in (V1, V2):
                raise BadData(f"message {value!r} is not taken here; {V1} and {V2} are")
            return 1 if value == V1 else 2
    return 1


@dataclass(slots=True)
class Written:
    """What of a request was stored, and what was not."""

    samples: int = 0
    histograms: int = 0
    exemplars: int = 0
    refused: list[str] = field(default_factory=list)
    more: int = 0

    def refuse(self, reason: str) -> None:
        if len(self.refused) < MAX_TOLD:
            self.refused.append(reason)
        else:
            self.more += 1

    def answer(self, version: int) -> Answer:
        headers = {}
        if version == 2:
            headers = {
                f"x-prometheus-remote-write-{what}-written": str(count)
                for what, count in (
                    ("samples", self.samples),
                    ("histograms", self.histograms),
                    ("exemplars", self.exemplars),
                )
            }
        if not self.refused:
            return Answer(204, headers=headers)
        rest = [f"and {self.more} more"] if self.more else []
        return Answer(400, "\n".join([*self.refused, *rest]) + "\n", headers)


class WriteReceiver:
    """`await receiver(headers, body)` for each request."""

    def __init__(self, appender: Appender, clock: Clock, random: Random) -> None:
        self._appender = appender
        self._clock = clock
        self._series = SeriesRefs(appender, random)
        self._metadata = FamilyMetadata(appender, clock)

    async def __call__(self, headers: Mapping[str, str], body: bytes) -> Answer:
        """Never raises for what a sender does. `headers` have lower-case names."""
        encoding = headers.get("content-encoding", "snappy").strip().lower()
        try:
            version = message_of(headers.get("content-type", PROTOBUF))
        except BadData as error:
            return Answer(415, f"{error}\n")
        if encoding not in ("snappy", ""):
            return Answer(415, f"content encoding {encoding!r} is not taken here; snappy is\n")
        try:
            if len(body) >= IN_THREAD:
                request = await asyncio.to_thread(_unpack, body, version)
            else:
                request = _unpack(body, version)
            written = self._append(request)
            await self._appender.commit()
        except TooLarge as error:
            return Answer(413, f"{error}\n")
        except BadData as error:
            return Answer(400, f"{error}\n")
        except Unavailable as error:
            return Answer(503, f"{error}\n", {"retry-after": "5"})
        except MetricsError as error:
            return Answer(500, f"{error}\n")
        return written.answer(version)

    def _append(self, request: Request) -> Written:
        """Everything that can be stored."""
        written = Written()
        rows = self._series.refs(request.keys, request.key_ends, request.about)
        for row, reason in rows.bad.items():
            written.refuse(f"series {row}: {reason}")
        if request.version == 2:
            _refuse_empty(request, rows.refs, written)
        latest = int((self._clock.time() + MAX_AHEAD) * 1000)
        self._append_samples(request, rows.refs, latest, written)
        if len(request.spots):
            self._append_spots(request, rows.refs, latest, written)
        if request.version == 2:
            self._metadata.of_series(request, rows.learned)
        return written

    def _append_samples(self, request: Request, series_refs: Refs, latest: int, written: Written) -> None:
        series_of, t, values = request.series_of, request.t, request.values
        if not len(t):
            return
        refs = series_refs[series_of]
        take = (refs >= 0) & (t <= latest)
        if not take.all():
            for i in np.flatnonzero((refs >= 0) & (t > latest))[: MAX_TOLD + 1].tolist():
                written.refuse(
                    f"out of bounds: the time {t[i]} is too far in the future: {request.series(series_of[i])}"
                )
            series_of, refs, t, values = series_of[take], refs[take], t[take], values[take]
        appended = self._appender.append(refs, t, values)
        written.samples += appended.added
        for i in list(appended.refused)[: MAX_TOLD + 1]:
            written.refuse(f"{_reason(appended)} at {t[i]}: {request.series(int(series_of[i]))}")
        written.more += max(0, len(appended.refused) - MAX_TOLD - 1)

    def _append_spots(self, request: Request, refs: Refs, latest: int, written: Written) -> None:
        found: list[tuple[int, int, int, Histogram]] = []
        exemplars: list[tuple[int, Exemplar]] = []
        data = request.data.data
        for what, row, start, stop in request.spots.tolist():
            if what == wire.METADATA:
                self._metadata.of_family(decode(data[start:stop], METADATA_V1))
                continue
            if refs[row] < 0:
                continue
            try:
                if what == wire.HISTOGRAM:
                    t, histogram = histograms.read(data[start:stop])
                    if t > latest:
                        raise BadData(f"out of bounds: the time {t} is too far in the future")
                    found.append((row, int(refs[row]), t, histogram))
                else:
                    exemplars.append((int(refs[row]), _exemplar(request, data[start:stop])))
            except Malformed:
                raise
            except BadData as error:
                written.refuse(f"{error}: {request.series(row)}")
        self._append_histograms(request, found, written)
        if exemplars:
            self._appender.append_exemplars([ref for ref, _ in exemplars], [each for _, each in exemplars])
            written.exemplars += len(exemplars)

    def _append_histograms(
        self, request: Request, found: list[tuple[int, int, int, Histogram]], written: Written
    ) -> None:
        if not found:
            return
        rows, refs, t, values = zip(*found, strict=True)
        appended = self._appender.append_histograms(refs, t, values)
        written.histograms += appended.added
        for i in appended.refused:
            written.refuse(f"{_reason(appended)} at {t[i]}: {request.series(rows[i])}")


def _unpack(body: bytes, version: int) -> Request:
    return parse(bytes(decompress(body)), version)


def _reason(appended: Appended) -> str:
    """Why samples were refused. One request rarely has more than one kind."""
    kinds = [
        name
        for name, count in (
            ("duplicate sample for timestamp", appended.duplicate),
            ("out of order sample", appended.out_of_order),
            ("too old sample", appended.too_old),
        )
        if count
    ]
    return " or ".join(kinds) or "refused sample"


def _refuse_empty(request: Request, refs: Refs, written: Written) -> None:
    """2.0 wants at least one sample or histogram in each series."""
    has = np.zeros(len(refs), np.bool_)
    has[request.series_of] = True
    has[request.spots[request.spots[:, 0] == wire.HISTOGRAM, 1]] = True
    for row in np.flatnonzero(~has & (refs >= 0)).tolist():
        written.refuse(f"there is neither a sample nor a histogram: {request.series(row)}")


def _exemplar(request: Request, data: memoryview) -> Exemplar:
    """Raises BadData."""
    message = decode(data, EXEMPLAR_V1 if request.version == 1 else EXEMPLAR_V2)
    if request.version == 1:
        pairs = [(each.get("name", ""), each.get("value", "")) for each in message["labels"]]
    else:
        names = [request.symbol(ref) for ref in message["labels_refs"]]
        if len(names) % 2:
            raise BadData("an exemplar has an odd number of label references")
        pairs = list(zip(names[::2], names[1::2], strict=True))
    try:
        labels = checked([*pairs, (METRIC_NAME, "exemplar")])
    except ValueError as error:
        raise BadData(f"exemplar: {error}") from None
    labels = tuple(pair for pair in labels if pair[0] != METRIC_NAME)
    return Exemplar(labels, message.get("value", 0.0), message.get("timestamp", 0))
