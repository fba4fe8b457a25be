"""Certificates, the token and the kubeconfig: made once, private, renewed in time."""

from __future__ import annotations

import asyncio
import json
import ssl
from pathlib import Path

import pytest
import yaml

from styr.api import pki
from styr.kinds.errors import Unauthorized
from styr.kinds.transport import ANONYMOUS, User
from styr.kit.clock import SystemClock
from styr.serving.authn import ADMIN, Authenticator, from_certificate, load_or_create_token
from styr.serving.http import serve
from tests.api.wire_helpers import Recorder, read_response

DAY = 86400.0


class Ahead(SystemClock):
    def __init__(self, days: float = 0.0) -> None:
        self.days = days

    def time(self) -> float:
        return super().time() + self.days * DAY


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_made_once_and_private(tmp_path: Path) -> None:
    made = pki.ensure(tmp_path / "pki", SystemClock())
    assert mode(made.ca_key) == mode(made.key) == 0o600
    assert mode(made.folder) == 0o700
    before = {path.name: path.read_bytes() for path in made.folder.iterdir()}
    pki.ensure(tmp_path / "pki", SystemClock())
    assert {path.name: path.read_bytes() for path in made.folder.iterdir()} == before


def test_the_server_certificate_is_renewed_and_the_ca_stays(tmp_path: Path) -> None:
    made = pki.ensure(tmp_path, SystemClock())
    ca, certificate = made.ca.read_bytes(), made.certificate.read_bytes()
    pki.ensure(tmp_path, Ahead(days=300))
    assert made.certificate.read_bytes() == certificate
    pki.ensure(tmp_path, Ahead(days=340))
    assert made.certificate.read_bytes() != certificate
    assert made.ca.read_bytes() == ca


def test_a_half_written_folder_is_made_good(tmp_path: Path) -> None:
    made = pki.ensure(tmp_path, SystemClock())
    ca = made.ca.read_bytes()
    made.certificate.unlink()
    pki.ensure(tmp_path, SystemClock()).context()
    assert made.ca.read_bytes() == ca


def test_damage_is_told_with_the_way_out(tmp_path: Path) -> None:
    made = pki.ensure(tmp_path, SystemClock())
    made.certificate.write_text("rubbish")
    with pytest.raises(pki.PkiError, match="move that folder away"):
        made.context()
    made.certificate.unlink()
    made.ca_key.write_text("rubbish")
    with pytest.raises(pki.PkiError, match="damaged"):
        pki.ensure(tmp_path, SystemClock())
    made.ca_key.unlink()
    with pytest.raises(pki.PkiError, match=r"ca\.key is missing"):
        pki.ensure(tmp_path, SystemClock())


async def test_tls_with_token_with_certificate_and_without_either(tmp_path: Path) -> None:
    made = pki.ensure(tmp_path, SystemClock())
    handler = Recorder()
    server = await serve(handler, tls=made.context(), authenticate=Authenticator({"tok": ADMIN}))
    plain = ssl.create_default_context(cafile=str(made.ca))
    certificate, key = pki.client_certificate(made, SystemClock(), "ann", ["dev", "ops"])
    (tmp_path / "ann.pem").write_bytes(certificate + key)
    with_certificate = ssl.create_default_context(cafile=str(made.ca))
    with_certificate.load_cert_chain(tmp_path / "ann.pem")
    try:
        for host in ("localhost", "127.0.0.1"):
            for context, header in ((plain, ""), (plain, "authorization: Bearer tok\r\n"), (with_certificate, "")):
                reader, writer = await asyncio.open_connection(
                    "127.0.0.1", server.port, ssl=context, server_hostname=host
                )
                writer.write(f"GET / HTTP/1.1\r\n{header}\r\n".encode())
                assert (await read_response(reader))[0] == 200
                writer.close()
    finally:
        await server.close()
    assert handler.users == ["system:anonymous", "styr-admin", "ann"] * 2


async def test_a_certificate_of_another_ca_is_not_let_in(tmp_path: Path) -> None:
    ours, theirs = pki.ensure(tmp_path / "a", SystemClock()), pki.ensure(tmp_path / "b", SystemClock())
    server = await serve(Recorder(), tls=ours.context(), authenticate=Authenticator())
    certificate, key = pki.client_certificate(theirs, SystemClock(), "mallory", ["system:masters"])
    (tmp_path / "m.pem").write_bytes(certificate + key)
    context = ssl.create_default_context(cafile=str(ours.ca))
    context.load_cert_chain(tmp_path / "m.pem")

    async def call() -> None:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", server.port, ssl=context, server_hostname="localhost"
        )
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        await read_response(reader)

    try:
        with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
            await call()
    finally:
        await server.close()


def test_token_file(tmp_path: Path) -> None:
    path = tmp_path / "data" / "token"
    token = load_or_create_token(path)
    assert len(token) >= 32
    assert mode(path) == 0o600
    assert load_or_create_token(path) == token


def test_authenticator() -> None:
    known = Authenticator({"one": User("ann", ("dev",)), "two": ADMIN})
    assert known({"authorization": "Bearer one"}) == User("ann", ("dev", "system:authenticated"))
    assert known({"authorization": "basic eDp0d28="}).name == "styr-admin"
    assert known({}) is ANONYMOUS
    for bad in (
        "Bearer",
        "Bearer ",
        "Bearer three",
        "Basic ???",
        "Basic eDo=",
        "Digest x",
        "Bearer " + "x" * 10_000,
        "Bearer é",
    ):
        with pytest.raises(Unauthorized):
            known({"authorization": bad})
    known.remove("one")
    with pytest.raises(Unauthorized):
        known({"authorization": "Bearer one"})
    with pytest.raises(Unauthorized):
        from_certificate({"subject": ()})


def test_kubeconfig_is_private_yaml(tmp_path: Path) -> None:
    made = pki.ensure(tmp_path, SystemClock())
    path = tmp_path / "kubeconfig"
    pki.kubeconfig(path, server="https://127.0.0.1:6443", ca=made.ca, token='we"ird: token')
    assert mode(path) == 0o600
    found = yaml.safe_load(path.read_text())
    assert found == json.loads(path.read_text())
    assert found["users"][0]["user"]["token"] == 'we"ird: token'
    assert found["current-context"] == found["contexts"][0]["name"]
