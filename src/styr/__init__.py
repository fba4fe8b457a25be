"""Styr: the cloud-native stack in one Python package. `docs/architecture.md` is the map of the house."""
