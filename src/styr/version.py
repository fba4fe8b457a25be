"""The one place that says which version this is."""

__version__ = "0.1.0"

KUBERNETES_VERSION = "v1.35.0"
"""The Kubernetes API level that the server declares on `/version`; clients test it (kr8s warns outside 1.28-1.35)."""
