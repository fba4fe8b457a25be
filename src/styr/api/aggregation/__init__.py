"""API aggregation: groups and versions that another server serves (services), handed on to it (proxy), looked after
(availability), and the APIServices of what this server serves itself (local)."""
