"""What targets say, as samples: text 0.0.4, OpenMetrics 1.0, protobuf. Bytes in, names and values out; no I/O, no
relabelling."""
