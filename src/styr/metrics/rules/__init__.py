"""Recording and alerting rules: groups on an interval grid, alert states, templates, Alertmanager's API out, and a
small notifier.

`groups` reads rule files; `manager` keeps a `scheduler.Schedule` running per group; one iteration is `evaluation`;
`recording` and `alerting` decide what results mean; `notify` carries alerts to people."""
