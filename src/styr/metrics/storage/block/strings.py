"""Many strings out of a map at once. Called by `index` and `offsettable`. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from styr.metrics.model.errors import Corrupt

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]

_SPARSE = 1000
"""Bytes for each string from which on they are copied one by one, not all at once with what is between them."""


def decode(data: Bytes, starts: Ints, ends: Ints, file: str) -> list[str]:
    """`data[starts[i]:ends[i]]` as text; the bounds are in `data`. Raises Corrupt when one is not UTF-8."""
    if not len(starts):
        return []
    low, high = int(starts.min()), int(ends.max())
    try:
        if high - low > _SPARSE * len(starts):
            return [
                data[start:end].tobytes().decode() for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
            ]
        blob = data[low:high].tobytes()
        bounds = zip((starts - low).tolist(), (ends - low).tolist(), strict=True)
        if blob.isascii():  # One decoding for all; slices of it are as long in characters as in bytes.
            text = blob.decode("ascii")
            return [text[start:end] for start, end in bounds]
        return [blob[start:end].decode() for start, end in bounds]
    except UnicodeDecodeError as error:
        raise Corrupt(f"a name or value is not UTF-8: {error}", file, low) from None
