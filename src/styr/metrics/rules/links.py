"""Links to the pages of an expression. Called by `outgoing` and templates. Pure."""

from __future__ import annotations

from urllib.parse import quote_plus


def table_link(expr: str) -> str:
    return f"/graph?g0.expr={quote_plus(expr)}&g0.tab=1"


def graph_link(expr: str) -> str:
    return f"/graph?g0.expr={quote_plus(expr)}&g0.tab=0"
