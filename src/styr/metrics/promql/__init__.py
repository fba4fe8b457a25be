"""The query language of Prometheus 3: parsed with positions, evaluated on [series x steps] arrays. Reads through
`model.samples.Querier` only."""
