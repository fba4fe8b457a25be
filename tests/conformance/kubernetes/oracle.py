"""The behaviours asked of the real thing: `STYR_BEHAVIOURS_AGAINST=kube-apiserver pytest tests/conformance/kubernetes`.

Then `conftest` starts a kube-apiserver and an etcd from the PATH instead of Styr, with Styr's controllers and the hollow node.
What fails there as well is a mistake of the test. For people; CI has no such programs.
"""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from styr.api import pki
from styr.client.client import Client
from styr.client.kubeconfig import read_kubeconfig
from styr.client.transport import HttpsTransport, TransportError
from styr.kinds.errors import ApiError
from styr.kinds.transport import Request, Response
from styr.kit.clock import SystemClock

VARIABLE = "STYR_BEHAVIOURS_AGAINST"
HELPERS = (
    "resourcequota-controller",
    "persistentvolume-protection-controller",
    "persistentvolumeclaim-protection-controller",
    "volumeattributesclass-protection-controller",
    "clusterrole-aggregation-controller",
)
"""What Styr's server does itself, and the real one leaves to kube-controller-manager."""


class Impersonating:
    """A handler that hands requests to a server elsewhere, in the name of their user when it is not the administrator."""

    def __init__(self, transport: HttpsTransport, admin: str) -> None:
        self._transport = transport
        self._admin = admin

    async def __call__(self, request: Request) -> Response:
        if request.user is not None and request.user.name != self._admin:
            assert len(request.user.groups) <= 1, "one header holds one group"
            who = {"impersonate-user": request.user.name, "impersonate-group": "".join(request.user.groups)}
            request = replace(request, headers={**request.headers, **who})
        return await self._transport.request(request)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def kube_apiserver(folder: Path, token: str) -> AsyncIterator[tuple[str, HttpsTransport]]:
    """(URL, transport of the administrator). `folder/kubeconfig` is the administrator's."""
    made = pki.ensure(folder / "pki", SystemClock())
    etcd, peer, secure = _free_port(), _free_port(), _free_port()
    (folder / "tokens.csv").write_text(f'{token},styr-admin,1,"system:masters"\n')
    keys = folder / "sa.key"
    subprocess.run(["openssl", "genrsa", "-out", str(keys), "2048"], check=True, capture_output=True)
    commands = [
        [
            "etcd",
            f"--data-dir={folder / 'etcd'}",
            f"--listen-client-urls=http://127.0.0.1:{etcd}",
            f"--advertise-client-urls=http://127.0.0.1:{etcd}",
            f"--listen-peer-urls=http://127.0.0.1:{peer}",
            "--unsafe-no-fsync",
        ],
        [
            "kube-apiserver",
            f"--etcd-servers=http://127.0.0.1:{etcd}",
            "--bind-address=127.0.0.1",
            f"--secure-port={secure}",
            f"--tls-cert-file={made.certificate}",
            f"--tls-private-key-file={made.key}",
            f"--client-ca-file={made.ca}",
            f"--token-auth-file={folder / 'tokens.csv'}",
            f"--service-account-key-file={keys}",
            f"--service-account-signing-key-file={keys}",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--authorization-mode=RBAC",
            "--allow-privileged=true",
            "--service-cluster-ip-range=10.96.0.0/16",
        ],
    ]
    helpers = [
        "kube-controller-manager",
        f"--kubeconfig={folder / 'kubeconfig'}",
        "--controllers=" + ",".join(HELPERS),
        "--leader-elect=false",
        f"--root-ca-file={made.ca}",
        f"--service-account-private-key-file={keys}",
        "--use-service-account-credentials=false",
        "--secure-port=0",
    ]
    url = f"https://127.0.0.1:{secure}"
    pki.kubeconfig(folder / "kubeconfig", server=url, ca=made.ca, token=token)
    transport = HttpsTransport(read_kubeconfig(folder / "kubeconfig"))
    running = []
    try:
        for command in commands:
            with (folder / f"{command[0]}.log").open("wb") as log:
                running.append(subprocess.Popen(command, stdout=log, stderr=log))
        await asyncio.wait_for(_ready(Client(transport)), 120)
        if shutil.which(helpers[0]):
            with (folder / f"{helpers[0]}.log").open("wb") as log:
                running.append(subprocess.Popen(helpers, stdout=log, stderr=log))
        yield url, transport
    finally:
        await transport.close()
        for process in reversed(running):
            process.terminate()
            process.wait(30)


async def _ready(client: Client) -> None:
    while True:
        try:
            await client.raw("GET", "/api/v1/namespaces/default")
            return
        except (ApiError, TransportError):
            await asyncio.sleep(0.2)
