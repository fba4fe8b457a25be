"""The audit: what is written down of which request, that secrets are not, and that the file is whole, bounded and in nobody's
way."""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from styr.api.filters import audit_log, audit_policy
from styr.api.filters.asked import Asked
from styr.api.filters.audit import MAX_BODY, Audit, follow
from styr.api.filters.audit_log import AuditLog
from styr.api.filters.audit_policy import DEFAULT, Policy, PolicyError
from styr.kinds.transport import Request, User
from styr.kit.clock import SystemClock
from styr.kit.followed import Followed
from styr.serving.authn import Authenticator
from styr.serving.http import serve

from .kit import ADMIN, JSON_PATCH, Api, config, running

MAPS, SECRETS = "/api/v1/namespaces/default/configmaps", "/api/v1/namespaces/default/secrets"
ANN = User("ann", ("dev", "system:authenticated"), "7", (("scopes", ("view",)),))


class Clock(SystemClock):
    """The machine's; what it measures moves by hand."""

    passed = 0.0

    def monotonic(self) -> float:
        return self.passed


class World(Api):
    def __init__(self, api: Api, policy: Policy) -> None:
        super().__init__(api.server)
        self.policy = policy
        self.lines: list[bytes] = []
        self.clock = Clock()
        self.server.audit = Audit(lambda: self.policy, self.lines.append, self.clock, random.Random(1))

    def told(self) -> list[dict[str, Any]]:
        """The events since the last call."""
        events = [json.loads(line) for line in self.lines]
        self.lines.clear()
        return events


def policy(*rules: dict[str, Any], **more: Any) -> Policy:
    return audit_policy.read({"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": list(rules), **more})


EVERYTHING = policy({"level": "RequestResponse"})


@asynccontextmanager
async def world(found: Policy = DEFAULT) -> AsyncIterator[World]:
    async with running() as api:
        yield World(api, found)


async def test_a_write_is_told_with_who_what_and_why() -> None:
    async with world() as api:
        await api("POST", MAPS, config("one"), **{"user-agent": "kubectl/v1", "audit-id": "my-id"})
        (event,) = api.told()
        uid = (await api("GET", f"{MAPS}/one"))["metadata"]["uid"]
        assert api.told() == []  # reads are not
        for stamp in ("requestReceivedTimestamp", "stageTimestamp"):
            assert len(event.pop(stamp)) == len("2026-01-01T00:00:00.000000Z")
        assert event == {
            "kind": "Event",
            "apiVersion": "audit.k8s.io/v1",
            "level": "Metadata",
            "auditID": "my-id",
            "stage": "ResponseComplete",
            "requestURI": MAPS,
            "verb": "create",
            "user": {"username": "admin", "groups": ["system:masters", "system:authenticated"]},
            "userAgent": "kubectl/v1",
            "objectRef": {
                "resource": "configmaps",
                "namespace": "default",
                "name": "one",
                "uid": uid,
                "apiVersion": "v1",
            },
            "responseStatus": {"metadata": {}, "code": 201},
            "annotations": {"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": ""},
        }


async def test_refusals_impersonation_and_what_admission_says() -> None:
    async with world() as api:
        ann = Api(api.server, ANN)
        answer = await ann("DELETE", f"{MAPS}/one?dryRun=All&a=b%20c", want=403)
        (event,) = api.told()
        assert event["requestURI"] == f"{MAPS}/one?dryRun=All&a=b+c"
        assert event["user"] == {
            "username": "ann",
            "uid": "7",
            "groups": ["dev", "system:authenticated"],
            "extra": {"scopes": ["view"]},
        }
        status = event["responseStatus"]
        assert (status["code"], status["reason"], status["message"]) == (403, "Forbidden", answer["message"])
        assert event["annotations"]["authorization.k8s.io/decision"] == "forbid"
        response = await api.raw("POST", MAPS, config("one"), **{"impersonate-user": "bob"})
        (event,) = api.told()
        assert (event["user"]["username"], event["impersonatedUser"]["username"]) == ("admin", "bob")
        assert response.headers["audit-id"] == event["auditID"]
        await Api(api.server, replace(ANN, notes=(("a/b", "old"),))).raw("DELETE", f"{MAPS}/one")
        (event,) = api.told()
        assert event["annotations"]["a/b"] == "old"
        response = await ann.raw("POST", MAPS, config("one"), **{"impersonate-user": "root"})
        (event,) = api.told()  # also one that never got so far
        assert (event["user"]["username"], event["responseStatus"]["code"]) == ("ann", 403)
        await api("POST", "/api/v1/namespaces/default/serviceaccounts/x/token", {}, want=404)
        await api("POST", "/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "x"}})
        await api("POST", "/api/v1/namespaces/default/serviceaccounts/x/token", {})
        event = api.told()[-1]
        assert event["objectRef"]["subresource"] == "token"
        assert event["annotations"]["authentication.kubernetes.io/issued-credential-id"].startswith("JTI=")


async def test_levels_and_stages() -> None:
    async with world(EVERYTHING) as api:
        await api("POST", MAPS, config("one", {"a": "b"}))
        first, second = api.told()
        assert (first["stage"], second["stage"]) == ("RequestReceived", "ResponseComplete")
        assert first["auditID"] == second["auditID"]
        assert "responseStatus" not in first
        assert second["requestObject"]["data"] == second["responseObject"]["data"] == {"a": "b"}
        assert second["responseObject"]["metadata"]["managedFields"]
        patch = [{"op": "replace", "path": "/data/a", "value": "c"}]
        await api("PATCH", f"{MAPS}/one", patch, type=JSON_PATCH)
        assert api.told()[1]["requestObject"] == patch
        api.policy = policy({"level": "Request"}, omitStages=["RequestReceived"])
        await api("PATCH", f"{MAPS}/one", patch, type=JSON_PATCH)
        (event,) = api.told()
        assert event["level"] == "Request"
        assert "requestObject" in event
        assert "responseObject" not in event
        api.policy = policy({"level": "RequestResponse", "omitStages": ["RequestReceived"]}, omitManagedFields=True)
        await api("GET", MAPS)
        (event,) = api.told()
        assert "managedFields" not in json.dumps(event)
        api.policy = policy({"level": "None"})
        await api("GET", MAPS)
        assert api.told() == []


async def test_a_credential_that_is_no_good_is_told_and_a_flood_of_them_is_not() -> None:
    async with world() as api:
        server = await serve(
            api.server, tls=None, authenticate=Authenticator({"tok": ADMIN}), refused=api.server.refused
        )
        try:
            for token in ("wrong-secret-token", "tok", *["other"] * 30):
                reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
                writer.write(
                    f"GET /api/v1/nodes/x HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
                    "Connection: close\r\n\r\n".encode()
                )
                await reader.read()
                writer.close()
        finally:
            await server.close()
        events = api.told()
        assert len(events) == 10
        first = events[0]
        assert first["responseStatus"]["message"] == "Authentication failed, attempted: bearer"
        assert (first["responseStatus"]["code"], first["user"], first["sourceIPs"]) == (401, {}, ["127.0.0.1"])
        assert first["objectRef"] == {"resource": "nodes", "name": "x", "apiVersion": "v1"}
        assert "wrong-secret-token" not in json.dumps(events)
        api.clock.passed = 0.2
        api.server.refused(Request("GET", "/version", headers={"authorization": "Nonsense x"}))
        (last,) = api.told()
        assert last["annotations"]["styr.dev/not-written"] == "21"
        assert last["responseStatus"]["message"].endswith("other")
        api.policy = policy({"level": "Metadata", "verbs": ["create"]})
        api.server.refused(Request("GET", "/api/v1/nodes/x"))
        assert api.told() == []


async def test_a_large_body_is_left_out_and_a_strange_one_too() -> None:
    async with world(EVERYTHING) as api:
        await api("POST", MAPS, config("one", {"a": "x" * (MAX_BODY + 1)}))
        event = api.told()[1]
        assert "requestObject" not in event
        assert "responseObject" not in event
        await api("POST", MAPS, b"[" * 5000, want=400)
        await api("POST", MAPS, b"\xff\xfe", want=400)
        await api("POST", MAPS, b"k8s\0\x0a", type="application/vnd.kubernetes.protobuf", want=400)
        assert [event["responseStatus"]["code"] for event in api.told()[1::2]] == [400, 400, 400]


async def test_secrets_are_shown_to_nobody_who_does_not_mean_them() -> None:
    secret = {"metadata": {"name": "s"}, "stringData": {"key": "hunter2"}}
    async with world(EVERYTHING) as api:
        await api("POST", SECRETS, secret)
        await api("GET", SECRETS)
        await api("POST", "/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "x"}})
        api.told()
        token = await api("POST", "/api/v1/namespaces/default/serviceaccounts/x/token", {})
        review = {"spec": {"token": token["status"]["token"]}}
        await api("POST", "/apis/authentication.k8s.io/v1/tokenreviews", review)
        events = api.told()
        assert {event["level"] for event in events} == {"Metadata"}
        assert token["status"]["token"] not in json.dumps(events)
        api.policy = policy({"level": "Request", "resources": [{"group": "", "resources": ["*"]}]})
        await api("PUT", f"{SECRETS}/s", secret)
        assert "requestObject" not in api.told()[1]
        api.policy = policy({"level": "Request", "resources": [{"group": "", "resources": ["secrets"]}]})
        await api("PUT", f"{SECRETS}/s", secret)
        assert api.told()[1]["requestObject"]["stringData"] == {"key": "hunter2"}


async def test_a_stream_is_told_when_it_starts_and_when_it_ends() -> None:
    async with world(policy({"level": "Metadata"})) as api:
        async with api.watching(f"{MAPS}?watch=true"):
            assert [event["stage"] for event in api.told()] == ["RequestReceived", "ResponseStarted"]
        (event,) = api.told()
        assert (event["stage"], event["verb"]) == ("ResponseComplete", "watch")


@pytest.mark.parametrize(
    ("rule", "asked", "matches"),
    [
        ({"users": ["ann"]}, Asked("get", path="/x"), True),
        ({"users": ["bob"]}, Asked("get", path="/x"), False),
        ({"userGroups": ["dev"], "verbs": ["get"]}, Asked("get", path="/x"), True),
        ({"userGroups": ["dev"], "verbs": ["get"]}, Asked("post", path="/x"), False),
        ({"nonResourceURLs": ["/x*"]}, Asked("get", path="/xyz"), True),
        ({"nonResourceURLs": ["*"]}, Asked("get", resource="pods", path="/api/v1/pods"), False),
        ({"namespaces": [""]}, Asked("get", resource="nodes"), True),
        ({"namespaces": ["team"]}, Asked("get", resource="pods", namespace="default"), False),
        ({"namespaces": ["team"]}, Asked("get", path="/x"), False),
        ({"resources": [{"group": "apps"}]}, Asked("get", "apps", resource="deployments"), True),
        ({"resources": [{"group": ""}]}, Asked("get", "apps", resource="deployments"), False),
        ({"resources": [{"resources": ["pods"]}]}, Asked("get", resource="pods", subresource="log"), False),
        ({"resources": [{"resources": ["pods/*"]}]}, Asked("get", resource="pods", subresource="log"), True),
        ({"resources": [{"resources": ["*/log"]}]}, Asked("get", resource="pods", subresource="log"), True),
        (
            {"resources": [{"resources": ["pods"], "resourceNames": ["a"]}]},
            Asked("get", resource="pods", name="b"),
            False,
        ),
    ],
)
def test_which_rule_matches(rule: dict[str, Any], asked: Asked, matches: bool) -> None:
    found = policy({"level": "Metadata", **rule}).rule(ANN, asked)
    assert (found is not None) is matches


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "neither JSON nor YAML|not a JSON object"),
        ("kind: Policy", "must be of kind Policy in audit.k8s.io/v1"),
        ('{"apiVersion":"audit.k8s.io/v1","kind":"Policy","rules":[{}]}', "rules.0..level: Required value"),
        ('{"apiVersion":"audit.k8s.io/v1","kind":"Policy","rules":[{"level":"All"}]}', 'Unsupported value: "All"'),
        ('{"apiVersion":"audit.k8s.io/v1","kind":"Policy","rules":[{"level":"None","x":1}]}', "unknown field"),
        ('{"apiVersion":"audit.k8s.io/v1","kind":"Policy","rules":3}', "rules"),
        ('{"apiVersion":"audit.k8s.io/v1","kind":"Policy","omitStages":["Soon"]}', "allowed stages are"),
        (
            '{"apiVersion":"audit.k8s.io/v1","kind":"Policy","rules":[{"level":"None","nonResourceURLs":["x"]}]}',
            "must begin with",
        ),
        (
            '{"apiVersion":"audit.k8s.io/v1","kind":"Policy","rules":[{"level":"None","nonResourceURLs":["/x"],"namespaces":["a"]}]}',
            "both regular resources",
        ),
        (
            '{"apiVersion":"audit.k8s.io/v1","kind":"Policy","rules":[{"level":"None","resources":[{"group":"apps/v1"}]}]}',
            "leave the version out",
        ),
        ("[" * 100_000, "nested deeper|neither"),
        ('{"a":' * 100_000, "nested deeper|neither"),
    ],
)
def test_a_policy_that_is_none(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "audit-policy.yaml"
    path.write_text(text)
    with pytest.raises(PolicyError, match=words):
        audit_policy.load(path)


def test_the_policy_file_is_followed(tmp_path: Path) -> None:
    path, now = tmp_path / "audit-policy.yaml", [0.0]
    file = Followed(path, audit_policy.load, lambda: now[0], (PolicyError,))
    current = follow(file)
    assert current() is DEFAULT
    for text, rules in (('{"apiVersion":"audit.k8s.io/v1","kind":"Policy"}', 0), ("nonsense", 0)):
        path.write_text(text)
        now[0] += 2
        assert len(current().rules) == rules
    path.unlink()
    now[0] += 2
    assert current() is DEFAULT


# The file


def lines_of(path: Path) -> list[dict[str, Any]]:
    files = [*sorted(path.parent.glob(f"{path.stem}-*{path.suffix}")), path]
    return [json.loads(line) for file in files for line in file.read_bytes().splitlines()]


async def test_nothing_is_lost_at_a_stop_and_the_file_is_private(tmp_path: Path) -> None:
    path = tmp_path / "log" / "audit.log"
    log = AuditLog(path, SystemClock())
    for number in range(500):
        log.append(b'{"n":%d}\n' % number)
        if number % 100 == 0:
            await asyncio.sleep(0)
    await log.close()
    assert [line["n"] for line in lines_of(path)] == list(range(500))
    assert path.stat().st_mode & 0o777 == 0o600
    again = AuditLog(path, SystemClock())
    again.append(b'{"n":500}\n')
    await again.close()
    assert len(lines_of(path)) == 501


async def test_events_reach_the_disk_by_themselves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_log, "DELAY", 0.001)
    log = AuditLog(tmp_path / "audit.log", SystemClock())
    for number in range(3):
        log.append(b'{"n":%d}\n' % number)
        for _ in range(1000):
            if len(lines_of(log.path)) == number + 1:
                break
            await asyncio.sleep(0.002)
        else:
            raise AssertionError("it is not there")
    await log.close()


async def test_the_disk_it_takes_is_bounded(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit.log", SystemClock(), max_file=1000, kept=3)
    for number in range(1000):
        log.append(json.dumps({"n": number, "text": "x" * random.Random(number).randrange(200)}).encode() + b"\n")
    await log.close()
    files = list(tmp_path.iterdir())
    assert len(files) == 4
    assert all(file.stat().st_size <= 1000 for file in files)
    numbers = [line["n"] for line in lines_of(log.path)]
    assert numbers == list(range(numbers[0], 1000))


async def test_a_flood_is_bounded_in_memory_and_counted(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit.log", SystemClock(), max_pending=100)
    for _ in range(10):
        log.append(b"x" * 29 + b"\n")
    assert log.lost == 7
    await log.close()
    assert (tmp_path / "audit.log").stat().st_size == 90


async def test_a_full_disk_loses_events_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = AuditLog(tmp_path / "audit.log", SystemClock())
    real, full = os.write, [True]

    def write(file: int, data: Any) -> int:
        if full[0] and len(data) > 5:
            real(file, bytes(data[:5]))
            raise OSError(28, "No space left on device")
        return real(file, data)

    monkeypatch.setattr(audit_log.os, "write", write)
    log.append(b'{"n":1}\n')
    log._write(log._take())
    assert log.lost == 1
    full[0] = False
    log.append(b'{"n":2}\n')
    await log.close()
    assert lines_of(log.path) == [{"n": 2}]


async def test_a_half_line_of_a_killed_process_is_closed(tmp_path: Path) -> None:
    (tmp_path / "audit.log").write_bytes(b'{"n":1}\n{"n":')
    log = AuditLog(tmp_path / "audit.log", SystemClock())
    log.append(b'{"n":2}\n')
    await log.close()
    assert (tmp_path / "audit.log").read_bytes() == b'{"n":1}\n{"n":\n{"n":2}\n'


@given(st.text(max_size=300), st.text(max_size=50), st.text(max_size=50))
def test_whatever_a_request_says_an_event_is_one_line(path: str, agent: str, user: str) -> None:
    lines: list[bytes] = []
    audit = Audit(lambda: EVERYTHING, lines.append, SystemClock(), random.Random(1))
    path, agent, user = (text.encode(errors="replace").decode() for text in (path, agent, user))
    request = Request("GET", path, [(path, user)], {"user-agent": agent, "audit-id": agent}, user=ADMIN)
    assert audit.begin(request, User(user), Asked("get", path=path)) is not None
    (line,) = lines
    assert line.count(b"\n") == 1
    json.loads(line)
