"""limit_ratio: a fixed share of the series, chosen by their labels' hash. Called by `evaluate`.

The hash is Prometheus' (xxHash64 of the labels, each string led by its length), so that both choose the same series.
"""

from __future__ import annotations

import numpy as np

from styr.metrics.model.errors import ExecutionError
from styr.metrics.model.labels import Labels
from styr.metrics.promql import annotations as notes
from styr.metrics.promql.ast import AggregateExpr
from styr.metrics.promql.query import Query
from styr.metrics.promql.values import Floats, Matrix

_MASK = (1 << 64) - 1
_P1, _P2, _P3 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
_P4, _P5 = 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5


def limit(query: Query, expr: AggregateExpr, r: Floats, matrix: Matrix) -> Matrix:
    """Of each step `r` (cut to -1 .. 1) of the series; a negative ratio gives those that the positive one leaves out."""
    if np.isnan(r).any():
        raise ExecutionError("Ratio value is NaN")
    if (r == 0).all():
        return Matrix.empty(matrix.steps, matrix.frame.symbols)
    where = (expr.param.start, expr.param.end) if expr.param is not None else (0, 0)
    if r.max() > 1:
        query.notes.add(notes.invalid_ratio(float(r.max()), 1.0, where))
    if r.min() < -1:
        query.notes.add(notes.invalid_ratio(float(r.min()), -1.0, where))
    if not matrix.size:
        return matrix
    r = np.clip(r, -1.0, 1.0)
    offset = np.array([hash_labels(labels) / float(_MASK) for labels in matrix.frame.all_labels()])[:, None]
    return matrix.only(np.where(r >= 0, offset < r, offset >= 1.0 + r))


def hash_labels(labels: Labels) -> int:
    data = bytearray()
    for pair in labels:
        for string in pair:
            raw = string.encode("utf-8", "surrogatepass")
            data += bytes([len(raw)]) if len(raw) < 255 else b"\xff" + len(raw).to_bytes(3, "little")
            data += raw
    return xxh64(bytes(data))


def _rotate(x: int, by: int) -> int:
    return (x << by | x >> (64 - by)) & _MASK


def _round(lane: int, word: int) -> int:
    return _rotate((lane + word * _P2) & _MASK, 31) * _P1 & _MASK


def xxh64(data: bytes) -> int:
    """xxHash64 with seed 0."""
    at, end = 0, len(data)
    if end >= 32:
        lanes = [(_P1 + _P2) & _MASK, _P2, 0, -_P1 & _MASK]
        while at + 32 <= end:
            for i in range(4):
                lanes[i] = _round(lanes[i], int.from_bytes(data[at + 8 * i : at + 8 * i + 8], "little"))
            at += 32
        result = sum(_rotate(lane, by) for lane, by in zip(lanes, (1, 7, 12, 18), strict=True)) & _MASK
        for lane in lanes:
            result = ((result ^ _round(0, lane)) * _P1 + _P4) & _MASK
    else:
        result = _P5
    result = (result + end) & _MASK
    while at + 8 <= end:
        result ^= _round(0, int.from_bytes(data[at : at + 8], "little"))
        result = (_rotate(result, 27) * _P1 + _P4) & _MASK
        at += 8
    if at + 4 <= end:
        result ^= int.from_bytes(data[at : at + 4], "little") * _P1 & _MASK
        result = (_rotate(result, 23) * _P2 + _P3) & _MASK
        at += 4
    for byte in data[at:]:
        result ^= byte * _P5 & _MASK
        result = _rotate(result, 11) * _P1 & _MASK
    result = ((result ^ result >> 33) * _P2) & _MASK
    result = ((result ^ result >> 29) * _P3) & _MASK
    return result ^ result >> 32
