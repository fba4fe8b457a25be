"""Where objects live: one SQLite file, one revision, everything served from memory. Knows bytes, keys and revisions, not
what a Pod is. Called by `api.verbs` and `api.registry` through `Store` (commit.py)."""
