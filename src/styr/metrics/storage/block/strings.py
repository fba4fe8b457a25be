"""Many strings out of a map at once. Called by `index` and `offsettable`; calls `kernels.index`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from styr.metrics.kernels import index as kernels
from styr.metrics.model.errors import Corrupt

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]


def decode(data: Bytes, starts: Ints, ends: Ints, file: str) -> list[str]:
    """`data[starts[i]:ends[i]]` as text; the bounds are in `data`. Raises Corrupt when one is not UTF-8."""
    if not len(starts):
        return []
    out = np.empty(int((ends - starts).sum()) + len(starts), np.uint8)
    length = kernels.join_strings(data, starts, ends, out)
    try:
        if length >= 0:  # One decoding for all.
            found = out[:length].tobytes().decode().split("\0")
            found.pop()
            return found
        bounds = zip(starts.tolist(), ends.tolist(), strict=True)
        return [data[start:end].tobytes().decode() for start, end in bounds]
    except UnicodeDecodeError as error:
        raise Corrupt(f"a name or value is not UTF-8: {error}", file, int(starts.min())) from None
