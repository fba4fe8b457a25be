"""The control plane as it is put together: tokens, certificates, audit and encryption by real clients over TLS, and over a
restart."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from styr import controllers
from styr.client.controller import Manager
from styr.kit.clock import SystemClock
from styr.plane.control import ControlPlane, StartError
from styr.plane.folder import Folder
from styr.plane.metrics import own_registry


@asynccontextmanager
async def running(path: Path) -> AsyncIterator[tuple[ControlPlane, int]]:
    async with AsyncExitStack() as stack:
        folder = Folder(path).open()
        stack.callback(folder.close)
        clock, registry = SystemClock(), own_registry()
        control = ControlPlane(folder, stack, clock, random.Random(1), registry)
        await control.start()
        manager = Manager(control.client, clock, random.Random(2), registry)
        for controller in (*controllers.controllers(), *control.trusted()):
            manager.add(controller)
        task = asyncio.create_task(manager.run())
        stack.push_async_callback(asyncio.gather, task, return_exceptions=True)
        stack.callback(task.cancel)
        await manager.synced()
        yield control, await control.listen(0)


def client(path: Path, port: int, **more: Any) -> Any:
    """The official Python client, as the bearer of a token or the holder of a certificate."""
    from kubernetes import client as kubernetes

    settings = kubernetes.Configuration(host=f"https://127.0.0.1:{port}")
    settings.ssl_ca_cert = str(path / "pki" / "ca.crt")
    if token := more.get("token"):
        settings.api_key = {"authorization": f"Bearer {token}"}
    settings.cert_file, settings.key_file = more.get("cert"), more.get("key")
    return kubernetes.ApiClient(settings)


def whoami(api: Any) -> Any:
    from kubernetes import client as kubernetes

    made = kubernetes.AuthenticationV1Api(api).create_self_subject_review(kubernetes.V1SelfSubjectReview())
    return made.status.user_info


def use(path: Path, port: int) -> str:
    """A ServiceAccount with a token, a certificate on request, and a Secret. Returns the token."""
    from kubernetes import client as kubernetes

    root = client(path, port, token=(path / "token").read_text().strip())
    core = kubernetes.CoreV1Api(root)
    core.create_namespaced_service_account("default", {"metadata": {"name": "robot"}})
    request = kubernetes.AuthenticationV1TokenRequest(spec=kubernetes.V1TokenRequestSpec(audiences=[]))
    token: str = core.create_namespaced_service_account_token("robot", "default", request).status.token
    core.create_namespaced_secret("default", {"metadata": {"name": "s"}, "string_data": {"key": "hunter2-hunter2"}})

    key = ec.generate_private_key(ec.SECP256R1())
    names = [(x509.NameOID.ORGANIZATION_NAME, "dev"), (x509.NameOID.COMMON_NAME, "bob")]
    subject = x509.Name([x509.NameAttribute(*name) for name in names])
    asked = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    spec = {
        "request": base64.b64encode(asked.public_bytes(Encoding.PEM)).decode(),
        "signerName": "kubernetes.io/kube-apiserver-client",
        "usages": ["client auth"],
    }
    api = kubernetes.CertificatesV1Api(root)
    api.create_certificate_signing_request({"metadata": {"name": "bob"}, "spec": spec})
    approved = {"status": {"conditions": [{"type": "Approved", "status": "True", "reason": "Test", "message": "x"}]}}
    api.patch_certificate_signing_request_approval("bob", approved)
    while not (found := api.read_certificate_signing_request("bob").status.certificate):
        pass
    (path / "bob.crt").write_bytes(base64.b64decode(found))
    (path / "bob.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return token


async def test_clients_by_token_and_certificate_over_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "data"
    async with running(path) as (_, port):
        token = await asyncio.to_thread(use, path, port)
    for _ in range(2):
        async with running(path) as (control, port):
            robot = await asyncio.to_thread(whoami, client(path, port, token=token))
            assert robot.username == "system:serviceaccount:default:robot"
            assert robot.extra["authentication.kubernetes.io/credential-id"][0].startswith("JTI=")
            pair = {"cert": str(path / "bob.crt"), "key": str(path / "bob.key")}
            bob = await asyncio.to_thread(whoami, client(path, port, **pair))
            assert (bob.username, bob.groups) == ("bob", ["dev", "system:authenticated"])
            from styr.kinds.resources import SECRET

            held = await control.client.get(SECRET, "s", "default")
            assert base64.b64decode(held["data"]["key"]) == b"hunter2-hunter2"
    coded = base64.b64encode(b"hunter2-hunter2")[:-4]
    for file in path.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            assert b"hunter2-hunter2" not in content, file
            assert coded not in content, file
    events = [json.loads(line) for line in (path / "log" / "audit.log").read_text().splitlines()]
    told = {
        (event["verb"], event["objectRef"]["resource"], event["objectRef"].get("subresource", ""))
        for event in events
        if event["user"]["username"] == "styr-admin"
    }
    assert told == {
        ("create", "serviceaccounts", ""),
        ("create", "serviceaccounts", "token"),
        ("create", "secrets", ""),
        ("create", "certificatesigningrequests", ""),
        ("patch", "certificatesigningrequests", "approval"),
    }
    assert {tuple(event["sourceIPs"]) for event in events if event["user"]["username"] == "styr-admin"} == {
        ("127.0.0.1",)
    }
    assert token not in json.dumps(events)


@pytest.mark.parametrize("name", ["authentication.yaml", "audit-policy.yaml", "encryption.yaml"])
async def test_a_broken_file_stops_the_start_and_is_named(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / name).write_text("kind: Nonsense")
    with pytest.raises(StartError, match=name):
        async with running(folder):
            pass
    (folder / name).unlink()
    async with running(folder):
        pass


async def kubectl(path: Path, *words: str, stdin: str = "") -> str:
    process = await asyncio.create_subprocess_exec(
        "kubectl",
        f"--cache-dir={path / 'cache'}",
        *words,
        env={**os.environ, "KUBECONFIG": str(path / "kubeconfig"), "HOME": str(path)},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await asyncio.wait_for(process.communicate(stdin.encode()), 60)
    return out.decode()


@pytest.mark.needs("kubectl")
async def test_kubectl_acts_asks_and_approves(tmp_path: Path) -> None:
    path = tmp_path / "data"
    async with running(path) as (_, port):
        await asyncio.to_thread(use, path, port)
        assert (await kubectl(path, "auth", "can-i", "get", "pods")).startswith("yes")
        assert (await kubectl(path, "auth", "can-i", "get", "pods", "--as", "bob")).startswith("no")
        listed = await kubectl(path, "auth", "can-i", "--list", "--as", "bob", "--as-group", "system:masters")
        assert "*.*" in listed
        refused = await kubectl(path, "get", "pods", "--as", "bob")
        assert 'User "bob" cannot list resource "pods" in API group "" in the namespace "default"' in refused
        await kubectl(path, "create", "rolebinding", "v", "--clusterrole=view", "--user=bob")
        assert "No resources found" in await kubectl(path, "get", "pods", "--as", "bob")
        assert "Approved,Issued" in await kubectl(path, "describe", "csr", "bob")
        assert "approved" in await kubectl(path, "certificate", "approve", "bob")
        described = await kubectl(path, "describe", "clusterrole", "edit")
        assert "deployments.apps/scale" in described
