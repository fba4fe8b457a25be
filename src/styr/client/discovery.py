"""Which kinds a server serves, by the plain discovery documents that every Kubernetes has. Controllers that act on all
kinds (garbage collection, deletion of namespaces) call it; it caches nothing."""

from __future__ import annotations

from typing import Any

from styr.client.client import Client
from styr.kinds.errors import ApiError, NotFound
from styr.kinds.resources import Resource


async def served(client: Client, *, verbs: tuple[str, ...] = ("list", "watch", "delete")) -> list[Resource]:
    """Every resource that can be listed, watched and deleted, in the version that the server prefers. A group that cannot
    be read now (its server is down) raises: to act on an incomplete list would be wrong."""
    found = await _group(client, "/api/v1", "", "v1", verbs)
    groups = await client.raw("GET", "/apis")
    for group in groups.get("groups") or ():
        version = (group.get("preferredVersion") or {}).get("version") or group["versions"][0]["version"]
        try:
            found += await _group(client, f"/apis/{group['name']}/{version}", group["name"], version, verbs)
        except NotFound:
            continue  # its last kind went away between the two requests
    return found


async def resource_of(client: Client, api_version: str, kind: str) -> Resource | None:
    """The resource of a kind as owner references name it; None when the server has no such kind."""
    group, _, version = api_version.rpartition("/")
    path = f"/apis/{group}/{version}" if group else f"/api/{version}"
    try:
        found = await _group(client, path, group, version, ())
    except NotFound:
        return None
    return next((resource for resource in found if resource.kind == kind), None)


async def _group(client: Client, path: str, group: str, version: str, verbs: tuple[str, ...]) -> list[Resource]:
    document = await client.raw("GET", path)
    entries: list[dict[str, Any]] = document.get("resources") or []
    if not isinstance(entries, list):
        raise ApiError(f"{path}: no list of resources")
    subresources = {entry["name"] for entry in entries if "/" in entry["name"]}
    return [
        Resource(
            group,
            version,
            entry["kind"],
            entry["name"],
            bool(entry.get("namespaced")),
            status=f"{entry['name']}/status" in subresources,
        )
        for entry in entries
        if "/" not in entry["name"] and set(verbs) <= set(entry.get("verbs") or ())
    ]
