"""The sets of fields and the walks over typed objects: laws over generated ones, and the same answers as Kubernetes' own
library (structured-merge-diff, built from tests/peers/smd)."""

from __future__ import annotations

import copy
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from styr.api.apply import fieldset, managed, typed, types

ELEMENTS = st.sampled_from(["f:a", "f:b", "f:.", 'k:{"n":"x"}', 'v:"q"', "v:1", "i:0"])
PATHS = st.lists(ELEMENTS, min_size=1, max_size=3).map(tuple)
SETS = st.lists(PATHS, max_size=6).map(fieldset.of_paths)


def members(tree: Any) -> set[tuple[str, ...]]:
    return set(fieldset.paths(tree))


@given(st.lists(PATHS, max_size=6))
def test_a_set_holds_what_was_put_in(paths: Any) -> None:
    assert members(fieldset.of_paths(paths)) == set(paths)


@given(SETS, SETS)
def test_sets_obey_their_laws(one: Any, two: Any) -> None:
    before = copy.deepcopy((one, two))
    assert members(fieldset.union(one, two)) == members(one) | members(two)
    assert members(fieldset.intersection(one, two)) == members(one) & members(two)
    assert members(fieldset.difference(one, two)) == members(one) - members(two)
    above = members(two)
    kept = {path for path in members(one) if not any(path[:n] in above for n in range(1, len(path) + 1))}
    assert members(fieldset.recursive_difference(one, two)) == kept
    assert fieldset.difference(one, one) == fieldset.EMPTY
    assert (one, two) == before


@given(SETS)
def test_a_set_survives_the_wire(one: Any) -> None:
    sent = json.loads(json.dumps(fieldset.ordered(one)))
    assert fieldset.parse(sent) == one
    assert list(sent) == sorted(sent)


@pytest.mark.parametrize(
    "bad", [3, [], {"x": {}}, {"f:a": 3}, {"k:": {}}, {"k:[1]": {}}, {"v:{": {}}, {"i:x": {}}, {"": {}}]
)
def test_what_is_no_set_is_refused(bad: Any) -> None:
    with pytest.raises(ValueError, match="fieldsV1"):
        fieldset.parse(bad)


def test_paths_read_as_in_messages() -> None:
    path = ("f:spec", 'k:{"name":"a","port":80}', "f:args", 'v:"x"', "i:3")
    assert fieldset.describe(path) == '.spec[name="a",port=80].args[="x"][3]'


# Objects. The same schema twice: as a CRD has it, and as the library reads it.

_TEXT = {"type": "string"}
_INNER = {"name": _TEXT, "x": _TEXT, "deep": {"type": "object", "additionalProperties": _TEXT}}


def _keyed(*keys: str, **fields: Any) -> dict[str, Any]:
    item = {"type": "object", "properties": fields}
    return {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys), "items": item}


_PORTS = {"port": {"type": "integer"}, "protocol": {**_TEXT, "default": "TCP"}, "x": _TEXT}
SCHEMA = {
    "type": "object",
    "properties": {
        "anchor": _TEXT,
        "scalar": _TEXT,
        "map": {"type": "object", "additionalProperties": _TEXT},
        "struct": {"type": "object", "properties": _INNER},
        "whole": {"type": "object", "x-kubernetes-map-type": "atomic", "properties": _INNER},
        "list": _keyed("name", **_INNER),
        "ports": _keyed("port", "protocol", **_PORTS),
        "set": {"type": "array", "x-kubernetes-list-type": "set", "items": _TEXT},
        "words": {"type": "array", "items": _TEXT},
    },
}
TYPE = types.custom(SCHEMA)


def _scalar(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": {"scalar": "string"}, **more}


_DEEP = {"name": "deep", "type": {"map": {"elementType": {"scalar": "string"}}}}
_LIST = {"elementRelationship": "associative"}
LIBRARY = {
    "types": [
        {
            "name": "root",
            "map": {
                "fields": [
                    _scalar("anchor"),
                    _scalar("scalar"),
                    {"name": "map", "type": {"map": {"elementType": {"scalar": "string"}}}},
                    {"name": "struct", "type": {"namedType": "inner"}},
                    {"name": "whole", "type": {"namedType": "inner", "elementRelationship": "atomic"}},
                    {
                        "name": "list",
                        "type": {"list": {"elementType": {"namedType": "inner"}, **_LIST, "keys": ["name"]}},
                    },
                    {
                        "name": "ports",
                        "type": {"list": {"elementType": {"namedType": "port"}, **_LIST, "keys": ["port", "protocol"]}},
                    },
                    {"name": "set", "type": {"list": {"elementType": {"scalar": "string"}, **_LIST}}},
                    {
                        "name": "words",
                        "type": {"list": {"elementType": {"scalar": "string"}, "elementRelationship": "atomic"}},
                    },
                ]
            },
        },
        {"name": "inner", "map": {"fields": [_scalar("name"), _scalar("x"), _DEEP]}},
        {
            "name": "port",
            "map": {
                "fields": [
                    {"name": "port", "type": {"scalar": "numeric"}},
                    _scalar("protocol", default="TCP"),
                    _scalar("x"),
                ]
            },
        },
    ]
}

WORDS = st.sampled_from(["a", "b", "c"])
TABLES = st.dictionaries(WORDS, WORDS, max_size=2)
INNER: Any = st.fixed_dictionaries({}, optional={"name": WORDS, "x": WORDS, "deep": TABLES})
NAMED = st.fixed_dictionaries({"name": WORDS}, optional={"x": WORDS, "deep": TABLES})
PORT: Any = st.fixed_dictionaries(
    {"port": st.integers(1, 3)}, optional={"protocol": st.sampled_from(["TCP", "UDP"]), "x": WORDS}
)


def _port(item: Any) -> Any:
    return item["port"], item.get("protocol", "TCP")


def objects(*, doubles: bool) -> st.SearchStrategy[Any]:
    def lists(items: Any, key: Any) -> Any:
        return st.lists(items, max_size=4, unique_by=None if doubles else key)

    parts = {
        "scalar": WORDS,
        "map": TABLES,
        "struct": INNER,
        "whole": INNER,
        "list": lists(NAMED, lambda item: item["name"]),
        "ports": lists(PORT, _port),
        "set": lists(WORDS, lambda item: item),
        "words": st.lists(WORDS, max_size=2),
    }
    return st.fixed_dictionaries({"anchor": st.just("kept")}, optional=parts)


LIVE, CONFIG = objects(doubles=True), objects(doubles=False)


@settings(max_examples=200, deadline=None)
@given(CONFIG, CONFIG)
def test_walks_obey_their_laws(one: Any, two: Any) -> None:
    before = copy.deepcopy((one, two))
    assert typed.merge({}, one, TYPE) == one
    assert typed.merge(one, one, TYPE) == one
    assert typed.compare(one, one, TYPE) == ({}, {}, {})
    merged = typed.merge(one, two, TYPE)
    assert typed.merge(merged, two, TYPE) == merged
    removed, modified, added = typed.compare(one, two, TYPE)
    assert not members(removed) & members(added)
    back = typed.compare(two, one, TYPE)
    assert (back.removed, back.modified, back.added) == (added, modified, removed)
    assert (one, two) == before


@settings(max_examples=200, deadline=None)
@given(CONFIG, CONFIG)
def test_applying_again_changes_nothing_and_giving_all_up_leaves_nothing(one: Any, two: Any) -> None:
    write = managed.Write("m", "v1", "t", operation="Apply")
    first, entries = managed.apply({}, one, [], write, TYPE, force=False)
    assert managed.apply(first, one, entries, write, TYPE, force=False) == (first, entries) or not entries
    if entries:
        other = managed.Write("n", "v1", "t", operation="Apply")
        after, entries = managed.apply(first, two, entries, other, TYPE, force=True)
        assert typed.merge(after, two, TYPE) == after


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Any:
    program = tmp_path_factory.mktemp("smd") / "smd"
    source = Path(__file__).parents[1] / "peers/smd"
    subprocess.run(["go", "build", "-o", program, "."], cwd=source, check=True, capture_output=True, timeout=300)
    with subprocess.Popen(
        [program, json.dumps(LIBRARY)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdin is not None
        assert running.stdout is not None

        def ask(**question: Any) -> Any:
            running.stdin.write(json.dumps(question) + "\n")  # type: ignore[union-attr]
            running.stdin.flush()  # type: ignore[union-attr]
            return json.loads(running.stdout.readline())  # type: ignore[union-attr]

        yield ask
        running.stdin.close()


@pytest.mark.needs("go")
@settings(max_examples=400, deadline=None)
@given(LIVE, LIVE, CONFIG)
def test_walks_answer_as_the_library_does(library: Any, one: Any, two: Any, config: Any) -> None:
    assert typed.fields(one, TYPE) == fieldset.parse(library(op="fields", live=one))
    found = [fieldset.parse(part) for part in library(op="compare", live=one, config=two)]
    assert list(typed.compare(one, two, TYPE)) == found
    assert typed.merge(one, config, TYPE) == (library(op="merge", live=one, config=config) or {})


STEPS = st.lists(
    st.fixed_dictionaries(
        {"manager": st.sampled_from("mno"), "apply": st.booleans(), "force": st.booleans(), "object": CONFIG}
    ),
    min_size=2,
    max_size=6,
)


@pytest.mark.needs("go")
@settings(max_examples=400, deadline=None)
@given(STEPS)
def test_histories_end_as_the_library_has_them(library: Any, steps: Any) -> None:
    """Updaters and appliers have names of their own here: the library knows no operation."""
    for step in steps:
        step["manager"] += "+" if step["apply"] else ""
    states = library(op="steps", steps=steps)
    live: Any = {}
    entries: list[managed.Entry] = []
    for step, state in zip(steps, states, strict=True):
        operation = "Apply" if step["apply"] else "Update"
        write = managed.Write(step["manager"], "v1", "t", operation=operation)
        try:
            if step["apply"]:
                live, entries = managed.apply(live, step["object"], entries, write, TYPE, force=step["force"])
            else:
                entries = managed.update(live, step["object"], entries, write, TYPE)
                live = step["object"]
        except managed.Conflicts:
            assert state == "conflict"
            continue
        assert state["object"] == live
        assert {e["manager"]: e["fieldsV1"] for e in entries} == {
            name: fieldset.parse(tree) for name, tree in state["managers"].items()
        }
