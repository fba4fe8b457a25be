"""The API server killed at random moments while many write and watch. `kill` is the scene, `__main__` the long run."""
