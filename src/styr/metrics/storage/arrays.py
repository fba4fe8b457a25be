"""Numpy arrays that grow. Called by the head and its parts; pure."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T", bound=np.generic)


def grown(array: NDArray[T], need: int, used: int | None = None) -> NDArray[T]:
    """The array, or one of at least twice its rows with the first `used` (by default all) copied and the rest zeros. Pages that
    nobody has written cost no memory."""
    if need <= len(array):
        return array
    bigger: NDArray[Any] = np.zeros((max(need, 2 * len(array)), *array.shape[1:]), array.dtype)
    keep = len(array) if used is None else used
    bigger[:keep] = array[:keep]
    return bigger
