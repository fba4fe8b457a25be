"""Expressions in CEL that policies and webhooks carry: compiled, and their types checked. Evaluated by `admission.session`."""
