"""The one list of admission's plugins, in Kubernetes' order. Called by the server."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import TYPE_CHECKING

from styr.api.admission.accounts import ServiceAccounts
from styr.api.admission.chain import Chain, Plugin
from styr.api.admission.defaults import (
    DefaultIngressClass,
    DefaultStorageClass,
    DefaultTolerationSeconds,
    PersistentVolumeClaimResize,
    RuntimeClasses,
)
from styr.api.admission.limits import LimitRanger
from styr.api.admission.podsecurity.plugin import PodSecurity
from styr.api.admission.policies.book import Book
from styr.api.admission.policies.mutating import MutatingPolicies
from styr.api.admission.policies.validating import ValidatingPolicies
from styr.api.admission.priority import Priorities
from styr.api.admission.quota.plugin import Quotas
from styr.api.admission.webhooks.asking import Asking
from styr.api.admission.webhooks.hooks import Hooks
from styr.api.admission.webhooks.mutating import MutatingWebhooks
from styr.api.admission.webhooks.validating import ValidatingWebhooks
from styr.api.callout import Callouts
from styr.api.conversion import Converter
from styr.api.registry import Registry
from styr.api.store.commit import Store
from styr.kinds.resources import (
    MUTATING_POLICY,
    MUTATING_POLICY_BINDING,
    MUTATING_WEBHOOKS,
    VALIDATING_POLICY,
    VALIDATING_POLICY_BINDING,
    VALIDATING_WEBHOOKS,
)
from styr.kit.clock import Clock

if TYPE_CHECKING:
    from styr.api.admission.session import Allows
    from styr.api.metrics import ApiMetrics


class Admission:
    """The chain, and what its plugins know of the store. Call `start` before the first write of a user."""

    def __init__(
        self,
        store: Store,
        registry: Registry,
        clock: Clock,
        source: random.Random,
        allows: Allows,
        metrics: ApiMetrics,
        more: Iterable[Plugin] = (),
    ) -> None:
        """`allows` answers expressions that ask what a user may do."""
        self._store = store
        self._mutating = Hooks(MUTATING_WEBHOOKS.group_resource, registry, allows)
        self._validating = Hooks(VALIDATING_WEBHOOKS.group_resource, registry, allows)
        mutating = Book(MUTATING_POLICY, MUTATING_POLICY_BINDING, registry)
        validating = Book(VALIDATING_POLICY, VALIDATING_POLICY_BINDING, registry)
        self._books = (mutating, validating)
        self.callouts = Callouts(store, source)
        self.converter = Converter(self.callouts, source)
        asking = Asking(self.callouts, self.converter, source, clock, metrics.webhook)
        self._quotas = Quotas(store, clock)
        self.chain = Chain(
            [
                LimitRanger(store),
                ServiceAccounts(source),
                PodSecurity(),
                Priorities(),
                DefaultTolerationSeconds(),
                DefaultStorageClass(),
                PersistentVolumeClaimResize(),
                RuntimeClasses(),
                DefaultIngressClass(),
                MutatingPolicies(mutating, allows),
                MutatingWebhooks(self._mutating, asking),
                ValidatingPolicies(validating, allows),
                ValidatingWebhooks(self._validating, asking),
                *more,
                self._quotas,
            ]
        )

    def start(self) -> None:
        self._mutating.follow(self._store, self.chain.forget)
        self._validating.follow(self._store, self.chain.forget)
        for book in self._books:
            book.follow(self._store, self.chain.forget)
        self._quotas.start(self.chain.forget)
