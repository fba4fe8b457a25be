"""Pod Security Standards: what a namespace's labels ask for (policy), the checks of its levels, and the plugin."""
