"""/livez, /readyz, /healthz: as kube-apiserver v1.35.3 answers, for the checks that there are."""

from __future__ import annotations

import pytest

from styr.api import health
from styr.kinds.transport import ANONYMOUS, Response
from tests.api.kit import Api, running


def body(response: Response) -> str:
    assert isinstance(response.body, bytes)
    return response.body.decode()


@pytest.mark.parametrize("name", ["livez", "readyz", "healthz"])
def test_all_is_well(name: str) -> None:
    plain = health.respond(f"/{name}", [])
    assert (plain.status, body(plain)) == (200, "ok")
    assert plain.headers["content-type"] == "text/plain; charset=utf-8"
    assert body(health.respond(f"/{name}", [("exclude", "etcd")])) == "ok"
    told = body(health.respond(f"/{name}", [("verbose", "")]))
    assert told.startswith("[+]ping ok\n[+]log ok\n[+]etcd ok\n")
    assert told.endswith(f"ok\n{name} check passed\n")
    assert ("[+]informer-sync ok\n[+]shutdown ok\n" in told) == (name == "readyz")


def test_what_is_excluded_is_told() -> None:
    told = body(health.respond("/livez", [("exclude", "bogus"), ("verbose", ""), ("exclude", "log")]))
    assert told == (
        "[+]ping ok\n[+]log excluded: ok\n[+]etcd ok\n"
        'warn: some health checks cannot be excluded: no matches for "bogus"\nlivez check passed\n'
    )


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/livez/ping", 200),
        ("/readyz/shutdown", 200),
        ("/livez/shutdown", 404),
        ("/livez/", 404),
        ("/livez/ping/x", 404),
    ],
)
def test_each_check_has_its_path(path: str, status: int) -> None:
    assert health.is_health(path)
    response = health.respond(path, [])
    assert (response.status, body(response)) == (status, "ok" if status == 200 else "404 page not found\n")


@pytest.mark.parametrize("path", ["/", "/version", "/livezz", "/apis/livez", "/readyz2/ping", ""])
def test_other_paths_are_no_health(path: str) -> None:
    assert not health.is_health(path)


async def test_the_server_answers_and_asks_rights_for_one_check() -> None:
    async with running() as api:
        assert body(await api.raw("GET", "/readyz?verbose")).endswith("readyz check passed\n")
        assert (await api.raw("GET", "/livez/etcd")).status == 200
        assert (await api.raw("GET", "/livez/nosuch")).status == 404
        nobody = Api(api.server, ANONYMOUS)
        assert (await nobody.raw("GET", "/livez")).status == 200
        assert (await nobody.raw("GET", "/livez/etcd")).status == 403
