"""The embedded Kubernetes API server on one SQLite file: verbs, watches, discovery, schemas, RBAC, TLS. Only `plane` imports
it; everybody else reaches it through `client`. It stores and tells what is wanted, and never acts on it: controllers do."""
