"""The metrics engine: scrapes, stores in Prometheus' own formats, answers PromQL, evaluates rules, tells of alerts.

A process of its own (`process.py`); the rest of Styr reaches it over HTTP. Rooms, top to bottom, held by
import-linter: `process` > `web` > `rules`, `scrape`, `remote` (never each other) > `promql`, `storage`, `exposition` (likewise)
> `kernels` > `model`. Nothing outside this package imports numpy or numba: the command line and the control plane do not pay.
"""
