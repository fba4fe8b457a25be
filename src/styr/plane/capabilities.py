"""The one explicit list of what Styr consists of: open this file to see every part and what it is handed.

Called by `plane.up`; builds the parts and starts nothing.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from styr import controllers
from styr.delivery.rollout import controllers as rollout_controllers
from styr.delivery.source import Source
from styr.gateway.gateway import Gateway
from styr.metrics import launch
from styr.node.agent import Node

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from styr.client.client import Client
    from styr.client.controller import Controller
    from styr.kit.clock import Clock
    from styr.kit.metrics import CollectorRegistry
    from styr.plane.folder import Folder


@dataclass(frozen=True)
class Parts:
    """The parts that have a life of their own beside their controllers."""

    source: Source
    node: Node
    gateway: Gateway
    metrics: launch.Engine | None
    """The handle of the metrics process; None without it."""
    registry: CollectorRegistry
    """What all parts count into."""
    trusted: Sequence[Controller] = ()
    """Controllers that the server hands something of its own."""


def build(
    client: Client,
    folder: Folder,
    *,
    node_name: str,
    gateway_port: int,
    metrics: launch.Engine | None,
    registry: CollectorRegistry,
    clock: Clock,
    rng: random.Random,
    trusted: Sequence[Controller] = (),
) -> Parts:
    """Wires the capabilities: images go from `delivery` to `node`, traffic from `gateway` to `delivery`, answers to PromQL from
    `metrics` to `delivery`."""
    source = Source(client, data_dir=folder.path, clock=clock, random=rng, registry=registry)
    node = Node(
        client,
        name=node_name,
        data_dir=folder.path,
        images=source.images,
        clock=clock,
        random=rng,
        registry=registry,
    )
    gateway = Gateway(client, data_dir=folder.path, port=gateway_port, clock=clock, random=rng, registry=registry)
    return Parts(source, node, gateway, metrics, registry, trusted)


def all_controllers(parts: Parts) -> Iterable[Controller]:
    yield from controllers.controllers()
    yield from parts.trusted
    yield from parts.node.controllers()
    yield from parts.gateway.controllers()
    yield from parts.source.controllers()
    yield from rollout_controllers(parts.gateway.traffic, query=parts.metrics, registry=parts.registry)
