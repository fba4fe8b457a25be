"""Which requests a policy or a binding means: its MatchResources. Called by `book` and the plugins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from styr.api.admission import rules
from styr.api.admission.attributes import Attributes
from styr.api.admission.rules import Rule
from styr.api.admission.webhooks.hooks import EXEMPT, in_namespace, is_selected
from styr.api.registry import Registry, ServedResource
from styr.api.store.commit import Txn
from styr.kinds import selectors
from styr.kinds.selectors import Selector


@dataclass(frozen=True, slots=True)
class Match:
    """No `rules` mean every resource: a binding may leave them out."""

    rules: tuple[Rule, ...]
    excluded: tuple[Rule, ...]
    equivalent: bool
    namespaces: Selector
    objects: Selector

    @classmethod
    def of(cls, resources: Mapping[str, Any]) -> Match:
        return cls(
            tuple(resources.get("resourceRules") or ()),
            tuple(resources.get("excludeResourceRules") or ()),
            resources.get("matchPolicy", "Equivalent") == "Equivalent",
            selectors.from_object(resources.get("namespaceSelector")),
            selectors.from_object(resources.get("objectSelector")),
        )

    def may_match(self, operation: str, served: ServedResource, subresource: str) -> bool:
        resource = served.resource
        return resource.group != EXEMPT and any(
            rules.may_match(rule, operation, resource.group, resource.plural, subresource) for rule in self.rules
        )

    def meant(self, attributes: Attributes, txn: Txn, registry: Registry) -> ServedResource | None:
        """The resource in the version that a rule names; None when the request is not meant."""
        if not in_namespace(self.namespaces, attributes, txn) or not is_selected(self.objects, attributes):
            return None
        if self.excluded and self._version(self.excluded, attributes, registry) is not None:
            return None
        return self._version(self.rules, attributes, registry) if self.rules else attributes.served

    def _version(self, listed: tuple[Rule, ...], attributes: Attributes, registry: Registry) -> ServedResource | None:
        return rules.meant(listed, attributes, registry, equivalent=self.equivalent)
