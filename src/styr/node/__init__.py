"""The node: runs the Pods bound to this machine, probes them, keeps their logs, and adopts them after a crash. `plane` makes
its `agent`; it speaks to the API through `client` only. It never decides which pod runs where, and never routes traffic."""
