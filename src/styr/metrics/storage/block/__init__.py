"""Blocks: immutable folders of samples, in Prometheus' format on disk (docs/formats/metrics-block.md).

Way in for reading is `block.Block`, for writing `writer.write_block`; both speak `ChunkSet`. `compact`, `retention`, `delete`,
`snapshot`, `backfill` and `catalog` are what a database does with blocks. Nothing here knows the head, the write-ahead log or
PromQL.
"""
