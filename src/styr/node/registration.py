"""The Node object and its Lease, as this machine's kubelet would write them. Pure but for `facts`; called by `agent.py`."""

from __future__ import annotations

import json
import os
import platform
import re
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from styr.kinds import conditions
from styr.kinds.resources import Object
from styr.kit.clock import rfc3339
from styr.kit.process import boot_id
from styr.version import __version__

LEASE_NAMESPACE = "kube-node-lease"
LEASE_SECONDS = 40
HEARTBEAT = 10.0
MAX_PODS = 250
SANDBOX_ANNOTATION = "styr.dev/sandbox"


def node_name() -> str:
    """The host name as a DNS label."""
    name = re.sub(r"[^a-z0-9.-]+", "-", socket.gethostname().lower()).strip("-.")
    return name[:63].strip("-.") or "localhost"


def facts() -> dict[str, Any]:
    """What the machine is: processors, memory in KiB, disk bytes, versions."""
    memory = re.search(r"MemTotal:\s+(\d+)", _read("/proc/meminfo"))
    release = dict(line.split("=", 1) for line in _read("/etc/os-release").splitlines() if "=" in line)
    return {
        "cpus": os.cpu_count() or 1,
        "memory": int(memory[1]) if memory else 0,
        "machine": platform.machine(),
        "kernel": platform.release(),
        "os": release.get("PRETTY_NAME", "Linux").strip('"'),
        "machine_id": _read("/etc/machine-id").strip(),
        "boot_id": boot_id(),
        "host": socket.gethostname(),
    }


def _read(path: str) -> str:
    try:
        return Path(path).read_text("utf-8", "replace")
    except OSError:
        return ""


_GO_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def node_object(name: str, sandbox: Mapping[str, str], machine: Mapping[str, Any]) -> Object:
    labels = {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": _GO_ARCHITECTURES.get(machine["machine"], machine["machine"]),
        "styr.dev/runtime": "process",
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels, "annotations": {SANDBOX_ANNOTATION: json.dumps(dict(sandbox))}},
        "spec": {},
    }


def node_status(
    sandbox: Mapping[str, str], machine: Mapping[str, Any], old: Mapping[str, Any] | None, now: float
) -> dict[str, Any]:
    stamp = rfc3339(now)
    capacity = {"cpu": str(machine["cpus"]), "memory": f"{machine['memory']}Ki", "pods": str(MAX_PODS)}
    found = conditions.put((old or {}).get("conditions"), "Ready", True, now=stamp, reason="KubeletReady",
                           message="styr's node runs the pods of this machine")  # fmt: skip
    for kind in ("MemoryPressure", "DiskPressure", "PIDPressure"):
        found = conditions.put(found, kind, False, now=stamp, reason="NotWatched", message="not watched by this node")
    missing = [f"{part}: {text}" for part, text in sandbox.items() if text.startswith("none")]
    complete = not any(sandbox.get(part, "").startswith("none") for part in ("files", "signals", "syscalls"))
    found = conditions.put(
        found, "Sandboxed", complete, now=stamp, reason="Complete" if complete else "PartsMissing",
        message="; ".join(missing),
    )  # fmt: skip
    return {
        "capacity": capacity,
        "allocatable": dict(capacity),
        "conditions": [{**c, "lastHeartbeatTime": stamp} for c in found],
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}, {"type": "Hostname", "address": machine["host"]}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": 0}},
        "nodeInfo": {
            "machineID": machine["machine_id"], "systemUUID": machine["machine_id"], "bootID": machine["boot_id"],
            "kernelVersion": machine["kernel"], "osImage": machine["os"], "operatingSystem": "linux",
            "architecture": _GO_ARCHITECTURES.get(machine["machine"], machine["machine"]),
            "containerRuntimeVersion": f"process://{__version__}", "kubeletVersion": f"styr-{__version__}",
            "kubeProxyVersion": "",
        },
    }  # fmt: skip


def lease(name: str, now: float) -> Object:
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name, "namespace": LEASE_NAMESPACE},
        "spec": {
            "holderIdentity": name, "leaseDurationSeconds": LEASE_SECONDS, "renewTime": rfc3339(now, micro=True),
        },
    }  # fmt: skip
