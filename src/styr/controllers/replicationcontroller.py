"""ReplicationController: what a ReplicaSet is, with a plain map of labels for a selector.

Promise: that of `replicaset`, word for word. It differs in how its selector is written and in that its status does not
count the pods that are on their way out.
"""

from __future__ import annotations

from styr.client.controller import Controller
from styr.controllers import replicaset
from styr.kinds.resources import REPLICATION_CONTROLLER


def controller() -> Controller:
    return replicaset.keeper(REPLICATION_CONTROLLER)
