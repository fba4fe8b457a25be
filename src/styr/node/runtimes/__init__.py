"""What runs a container: `base` says what a runtime promises, `process` keeps it with a sandboxed process of this user.
Called by `pod.py` and `containers.py`. Knows nothing of the API, of restarts or of probes."""
