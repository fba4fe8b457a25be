"""The clients of PyPI, each with the same list of things that people do with a client, in the client's own words."""
