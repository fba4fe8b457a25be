"""From one form of OpenAPI to the other: definitions from v3 to v2, paths from v2 to v3. Called by `documents`. Pure.

The two forms of the published documents differ by these rules alone (tests/api/test_openapi.py compares all of them).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]

V2 = "#/definitions/"
V3 = "#/components/schemas/"
_PLACE = ("type", "format", "uniqueItems")
"""What v2 says of a parameter itself, and v3 of its schema."""


def definition_v2(schema: Mapping[str, Any]) -> Json:
    """A definition as v2 has it: references stand alone, a choice of types becomes a string, defaults are left out."""
    found = {key: value for key, value in schema.items() if key not in ("default", "oneOf", "allOf")}
    if "oneOf" in schema:
        found["type"] = "string"
    reference = schema.get("$ref") or next((part["$ref"] for part in schema.get("allOf", ()) if "$ref" in part), None)
    if reference:
        found["$ref"] = V2 + reference.removeprefix(V3)
    for key in ("items", "additionalProperties"):
        if isinstance(found.get(key), dict):
            found[key] = definition_v2(found[key])
    if "properties" in found:
        found["properties"] = {name: definition_v2(child) for name, child in found["properties"].items()}
    return found


def path_v3(item: Mapping[str, Any], parameters: Mapping[str, Json]) -> Json:
    """A path of v2 as v3 has it. `parameters` are those that it refers to."""
    found: Json = {}
    for key, value in item.items():
        if key == "parameters":
            found[key] = [_parameter(entry) for entry in _resolved(value, parameters)]
        else:
            found[key] = _operation(value, parameters)
    return found


def _resolved(entries: list[Json], parameters: Mapping[str, Json]) -> list[Json]:
    return [parameters[entry["$ref"].rpartition("/")[2]] if "$ref" in entry else entry for entry in entries]


def _parameter(entry: Json) -> Json:
    place = {key: entry[key] for key in _PLACE if key in entry}
    return {key: value for key, value in entry.items() if key not in _PLACE} | {"schema": place}


def _operation(operation: Json, parameters: Mapping[str, Json]) -> Json:
    gone = ("consumes", "produces", "schemes", "parameters", "responses")
    found = {key: value for key, value in operation.items() if key not in gone}
    entries = _resolved(operation.get("parameters", []), parameters)
    plain = [_parameter(entry) for entry in entries if entry["in"] != "body"]
    if plain:
        found["parameters"] = plain
    for body in entries:
        if body["in"] == "body":
            kept = {key: body[key] for key in ("description", "required") if body.get(key)}
            found["requestBody"] = {"content": _content(body["schema"], operation["consumes"]), **kept}
    found["responses"] = {
        code: {key: value for key, value in response.items() if key != "schema"}
        | ({"content": _content(response["schema"], operation["produces"])} if "schema" in response else {})
        for code, response in operation["responses"].items()
    }
    return found


def _content(schema: Json, types: list[str]) -> Json:
    if "$ref" in schema:
        schema = {**schema, "$ref": V3 + schema["$ref"].removeprefix(V2)}
    return {kind: {"schema": schema} for kind in types}
