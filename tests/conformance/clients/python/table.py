"""All of the PyPI clients' cases, in the order of the table in docs/clients.md."""

from tests.conformance.clients.python import asyncio_clients, kr8s_client, lightkube_client, official
from tests.conformance.clients.python.cases import ROWS, TABLE

__all__ = ["ALL", "CASES", "ROWS", "asyncio_clients", "kr8s_client", "lightkube_client", "official"]
ALL = tuple(sorted(TABLE, key=lambda each: ROWS.index(each.case)))
CASES = tuple(each for each in ALL if not each.why_not)
