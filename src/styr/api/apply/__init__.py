"""Server-side apply: who owns which field of an object, and what an applied configuration makes of it. Pure; called by the
write verbs through `managed` and by the registry through `types`."""
