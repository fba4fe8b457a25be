"""Nobody hands out rights that he does not hold: is every single right of some rules covered by those that somebody has?
Pure; called by `rbac`, which knows who has what."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from styr.api.authz.rules import Rule, covers, path_matches
from styr.kinds import meta
from styr.kinds.errors import Forbidden
from styr.kinds.resources import ROLE, Object
from styr.kinds.transport import User

GROUP = ROLE.group
MAX_RIGHTS = 10_000
"""Single rights that a rule may spell out before it is refused unchecked."""
_ANY = frozenset({"*"})
EVERYTHING = (Rule(_ANY, _ANY, _ANY), Rule(_ANY, paths=("*",)))
_SHOWN = 16
_GARBAGE = ("ownerReferences", "finalizers", "managedFields", "resourceVersion", "generation")
"""What the garbage collector must be able to change without holding the rights."""


def same(obj: Object, old: Object) -> bool:
    """Does it hand out what it did, and say the same?"""

    def told(one: Object) -> Any:
        metadata = {key: value for key, value in meta.metadata(one).items() if key not in _GARBAGE}
        return {**one, "metadata": metadata}

    return bool(told(obj) == told(old))


def gathers(role: Object | None) -> bool:
    rule = (role or {}).get("aggregationRule")
    return bool(isinstance(rule, dict) and rule.get("clusterRoleSelectors"))


def confirm(user: User, obj: Object, held: Sequence[Rule], wanted: Iterable[Rule]) -> None:
    """Raises Forbidden, with the rights that are missing."""
    lacking = list(missing(held, wanted))
    if lacking:
        groups = " ".join(f'"{group}"' for group in user.groups)
        shown = "\n".join(sorted({_describe(rule) for rule in _compact(lacking)})[:_SHOWN])
        raise Forbidden(
            f'{_name(obj)} is forbidden: user "{user.name}" (groups=[{groups}]) is attempting to grant RBAC permissions not '
            f"currently held:\n{shown}",
            details=_details(obj),
        )


def confirm_full(obj: Object, held: Sequence[Rule]) -> None:
    """Raises Forbidden unless the rights are all that there are."""
    if any(True for _ in missing(held, EVERYTHING)):
        raise Forbidden(
            f"{_name(obj)} is forbidden: must have cluster-admin privileges to use the aggregationRule",
            details=_details(obj),
        )


def missing(held: Sequence[Rule], wanted: Iterable[Rule]) -> Iterator[Rule]:
    """The single rights among the wanted that no held rule covers."""
    known = frozenset(held)
    for rule in wanted:
        if rule not in known:
            yield from (right for right in _rights(rule) if not any(_covers(one, right) for one in held))


def _rights(rule: Rule) -> Iterator[Rule]:
    """The rule taken apart: one verb, one group, one resource, one name each."""
    size = len(rule.verbs) * (len(rule.groups) * len(rule.resources) * max(1, len(rule.names)) + len(rule.paths))
    if size > MAX_RIGHTS:
        raise Forbidden(f"the rule spells out {size} rights, more than {MAX_RIGHTS}: split it into several rules")
    for verb in rule.verbs:
        for group in rule.groups:
            for resource in rule.resources:
                for name in rule.names or (None,):
                    names = frozenset({name}) if name else frozenset()
                    yield Rule(frozenset({verb}), frozenset({group}), frozenset({resource}), names)
        for path in rule.paths:
            yield Rule(frozenset({verb}), paths=(path,))


def _covers(held: Rule, right: Rule) -> bool:
    (verb,) = right.verbs
    if not covers(held.verbs, verb):
        return False
    if right.paths:
        return any(path_matches(path, right.paths[0]) for path in held.paths)
    (group,), (resource,) = right.groups, right.resources
    _, _, sub = resource.partition("/")
    known = "*" in held.resources or resource in held.resources or (bool(sub) and f"*/{sub}" in held.resources)
    return (
        covers(held.groups, group) and known and (not held.names or (bool(right.names) and right.names <= held.names))
    )


def _compact(rights: Iterable[Rule]) -> Iterator[Rule]:
    """Rights that differ in their verb only, as one."""
    verbs: dict[Rule, set[str]] = {}
    for right in rights:
        same_but_verb = Rule(frozenset(), right.groups, right.resources, right.names, right.paths)
        verbs.setdefault(same_but_verb, set()).update(right.verbs)
    for rule, found in verbs.items():
        yield Rule(frozenset(found), rule.groups, rule.resources, rule.names, rule.paths)


def _describe(rule: Rule) -> str:
    parts = (
        ("APIGroups", rule.groups),
        ("Resources", rule.resources),
        ("NonResourceURLs", rule.paths),
        ("ResourceNames", rule.names),
        ("Verbs", rule.verbs),
    )
    shown = (
        f"{label}:[{' '.join(f'{chr(34)}{word}{chr(34)}' for word in sorted(words))}]"
        for label, words in parts
        if words
    )
    return "{" + ", ".join(shown) + "}"


def _name(obj: Object) -> str:
    return f'{str(obj.get("kind")).lower()}s.{GROUP} "{meta.name(obj)}"'


def _details(obj: Object) -> dict[str, Any]:
    return {"name": meta.name(obj), "group": GROUP, "kind": f"{str(obj.get('kind')).lower()}s"}
