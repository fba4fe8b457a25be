"""What built-in kinds refuse, with Kubernetes' own texts, paths and reasons. Pure functions over objects that were read and
defaulted (`api.builtin.types`); called by the strategies. Held to the real code by tests/builtin.
"""
