"""Lists of target groups as files and HTTP servers give them: `[{"targets": [...], "labels": {...}}]`.

Called by `file_sd` and `http_sd`; pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from styr.metrics.model.errors import BadData
from styr.metrics.scrape.discovery import ADDRESS, Group
from styr.metrics.scrape.fields import Fields


def parse_groups(document: Any, source: str, meta: Mapping[str, str]) -> list[Group]:
    """The groups, numbered as `source:0` and so on, each with the labels of `meta`. Raises BadData that names the place."""
    if document is None:
        document = []
    if not isinstance(document, list):
        raise BadData(f"{source}: a list of target groups is needed")
    groups = []
    for number, inner in enumerate(document):
        fields = Fields(inner, f"{source}[{number}]")
        targets, labels = fields.texts("targets"), fields.mapping("labels")
        fields.end()
        found = tuple({ADDRESS: target} for target in targets)
        groups.append(Group(f"{source}:{number}", found, {**labels, **meta}))
    return groups


def difference(before: set[str], groups: list[Group]) -> list[Group]:
    """What to publish: the groups, and an empty one for each source that is not among them any more."""
    now = {group.source for group in groups}
    return [*groups, *(Group(source) for source in sorted(before - now))]
