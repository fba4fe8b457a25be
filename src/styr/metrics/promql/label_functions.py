"""label_replace and label_join. Called by `evaluate`. They work on columns: a value that many series share is looked at
once."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import re2

from styr.metrics.model.errors import ExecutionError
from styr.metrics.model.frame import LabelFrame
from styr.metrics.model.labels import METRIC_NAME
from styr.metrics.promql.lexer import is_utf8, valid
from styr.metrics.promql.query import Query
from styr.metrics.promql.values import Flags, Matrix, merge_same, own

_REFERENCE = re.compile(r"\$(?:\$|(\w+)|\{(\w+)\})", re.ASCII)


def expand(template: str, found: Any) -> str:
    """Go's Regexp.Expand: `$1`, `$name`, `${1}`, `$$`; what names no group is empty."""

    def put(reference: re.Match[str]) -> str:
        name = reference.group(1) or reference.group(2)
        if name is None:
            return "$"
        try:
            return str(found.group(int(name) if name.isdecimal() else name) or "")
        except (IndexError, KeyError, re2.error):
            return ""

    return _REFERENCE.sub(put, template)


def valid_label(name: str) -> bool:
    """Not empty, and UTF-8."""
    return bool(name) and is_utf8(name)


def compile_replacement(pattern: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(f"^(?s:{pattern})$", options)
    except re2.error:
        raise ExecutionError(f"invalid regular expression in label_replace(): {pattern}") from None


def replace(query: Query, operand: Callable[[], Matrix], strings: Sequence[str]) -> Matrix:
    target, template, source, pattern = strings
    compiled = compile_replacement(valid(pattern))
    template = valid(template)
    if not valid_label(target):
        raise ExecutionError(f"invalid destination label name in label_replace(): {valid(target)}")
    matrix = operand()
    frame = own(matrix.frame, query.symbols)
    column = frame.column(source)
    values, where = np.unique(column, return_inverse=True)
    replaced = np.zeros(len(values), np.int32)
    matched = np.zeros(len(values), np.bool_)
    for i, value in enumerate(values.tolist()):
        found = compiled.search(query.symbols.strings[value])
        if found is not None:
            matched[i], replaced[i] = True, query.symbols.id(expand(template, found))
    hits = matched[where.reshape(-1)]
    new = np.where(hits, replaced[where.reshape(-1)], frame.column(target)).astype(np.int32)
    return _relabelled(matrix, frame.replace(target, new), target, hits)


def join(query: Query, operand: Callable[[], Matrix], strings: Sequence[str]) -> Matrix:
    target, separator, *sources = strings
    for source in sources:
        if not valid_label(source):
            raise ExecutionError(f"invalid source label name in label_join(): {valid(source)}")
    if not valid_label(target):
        raise ExecutionError(f"invalid destination label name in label_join(): {valid(target)}")
    separator = valid(separator)
    matrix = operand()
    frame = own(matrix.frame, query.symbols)
    columns = [frame.values(source) for source in sources]
    joined = [separator.join(row) for row in zip(*columns, strict=True)] if columns else [""] * frame.size
    new = np.array([query.symbols.id(value) for value in joined], np.int32)
    return _relabelled(matrix, frame.replace(target, new), target, np.ones(frame.size, np.bool_))


def _relabelled(matrix: Matrix, frame: LabelFrame, target: str, changed: Flags) -> Matrix:
    drop = matrix.drop
    if drop is not None and target == METRIC_NAME:
        drop = drop & ~changed
    return merge_same(Matrix(frame, matrix.v, matrix.ok, matrix.histograms, drop))
