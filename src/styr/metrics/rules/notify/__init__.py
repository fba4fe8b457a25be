"""Telling people: Alertmanager's API v2 out (`alertmanager`), and a small notifier of our own in Alertmanager's shape.

    api ──> notifier ──> grouping (when) ──> pipeline (mute, deduplicate, retry) ──> receivers
                │            route, inhibit, silences, intervals: what is told, and to whom
                └──────────> state (silences, notification log, firing alerts) in one file

`config` reads Alertmanager's YAML, in the parts that are honoured; the real Alertmanager takes the same file when this is
outgrown.
"""
