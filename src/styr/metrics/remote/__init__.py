"""Samples that others push: Prometheus remote write 1.0 and 2.0, OTLP; and remote read."""
