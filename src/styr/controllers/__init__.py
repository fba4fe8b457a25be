"""The controllers that every Kubernetes has, one kind a file. `plane` runs them in the embedded control plane; a real
cluster has its own. Each is a pure `plan` and one `reconcile`; they know the API and nothing else of the house."""

from __future__ import annotations

from styr.client.controller import Controller
from styr.controllers import (
    aggregation,
    certificate_approval,
    certificate_cleaning,
    certificate_signing,
    daemonset,
    deployment,
    disruption,
    endpoints,
    endpointslice,
    events,
    flowschema,
    garbage,
    mirroring,
    namespace,
    replicaset,
    replicationcontroller,
    root_ca,
    scheduler,
    serviceaccount,
    taint_eviction,
    token_secret,
)
from styr.kinds.seams import CertificateSigner, TokenSigner


def controllers() -> list[Controller]:
    """A fresh set for one manager."""
    modules = (
        daemonset,
        deployment,
        disruption,
        replicaset,
        replicationcontroller,
        scheduler,
        endpointslice,
        endpoints,
        mirroring,
        namespace,
        garbage,
        events,
        serviceaccount,
        taint_eviction,
        aggregation,
        certificate_approval,
        certificate_cleaning,
        flowschema,
    )
    return [module.controller() for module in modules]


def trusted(authority: str, tokens: TokenSigner, certificates: CertificateSigner) -> list[Controller]:
    """Those that need something of the server itself: its CA (PEM), and who signs with its keys."""
    return [
        root_ca.controller(authority),
        token_secret.controller(authority, tokens),
        certificate_signing.controller(certificates),
    ]
