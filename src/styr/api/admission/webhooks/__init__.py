"""Admission by webhooks: who is asked (hooks, rules), what is asked and answered (review), and the two plugins that ask."""
