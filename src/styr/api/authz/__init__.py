"""Who may do what, by RBAC: `rules` (what a rule allows), `rbac` (roles and bindings, indexed for decisions), `escalation`
(nobody hands out rights that he does not hold)."""

from styr.api.authz.rbac import Rbac
from styr.api.authz.rules import Attributes, Authorizer, Rule

__all__ = ["Attributes", "Authorizer", "Rbac", "Rule"]
