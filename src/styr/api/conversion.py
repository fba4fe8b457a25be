"""Objects of one resource in its other versions. Called by the verbs and by admission's webhooks.

Strategy `None` of a CustomResourceDefinition: only apiVersion differs. The same holds for the built-in kinds, which Styr serves
in one version each.
"""

from __future__ import annotations

from styr.api.registry import ServedResource
from styr.kinds.resources import Object


class Converter:
    def convert(self, obj: Object, source: ServedResource, target: ServedResource) -> Object:
        """An object of `source`'s version in `target`'s. `obj` itself is not changed."""
        if source.resource.version == target.resource.version:
            return obj
        return {**obj, "apiVersion": target.resource.api_version}
