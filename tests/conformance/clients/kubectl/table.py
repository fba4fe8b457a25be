"""All of kubectl's cases, in the order of the table in docs/clients.md."""

from tests.conformance.clients.kubectl import access, changes, creates, pods, reads

CASES = (*reads.CASES, *creates.CASES, *changes.CASES, *pods.CASES, *access.CASES)
assert len({case.name for case in CASES}) == len(CASES) or len({(c.name, c.since) for c in CASES}) == len(CASES)
