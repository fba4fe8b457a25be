"""The conformance behaviours of Kubernetes as tests of Styr: a port, and called so.

A test takes `kube` (the administrator's view of one shared server, `client.py`) and `namespace` (a fresh one), carries
`@behaviour("its name in the list")`, and asserts on state. Then: `python -m tests.conformance.kubernetes.report`. One that
fails for a feature that is missing stands in `classification.MISSING` with the reason; it must then fail (strict).
"""
