"""Recording and alerting rules, and the notifier that tells people."""
