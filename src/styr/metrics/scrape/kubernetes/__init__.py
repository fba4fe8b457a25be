"""Targets from the Kubernetes API. Pure: objects become groups of targets (`pods`, `services`, `endpoints`, `nodes`), monitors
become jobs (`monitors`, `probes`, `scrapeconfigs`, `annotations`). The shells around them: `roles` keeps the groups, `watcher`
the jobs."""
