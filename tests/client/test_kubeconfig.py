from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
import yaml

from styr.client.kubeconfig import KubeconfigError, read_kubeconfig


def write(path: Path, **changes: Any) -> Path:
    document: dict[str, Any] = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u", "namespace": "team"}}],
        "clusters": [{"name": "k", "cluster": {"server": "https://10.0.0.1:6443/k8s/one/"}}],
        "users": [{"name": "u", "user": {"token": "secret"}}],
    }
    path.write_text(yaml.safe_dump({**document, **changes}))
    return path


def user(**fields: Any) -> list[dict[str, Any]]:
    return [{"name": "u", "user": fields}]


def cluster(**fields: Any) -> list[dict[str, Any]]:
    return [{"name": "k", "cluster": {"server": "https://10.0.0.1:6443", **fields}}]


def test_what_a_connection_needs(tmp_path: Path) -> None:
    access = read_kubeconfig(write(tmp_path / "config"))
    assert (access.host, access.port, access.prefix) == ("10.0.0.1", 6443, "/k8s/one")
    assert (access.token, access.namespace) == ("secret", "team")
    assert access.ssl is not None
    assert access.ssl.check_hostname


def test_plain_http_has_no_tls_and_default_ports(tmp_path: Path) -> None:
    access = read_kubeconfig(write(tmp_path / "config", clusters=cluster(server="http://localhost")))
    assert (access.ssl, access.port) == (None, 80)


def test_a_token_file_beside_the_kubeconfig(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-file\n")
    assert read_kubeconfig(write(tmp_path / "config", users=user(tokenFile="token"))).token == "from-file"


def test_another_context(tmp_path: Path) -> None:
    contexts = [
        {"name": "c", "context": {"cluster": "k", "user": "u"}},
        {"name": "d", "context": {"cluster": "k", "user": "u", "namespace": "other"}},
    ]
    path = write(tmp_path / "config", contexts=contexts)
    assert read_kubeconfig(path).namespace == "default"
    assert read_kubeconfig(path, context="d").namespace == "other"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"current-context": "x"}, "no context 'x'"),
        ({"current-context": ""}, "no context ''"),
        ({"clusters": []}, "no cluster 'k'"),
        ({"users": None}, "no user 'u'"),
        ({"clusters": cluster(server="ftp://x")}, "not an http"),
        ({"clusters": cluster(**{"certificate-authority-data": "%%%"})}, "certificate-authority-data"),
        ({"clusters": cluster(**{"certificate-authority": "absent.crt"})}, "absent.crt"),
        ({"clusters": cluster(**{"certificate-authority-data": base64.b64encode(b"no pem").decode()})}, "damaged"),
        ({"users": user(exec={"command": "aws"})}, "not supported"),
        ({"contexts": [{"name": "c", "context": {}}]}, "damaged"),
        ({"contexts": "text"}, "damaged"),
    ],
)
def test_what_is_wrong_is_told_with_the_file(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    path = write(tmp_path / "config", **changes)
    with pytest.raises(KubeconfigError) as caught:
        read_kubeconfig(path)
    assert told in str(caught.value)


@pytest.mark.parametrize("content", [b"\x00\xff", b"a: [", b"[]", b"", b"text"])
def test_no_kubeconfig_at_all(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "config"
    path.write_bytes(content)
    with pytest.raises(KubeconfigError, match="config"):
        read_kubeconfig(path)
    with pytest.raises(KubeconfigError, match="absent"):
        read_kubeconfig(tmp_path / "absent")
