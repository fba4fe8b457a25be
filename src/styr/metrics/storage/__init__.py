"""The time series database, in Prometheus' own formats: head, write-ahead log, chunks, blocks, compaction. Knows no PromQL
and no HTTP."""
