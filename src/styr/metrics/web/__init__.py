"""The HTTP API of Prometheus over everything below. Requests in, JSON out; decides nothing."""
