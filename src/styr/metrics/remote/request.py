"""A write request, decompressed, as arrays. Called by `write` and `metadata`; calls `kernels.wire`. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from styr.metrics.kernels import wire
from styr.metrics.model.errors import BadData
from styr.metrics.model.labels import text as series_text
from styr.metrics.remote.series import labels_of
from styr.metrics.remote.snappy import TooLarge

Ints = NDArray[np.int64]


@dataclass(slots=True)
class Request:
    """A write request as arrays; `kernels.wire.walk` says what they hold. Spots and symbols point into `data`."""

    version: int
    data: NDArray[np.uint8]
    table: Ints
    keys: NDArray[np.uint8]
    key_ends: Ints
    about: Ints
    series_of: Ints
    t: Ints
    values: NDArray[np.float64]
    spots: Ints

    def symbol(self, ref: int) -> str:
        """Raises BadData."""
        if not 0 <= ref < len(self.table):
            raise BadData(f"there is no symbol {ref}; the request has {len(self.table)}")
        start, stop = self.table[ref].tolist()
        try:
            return self.data[start:stop].tobytes().decode()
        except UnicodeDecodeError:
            raise BadData(f"symbol {ref} is not UTF-8") from None

    def series(self, row: int) -> str:
        """For people."""
        start = int(self.key_ends[row - 1]) if row else 0
        try:
            return series_text(labels_of(self.keys.tobytes(), start, int(self.key_ends[row])))
        except ValueError as error:
            return f"series {row} ({error})"


def parse(body: bytes, version: int) -> Request:
    """A decompressed body. Raises BadData with the offset of what is malformed."""
    data = np.zeros(len(body) + 8, np.uint8)
    data[: len(body)] = np.frombuffer(body, np.uint8)
    none = np.zeros((0, 4), np.int64)
    count = wire.symbols(data, len(body), none) if version == 2 else 0
    if count < 0:
        raise BadData("the request's symbols are malformed")
    table = np.zeros((count, 2), np.int64)
    if count:
        wire.symbols(data, len(body), table)
    sizes = np.zeros(4, np.int64)
    nothing, flat = np.zeros(0, np.uint8), np.zeros(0, np.int64)
    args = (data, len(body), version, table)
    wrong = wire.walk(*args, 0, nothing, flat, none, flat, flat, flat, none, sizes)
    if wrong >= 0:
        raise BadData(f"the request is malformed at byte {wrong}")
    series, samples, spots, key_bytes = sizes.tolist()
    if key_bytes > 16 * len(body) + (1 << 20):
        raise TooLarge(f"the labels of the request come to {key_bytes} bytes")
    out = Request(
        version,
        data,
        table,
        np.zeros(key_bytes + 8, np.uint8),
        np.zeros(series, np.int64),
        np.zeros((series, 4), np.int64),
        np.zeros(samples, np.int64),
        np.zeros(samples, np.int64),
        np.zeros(samples, np.float64),
        np.zeros((spots, 4), np.int64),
    )
    bits = out.values.view(np.int64)
    wrong = wire.walk(*args, 1, out.keys, out.key_ends, out.about, out.series_of, out.t, bits, out.spots, sizes)
    if wrong >= 0:
        raise BadData(f"the request is malformed at byte {wrong}")
    return out
