"""The metrics engine as a process: wires storage, scraping, rules and the HTTP API. Called by `plane` as
`python -m styr.metrics.process`."""
