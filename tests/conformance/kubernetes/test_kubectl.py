"""kubectl, whichever is on the PATH, at the server's TLS port. What it creates runs on the hollow node."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.kubernetes.client import Kube, Object, unique
from tests.conformance.kubernetes.conftest import Cluster
from tests.conformance.kubernetes.marker import behaviour
from tests.conformance.kubernetes.objects import (
    IMAGE,
    deployment,
    pod,
    ready_replicas,
    replication_controller,
    running,
    service,
)
from tests.conformance.kubernetes.test_crd_openapi import kubectl

pytestmark = pytest.mark.needs("kubectl")
OTHER = "registry.k8s.io/pause:3.9"
LABELS = {"app": "agnhost", "role": "primary"}


class In:
    """kubectl in the namespace of a test."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster = cluster
        self._namespace = namespace

    async def __call__(self, *words: str, stdin: Any = None, ok: bool = True) -> str:
        return await kubectl(self._cluster, "-n", self._namespace, *words, stdin=stdin, ok=ok)


@pytest.fixture
def ctl(cluster: Cluster, namespace: str) -> In:
    return In(cluster, namespace)


async def primary(kube: Kube, namespace: str, ctl: In, replicas: int = 1) -> None:
    """A controller that kubectl made, complete."""
    await ctl("create", "-f", "-", stdin=replication_controller("agnhost-primary", LABELS, replicas))
    controllers = kube.of("v1", "replicationcontrollers", namespace)
    await controllers.until("agnhost-primary", ready_replicas(replicas), "has its pods")


@behaviour("Kubectl, check version v1")
async def test_v1_is_an_api_version(ctl: In) -> None:
    assert "v1" in (await ctl("api-versions")).splitlines()


@behaviour("Kubectl, cluster info")
async def test_the_control_plane_is_told(ctl: In, cluster: Cluster) -> None:
    said = re.sub(r"\x1b\[[0-9;]*m", "", await ctl("cluster-info"))
    assert "Kubernetes control plane is running at" in said
    assert cluster.url in said


@behaviour("Kubectl, version")
async def test_both_versions_are_told(ctl: In) -> None:
    said = await ctl("version")
    assert re.search(r"Client Version: .*v1\.\d+", said)
    assert re.search(r"Server Version: .*v1\.\d+", said)


@behaviour("Kubectl, diff Deployment")
async def test_a_difference_is_found(ctl: In) -> None:
    body = deployment("httpd", {"app": "httpd"}, 1)
    await ctl("create", "-f", "-", stdin=body)
    body["spec"]["template"]["spec"]["containers"][0]["image"] = OTHER
    said = await ctl("diff", "-f", "-", stdin=body, ok=False)
    assert re.search(rf"^-\s*- image: {re.escape(IMAGE)}$", said, re.M) or f"image: {IMAGE}" in said
    assert f"image: {OTHER}" in said


@behaviour("Kubectl, server-side dry-run Pod")
async def test_a_dry_run_changes_nothing(kube: Kube, namespace: str, ctl: In) -> None:
    pods = kube.of("v1", "pods", namespace)
    await ctl("run", "dry", f"--image={IMAGE}", "--labels=run=dry")
    patch = {"spec": {"containers": [{"name": "dry", "image": OTHER}]}}
    await ctl("patch", "pod", "dry", "-p", json.dumps(patch), "--dry-run=server")
    assert (await pods.get("dry"))["spec"]["containers"][0]["image"] == IMAGE
    await ctl("delete", "pods", "dry")


@behaviour("Kubectl, run pod")
async def test_a_pod_is_made_of_an_image(kube: Kube, namespace: str, ctl: In) -> None:
    await ctl("run", "httpd", "--restart=Never", f"--image={IMAGE}")
    found = await kube.of("v1", "pods", namespace).get("httpd")
    assert found["spec"]["containers"][0]["image"] == IMAGE
    assert found["spec"]["restartPolicy"] == "Never"


@behaviour("Kubectl, replace")
async def test_a_pod_gets_another_image(kube: Kube, namespace: str, ctl: In) -> None:
    pods = kube.of("v1", "pods", namespace)
    await ctl("run", "httpd", f"--image={IMAGE}", "--labels=run=httpd")
    await pods.until("httpd", running, "running")
    found = json.loads(await ctl("get", "pod", "httpd", "-o", "json"))
    found["spec"]["containers"][0]["image"] = OTHER
    await ctl("replace", "-f", "-", stdin=found)
    assert (await pods.get("httpd"))["spec"]["containers"][0]["image"] == OTHER


@behaviour("Kubectl, label update")
async def test_a_label_comes_and_goes(kube: Kube, namespace: str, ctl: In) -> None:
    pods = kube.of("v1", "pods", namespace)
    await ctl("create", "-f", "-", stdin=pod("pause"))
    await pods.until("pause", running, "running")
    await ctl("label", "pods", "pause", "testing-label=testing-label-value")
    assert "testing-label-value" in await ctl("get", "pod", "pause", "-L", "testing-label")
    await ctl("label", "pods", "pause", "testing-label-")
    assert "testing-label-value" not in await ctl("get", "pod", "pause", "-L", "testing-label")


@behaviour("Kubectl, patch to annotate")
async def test_pods_of_a_controller_are_annotated(kube: Kube, namespace: str, ctl: In) -> None:
    await primary(kube, namespace, ctl)
    pods = kube.of("v1", "pods", namespace)
    (name,) = await pods.names("app=agnhost")
    await ctl("patch", "pod", name, "-p", '{"metadata":{"annotations":{"x":"y"}}}')
    assert (await pods.get(name))["metadata"]["annotations"]["x"] == "y"


@behaviour("Kubectl, create service, replication controller")
async def test_a_controller_and_a_service_are_exposed(kube: Kube, namespace: str, ctl: In) -> None:
    await primary(kube, namespace, ctl)
    services, endpoints = kube.of("v1", "services", namespace), kube.of("v1", "endpoints", namespace)
    (found,) = await kube.of("v1", "pods", namespace).items("app=agnhost")
    await ctl("expose", "rc", "agnhost-primary", "--name=rm2", "--port=1234", "--target-port=6379")
    await ctl("expose", "service", "rm2", "--name=rm3", "--port=2345", "--target-port=6379")

    def leads(obj: Object) -> bool:
        subsets = obj.get("subsets") or []
        return [(s["addresses"][0]["ip"], s["ports"][0]["port"]) for s in subsets] == [(found["status"]["podIP"], 6379)]

    for name, number in (("rm2", 1234), ("rm3", 2345)):
        ports = (await services.get(name))["spec"]["ports"]
        assert [(port["port"], port["targetPort"]) for port in ports] == [(number, 6379)]
        await endpoints.until_names(["rm2", "rm3"])
        await endpoints.until(name, leads, "leads to the pod")


@behaviour("Kubectl, replication controller")
async def test_a_controller_is_created_and_stopped(kube: Kube, namespace: str, ctl: In) -> None:
    await primary(kube, namespace, ctl, 2)
    said = await ctl("get", "pods", "-l", "app=agnhost", "--no-headers")
    assert len(said.splitlines()) == 2
    await ctl("delete", "--grace-period=0", "--force", "rc", "agnhost-primary")
    await kube.of("v1", "pods", namespace).until_count(0)
    assert "No resources found" in await ctl("get", "rc,svc", "-l", "app=agnhost", "--no-headers")


@behaviour("Kubectl, scale replication controller")
async def test_a_controller_is_scaled(kube: Kube, namespace: str, ctl: In) -> None:
    await primary(kube, namespace, ctl, 2)
    pods = kube.of("v1", "pods", namespace)
    for replicas in (1, 2):
        await ctl("scale", "rc", "agnhost-primary", f"--replicas={replicas}", "--timeout=5m")
        await pods.until_count(replicas)
        controllers = kube.of("v1", "replicationcontrollers", namespace)
        await controllers.until("agnhost-primary", ready_replicas(replicas), f"scaled to {replicas}")


def says(text: str, *lines: tuple[str, ...]) -> None:
    """Somewhere there is a line with these words in this order."""
    for words in lines:
        pattern = ".*".join(re.escape(word) for word in words)
        assert re.search(pattern, text), (words, text)


@behaviour("Kubectl, describe pod or rc")
async def test_everything_is_described(kube: Kube, namespace: str, ctl: In) -> None:
    await primary(kube, namespace, ctl)
    await ctl("create", "-f", "-", stdin=service("agnhost-primary", LABELS, LABELS))
    (name,) = await kube.of("v1", "pods", namespace).names("app=agnhost")
    owned = ("Controlled By:", "ReplicationController/agnhost-primary")
    says(
        await ctl("describe", "pod", name),
        ("Name:", "agnhost-primary-"),
        ("Namespace:", namespace),
        ("Node:", "hollow"),
        ("Labels:", "app=agnhost"),
        ("role=primary",),
        ("Annotations:",),
        ("Status:", "Running"),
        ("IP:",),
        owned,
        ("Image:", IMAGE),
        ("State:", "Running"),
        ("QoS Class:", "BestEffort"),
    )
    says(
        await ctl("describe", "rc", "agnhost-primary"),
        ("Selector:", "app=agnhost,role=primary"),
        ("Labels:", "app=agnhost"),
        ("Replicas:", "1 current", "1 desired"),
        ("Pods Status:", "1 Running", "0 Waiting", "0 Succeeded", "0 Failed"),
        ("Pod Template:",),
        ("Image:", IMAGE),
        ("Events:",),
    )
    says(
        await ctl("describe", "service", "agnhost-primary"),
        ("Selector:", "app=agnhost", "role=primary"),
        ("Type:", "ClusterIP"),
        ("IP:",),
        ("Port:", "http", "80/TCP"),
        ("Endpoints:",),
        ("Session Affinity:", "None"),
    )
    says(
        await ctl("describe", "node", "hollow-1"),
        ("Name:", "hollow-1"),
        ("Labels:",),
        ("CreationTimestamp:",),
        ("Conditions:",),
        ("Type", "Status", "LastHeartbeatTime", "LastTransitionTime", "Reason", "Message"),
        ("Capacity:",),
        ("Kubelet Version:",),
        ("Pods:",),
    )
    says(await ctl("describe", "namespace", namespace), ("Name:", namespace), ("Status:", "Active"))


@asynccontextmanager
async def proxy(cluster: Cluster, *words: str) -> AsyncIterator[asyncio.subprocess.Process]:
    home = cluster.kubeconfig.parent / unique("home")
    process = await asyncio.create_subprocess_exec(
        "kubectl",
        "proxy",
        *words,
        env={**os.environ, "KUBECONFIG": str(cluster.kubeconfig), "HOME": str(home)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield process
    finally:
        process.terminate()
        await process.communicate()


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Object:
    """What `/api/` says through a proxy."""
    writer.write(b"GET /api/ HTTP/1.0\r\nHost: localhost\r\nAccept: application/json\r\n\r\n")
    answer = await asyncio.wait_for(reader.read(), 30)
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b" 200 " in head.splitlines()[0], answer
    found: Object = json.loads(body)
    return found


async def starts(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    return (await asyncio.wait_for(process.stdout.readline(), 30)).decode()


@behaviour("Kubectl, proxy port zero")
async def test_a_proxy_chooses_a_port(cluster: Cluster) -> None:
    async with proxy(cluster, "--port=0") as process:
        found = re.search(r"Starting to serve on 127\.0\.0\.1:(\d+)", await starts(process))
        assert found
        assert "v1" in (await ask(*await asyncio.open_connection("127.0.0.1", int(found[1]))))["versions"]


@behaviour("Kubectl, proxy socket")
async def test_a_proxy_on_a_socket(cluster: Cluster, tmp_path: Path) -> None:
    path = f"/tmp/styr-{os.getpid()}-{unique('proxy')}.sock" if len(str(tmp_path)) > 80 else str(tmp_path / "p.sock")
    assert len(path) < 100, "a socket's path is short"
    async with proxy(cluster, f"--unix-socket={path}") as process:
        assert "Starting to serve on" in await starts(process)
        reader, writer = await asyncio.open_unix_connection(path)
        assert writer.get_extra_info("socket").family == socket.AF_UNIX
        assert "v1" in (await ask(reader, writer))["versions"]
