"""The built-in kinds: which there are (`tables`), what their objects look like (`types`). From generated tables."""
