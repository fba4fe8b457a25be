"""ClusterRoles that gather others. Called by the controller that keeps them so, and by the server for default roles. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from styr.kinds import meta, selectors
from styr.kinds.resources import CLUSTER_ROLE, Object


def gathered(role: Object, roles: Iterable[Object]) -> list[Object]:
    """The rules of all cluster roles that the role's aggregationRule selects, each once, in the order of their names."""
    wanted = [selectors.from_object(one) for one in role["aggregationRule"].get("clusterRoleSelectors") or ()]
    rules: list[Object] = []
    for other in sorted(roles, key=meta.name):
        if other.get("kind") != CLUSTER_ROLE.kind or meta.name(other) == meta.name(role):
            continue
        if any(selectors.matches(selector, meta.labels(other)) for selector in wanted):
            rules += [rule for rule in other.get("rules") or () if rule not in rules]
    return rules
