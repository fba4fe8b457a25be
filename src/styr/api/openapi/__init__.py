"""OpenAPI v3 and v2: what the server serves, told to kubectl, helm and code generators."""
