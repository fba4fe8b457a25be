"""The one list of admission's plugins, in Kubernetes' order. Called by the server."""

from __future__ import annotations

from collections.abc import Sequence

from styr.api.admission.chain import Plugin


def admission_plugins() -> Sequence[Plugin]:
    return ()
