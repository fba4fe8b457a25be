"""Answers in YAML, and indented for people, as kube-apiserver gives them."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from tests.api.kit import Api, config, running

MAPS = "/api/v1/namespaces/default/configmaps"
YAML = "application/yaml"


async def text(api: Api, method: str, url: str, body: Any = b"", **headers: str) -> tuple[str, str]:
    """Media type and text."""
    response = await api.raw(method, url, body, **headers)
    assert isinstance(response.body, bytes)
    return response.headers["content-type"], response.body.decode()


async def test_yaml_is_given_to_who_likes_it_best() -> None:
    async with running() as api:
        media, made = await text(api, "POST", MAPS, config("a", {"on": "yes", "note": "ä\nb"}), accept=YAML)
        assert (media, yaml.safe_load(made)["data"]) == (YAML, {"on": "yes", "note": "ä\nb"})
        for url, kind in (
            (f"{MAPS}/a", "ConfigMap"),
            (MAPS, "ConfigMapList"),
            (f"{MAPS}/none", "Status"),
            ("/apis/", None),
        ):
            media, found = await text(api, "GET", url, accept=f"{YAML}, application/json;q=0.5")
            assert (media, yaml.safe_load(found).get("kind")) == (YAML, kind or "APIGroupList")
            media, same = await text(api, "GET", url, accept=f"application/json, {YAML}")
            assert (media, json.loads(same)) == ("application/json", yaml.safe_load(found))
        assert (await api.raw("GET", f"{MAPS}?watch=1", accept=YAML)).status == 406
        sent = made.replace("'on': 'yes'", "'on': 'no'").encode()
        _, changed = await text(api, "PUT", f"{MAPS}/a", sent, type=YAML, accept=YAML)
        assert yaml.safe_load(changed)["data"]["on"] == "no"


@pytest.mark.parametrize(
    ("query", "agent", "indented"),
    [
        ("", "", False),
        ("", "curl/8.5.0", True),
        ("", "Wget/1.21", True),
        ("", "Mozilla/5.0 (X11)", True),
        ("", "kubectl/v1.35.3", False),
        ("?pretty=true", "", True),
        ("?pretty=1", "kubectl/v1.35.3", True),
        ("?pretty=false", "curl/8.5.0", False),
        ("?pretty=odd", "curl/8.5.0", False),
        ("?pretty=", "curl/8.5.0", True),
    ],
)
async def test_people_get_lines(query: str, agent: str, indented: bool) -> None:
    async with running() as api:
        for url in (MAPS, f"{MAPS}/none", "/api/v1"):
            _, found = await text(api, "GET", url + query, **{"user-agent": agent})
            assert ("\n  " in found) is indented
            assert json.loads(found)["kind"]
