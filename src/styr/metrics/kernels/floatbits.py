"""The bits of a float, and back. Called by `gomath` and `angles`."""

from __future__ import annotations

import numpy as np

from styr.metrics.kernels.jit import kernel


@kernel()
def bits_of(x: float) -> int:
    one = np.empty(1, np.float64)
    one[0] = x
    return int(one.view(np.int64)[0])


@kernel()
def of_bits(x: int) -> float:
    one = np.empty(1, np.int64)
    one[0] = x
    return float(one.view(np.float64)[0])
