"""What could be a library of its own: clock, tasks, files, a small HTTP client. Knows nothing of Kubernetes or Styr."""
