"""Targets: found by discovery, relabelled, fetched on time, appended, marked stale when they go."""
