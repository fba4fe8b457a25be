"""What both plugins that ask webhooks are made of. Called by `mutating` and `validating`; asks nobody itself."""

from __future__ import annotations

from styr.api.admission.attributes import Operation
from styr.api.admission.chain import Base
from styr.api.admission.webhooks.asking import Asking
from styr.api.admission.webhooks.hooks import Hooks
from styr.api.registry import ServedResource


class Plugin(Base):
    """`hooks` are those that are configured, `asking` is the way to them."""

    waits = True

    def __init__(self, hooks: Hooks, asking: Asking) -> None:
        self._hooks = hooks
        self._asking = asking

    def handles(self, operation: Operation, served: ServedResource, subresource: str, /) -> bool:
        return self._hooks.may_match(operation, served, subresource)
