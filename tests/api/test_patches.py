"""The patch functions alone, also over generated documents."""

from __future__ import annotations

import copy
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from styr.api.builtin import types
from styr.api.patches import json_patch, merge, strategic
from styr.kinds.errors import ApiError, BadRequest, Invalid, TooLarge

SCALARS = st.none() | st.booleans() | st.integers(-5, 5) | st.text("ab~/", max_size=3)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("ab~/0-", max_size=2), inner, max_size=4),
)
OBJECTS = st.dictionaries(st.text("abc", max_size=2), JSON, max_size=4)


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return value


def difference(old: Any, new: Any) -> Any:
    """A merge patch that turns `old` into `new` (neither holds nulls in objects)."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    gone = {key: None for key in old if key not in new}
    return gone | {key: difference(old.get(key), value) for key, value in new.items() if old.get(key) != value}


@settings(max_examples=200, deadline=None)
@given(OBJECTS, OBJECTS)
def test_merge_reaches_any_object_and_changes_no_argument(old: Any, new: Any) -> None:
    old, new = without_nulls(old), without_nulls(new)
    patch = difference(old, new)
    before = copy.deepcopy((old, patch))
    assert merge.apply(old, patch) == new
    assert merge.apply(new, patch) == new
    assert (old, patch) == before


@settings(max_examples=200, deadline=None)
@given(JSON, JSON)
def test_merge_is_idempotent(old: Any, patch: Any) -> None:
    once = merge.apply(old, patch)
    assert merge.apply(once, patch) == once


# RFC 7396, appendix A
@pytest.mark.parametrize(
    ("old", "patch", "new"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a"], ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_by_the_rfc(old: Any, patch: Any, new: Any) -> None:
    assert merge.apply(old, patch) == new


# RFC 6902, appendix A
@pytest.mark.parametrize(
    ("old", "patch", "new"),
    [
        ({"foo": "bar"}, [{"op": "add", "path": "/baz", "value": "qux"}], {"foo": "bar", "baz": "qux"}),
        ({"foo": ["a", "c"]}, [{"op": "add", "path": "/foo/1", "value": "b"}], {"foo": ["a", "b", "c"]}),
        ({"foo": ["a"]}, [{"op": "add", "path": "/foo/-", "value": ["b"]}], {"foo": ["a", ["b"]]}),
        ({"foo": ["a", "b", "c"]}, [{"op": "remove", "path": "/foo/1"}], {"foo": ["a", "c"]}),
        ({"foo": 1}, [{"op": "replace", "path": "/foo", "value": 2}], {"foo": 2}),
        ({"foo": [1, 2, 3]}, [{"op": "move", "from": "/foo/0", "path": "/foo/2"}], {"foo": [2, 3, 1]}),
        ({"a": {"b": 1}}, [{"op": "copy", "from": "/a", "path": "/c"}], {"a": {"b": 1}, "c": {"b": 1}}),
        ({"/": 9, "~1": 10}, [{"op": "test", "path": "/~01", "value": 10}], {"/": 9, "~1": 10}),
        ({"foo": None}, [{"op": "test", "path": "/foo", "value": None}], {"foo": None}),
        ({"": 1}, [{"op": "replace", "path": "/", "value": 2}], {"": 2}),
        ({"foo": 1}, [{"op": "replace", "path": "", "value": [1]}], [1]),
    ],
)
def test_json_patch_by_the_rfc(old: Any, patch: Any, new: Any) -> None:
    assert json_patch.apply(old, patch) == new


@pytest.mark.parametrize(
    ("patch", "error"),
    [
        ({}, BadRequest),
        ([3], BadRequest),
        ([{"op": "spam", "path": "/a"}], BadRequest),
        ([{"op": "add", "path": "/a"}], BadRequest),
        ([{"op": "add", "path": "a", "value": 1}], BadRequest),
        ([{"op": "copy", "path": "/a"}], BadRequest),
        ([{"op": "add", "path": "/none/x", "value": 1}], Invalid),
        ([{"op": "remove", "path": "/none"}], Invalid),
        ([{"op": "add", "path": "/list/9", "value": 1}], Invalid),
        ([{"op": "add", "path": "/list/01", "value": 1}], Invalid),
        ([{"op": "replace", "path": "/list/-", "value": 1}], Invalid),
        ([{"op": "test", "path": "/one", "value": True}], Invalid),
        ([{"op": "move", "from": "/deep", "path": "/deep/in"}], Invalid),
        ([{"op": "test", "path": "/one", "value": 1}] * 10_001, TooLarge),
        ([{"op": "copy", "from": "/deep", "path": f"/deep/x{n}"} for n in range(40)], TooLarge),
    ],
)
def test_json_patch_refuses_and_changes_nothing(patch: Any, error: type[ApiError]) -> None:
    document = {"one": 1, "list": [1], "deep": {"text": "x" * 100}}
    before = copy.deepcopy(document)
    with pytest.raises(error):
        json_patch.apply(document, patch)
    assert document == before


POINTERS = st.lists(st.sampled_from(["a", "b", "0", "1", "-", "~0", "~1", ""]), max_size=3).map(
    lambda steps: "".join(f"/{step}" for step in steps)
)
OPERATIONS = st.fixed_dictionaries(
    {"op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test"]), "path": POINTERS},
    optional={"from": POINTERS, "value": JSON},
)


@settings(max_examples=400, deadline=None)
@given(JSON, st.lists(OPERATIONS, max_size=5))
def test_any_json_patch_applies_or_is_refused(document: Any, patch: Any) -> None:
    before = copy.deepcopy(document)
    with suppress(ApiError):
        json_patch.apply(document, patch)
    assert document == before


# Strategic merge


POD_SPEC, CONTAINER, META = "v1.PodSpec", "v1.Container", "meta.k8s.io/v1.ObjectMeta"


@pytest.mark.parametrize(
    ("kind", "old", "patch", "new"),
    [
        (
            POD_SPEC,
            {"containers": [{"name": "a", "image": "1"}]},
            {"containers": [{"name": "a", "image": "2"}, {"name": "b"}]},
            {"containers": [{"name": "a", "image": "2"}, {"name": "b"}]},
        ),
        (
            CONTAINER,
            {"env": [{"name": "A", "value": "1"}, {"name": "B"}]},
            {"env": [{"name": "A", "$patch": "delete"}]},
            {"env": [{"name": "B"}]},
        ),
        (
            CONTAINER,
            {"env": [{"name": "A"}]},
            {"env": [{"name": "B"}, {"$patch": "replace"}]},
            {"env": [{"name": "B"}]},
        ),
        (
            POD_SPEC,
            {"nodeSelector": {"a": "1"}},
            {"nodeSelector": {"$patch": "replace", "c": "3"}},
            {"nodeSelector": {"c": "3"}},
        ),
        (POD_SPEC, {"nodeSelector": {"a": "1"}}, {"nodeSelector": {"$patch": "delete"}}, {"nodeSelector": {}}),
        (
            "apps/v1.DeploymentSpec",
            {"strategy": {"type": "RollingUpdate", "rollingUpdate": {}}},
            {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}},
            {"strategy": {"type": "Recreate"}},
        ),
        (
            POD_SPEC,
            {"volumes": [{"name": "a", "emptyDir": {}}]},
            {"volumes": [{"name": "a", "$retainKeys": ["name", "secret"], "secret": {"secretName": "s"}}]},
            {"volumes": [{"name": "a", "secret": {"secretName": "s"}}]},
        ),
        (META, {"finalizers": ["a"]}, {"finalizers": ["b", "a"]}, {"finalizers": ["b", "a"]}),
        (META, {"finalizers": ["a", "b"]}, {"$deleteFromPrimitiveList/finalizers": ["a"]}, {"finalizers": ["b"]}),
        (
            CONTAINER,
            {"env": [{"name": "A"}, {"name": "B"}]},
            {"$setElementOrder/env": [{"name": "B"}, {"name": "A"}]},
            {"env": [{"name": "B"}, {"name": "A"}]},
        ),
        (
            CONTAINER,
            {"env": [{"name": "A"}, {"name": "S"}, {"name": "B"}]},
            {"$setElementOrder/env": [{"name": "B"}, {"name": "C"}, {"name": "A"}], "env": [{"name": "C"}]},
            {"env": [{"name": "S"}, {"name": "B"}, {"name": "C"}, {"name": "A"}]},
        ),
        (
            CONTAINER,
            {"ports": [{"containerPort": 80, "name": "x"}]},
            {"ports": [{"containerPort": 80, "name": "y"}]},
            {"ports": [{"containerPort": 80, "name": "y"}]},
        ),
        (
            "v1.ServiceSpec",
            {"ports": [{"port": 80, "name": "x"}]},
            {"ports": [{"port": 81, "name": "y"}]},
            {"ports": [{"port": 81, "name": "y"}, {"port": 80, "name": "x"}]},
        ),
        (POD_SPEC, {"tolerations": [{"key": "a"}]}, {"tolerations": [{"key": "b"}]}, {"tolerations": [{"key": "b"}]}),
        (CONTAINER, {"command": ["a", "b"]}, {"command": ["c"]}, {"command": ["c"]}),
        (CONTAINER, {"image": "a"}, {"image": None}, {}),
    ],
)
def test_strategic_merge(kind: str, old: Any, patch: Any, new: Any) -> None:
    before, sent = copy.deepcopy(old), copy.deepcopy(patch)
    assert strategic.apply(old, patch, types.find(*kind.rsplit(".", 1))) == new
    assert (old, patch) == (before, sent)


@pytest.mark.parametrize(
    "patch",
    [
        {"env": [{"value": "1"}]},
        {"env": [{"name": "A", "$patch": "merge"}]},
        {"env": ["A"]},
        {"$patch": "eat"},
        {"$retainKeys": "name"},
        {"$retainKeys": ["name"], "image": "i"},
        {"$setElementOrder/env": 3},
        {"$setElementOrder/env": [{"name": "B"}], "env": [{"name": "C"}]},
        {"$setElementOrder/nothing": []},
    ],
)
def test_a_strategic_patch_is_refused(patch: Any) -> None:
    with pytest.raises(BadRequest):
        strategic.apply({"env": [{"name": "A"}]}, patch, types.find(*CONTAINER.rsplit(".", 1)))


@settings(max_examples=300, deadline=None)
@given(
    OBJECTS,
    st.dictionaries(
        st.sampled_from(["env", "ports", "command", "$patch", "$retainKeys", "$setElementOrder/env"]),
        JSON,
        max_size=4,
    ),
)
def test_any_strategic_patch_applies_or_is_refused(old: Any, patch: Any) -> None:
    before = copy.deepcopy(old)
    with suppress(ApiError):
        strategic.apply(old, patch, types.find(*CONTAINER.rsplit(".", 1)))
    assert old == before
