"""Bytes from nowhere, thrown at all that reads bytes. `targets` are the readers, `__main__` a run guided by coverage."""
