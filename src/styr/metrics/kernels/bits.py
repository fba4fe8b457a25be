"""Big-endian 64-bit loads and stores at any byte of a buffer, and counting zeros. Called by `xor` and `head`.

Loads and stores are single machine instructions and check nothing: callers know that 8 bytes are there. With
`STYR_KERNEL_BOUNDSCHECK=1` they go byte by byte, so that a fuzzer sees every access out of bounds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from styr.metrics.kernels.jit import BOUNDSCHECK, kernel

Bytes = NDArray[np.uint8]
Int = Any
"""A machine integer in a kernel: numba, not mypy, gives it its width."""

_intrinsic: Callable[[Callable[..., Any]], Any] = intrinsic


@_intrinsic
def clz(_context: Any, value: Any) -> Any:
    """Leading zero bits of a u8; 64 for 0."""

    def generate(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.ctlz(args[0], cgutils.false_bit)

    return types.int64(types.uint64), generate


@_intrinsic
def ctz(_context: Any, value: Any) -> Any:
    """Trailing zero bits of a u8; 64 for 0."""

    def generate(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], cgutils.false_bit)

    return types.int64(types.uint64), generate


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), context.get_value_type(types.uint64).as_pointer())


@_intrinsic
def _load(_context: Any, array: Any, index: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _pointer(context, builder, signature.args[0], args[0], args[1])
        return builder.bswap(builder.load(pointer, align=1))

    return types.uint64(array, types.int64), generate


@_intrinsic
def _store(_context: Any, array: Any, index: Any, value: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _pointer(context, builder, signature.args[0], args[0], args[1])
        builder.store(builder.bswap(args[2]), pointer, align=1)
        return context.get_dummy_value()

    return types.void(array, types.int64, types.uint64), generate


if BOUNDSCHECK:

    @kernel()
    def load64(data: Bytes, index: int) -> Any:
        word = np.uint64(0)
        for i in range(8):
            word = (word << np.uint64(8)) | np.uint64(data[index + i])
        return word

    @kernel()
    def store64(data: Bytes, index: int, word: Any) -> None:
        for i in range(8):
            data[index + i] = np.uint8((word >> np.uint64(56 - 8 * i)) & np.uint64(255))

else:

    @kernel()
    def load64(data: Bytes, index: int) -> Any:
        return _load(data, index)

    @kernel()
    def store64(data: Bytes, index: int, word: Any) -> None:
        _store(data, index, word)
