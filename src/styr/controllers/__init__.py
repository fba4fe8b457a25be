"""The controllers that every Kubernetes has, one kind a file. `plane` runs them in the embedded control plane; a real
cluster has its own. Each is a pure `plan` and one `reconcile`; they know the API and nothing else of the house."""

from __future__ import annotations

from styr.client.controller import Controller
from styr.controllers import deployment, endpointslice, events, garbage, namespace, replicaset, scheduler


def controllers() -> list[Controller]:
    """A fresh set for one manager."""
    modules = (deployment, replicaset, scheduler, endpointslice, namespace, garbage, events)
    return [module.controller() for module in modules]
