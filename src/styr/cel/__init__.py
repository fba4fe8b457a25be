"""The Common Expression Language, as Kubernetes v1.35 has it: parse, check types, compile to closures, evaluate.

Called by `api` for the rules of schemas and of admission policies; calls `kinds` and `kit` only. Pure: no clock, no I/O, no
state between evaluations. Way in: `environment.Environment`. Language: https://github.com/google/cel-spec, `doc/langdef.md`.
"""
