"""How an answer looks to its reader: JSON in one line, JSON for people, or YAML. Called by the server, last of all. Pure."""

from __future__ import annotations

import json

import yaml

from styr.api.accept import YAML, best
from styr.kinds.transport import Request, Response

JSON = "application/json"
_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_PEOPLE = ("curl", "Wget", "Mozilla/5.0")
"""Programs behind which a person sits."""


def dress(request: Request, response: Response) -> Response:
    """The same answer, in YAML when that is what the client likes best, indented for people and for `?pretty=true`. Streams,
    and what is no JSON, stay as they are."""
    body = response.body
    if not isinstance(body, bytes) or not body or not response.headers.get("content-type", "").startswith(JSON):
        return response
    accept = request.headers.get("accept", "")
    if "yaml" in accept and best(accept, (JSON, YAML)) == YAML:
        response.body = yaml.safe_dump(json.loads(body), sort_keys=True, allow_unicode=True, width=1 << 16).encode()
        response.headers["content-type"] = YAML
    elif _for_people(request):
        response.body = json.dumps(json.loads(body), indent=2, ensure_ascii=False).encode() + b"\n"
    return response


def _for_people(request: Request) -> bool:
    asked = request.param("pretty")
    return asked in _TRUE if asked else request.headers.get("user-agent", "").startswith(_PEOPLE)
