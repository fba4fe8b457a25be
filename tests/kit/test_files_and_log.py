from __future__ import annotations

import io
import logging
import os
from pathlib import Path

import pytest

from styr.kit.files import make_private, write_atomic
from styr.kit.log import Log, render, setup


def test_a_file_is_replaced_whole_and_is_private(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("old")
    path.chmod(0o644)
    write_atomic(path, "new")
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["secret"]


def test_a_failed_write_leaves_the_old_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state"
    path.write_bytes(b"old")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["state"]


def test_private_folders(tmp_path: Path) -> None:
    assert make_private(tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("value", "text"),
    [("plain", "plain"), ("two words", '"two words"'), ('a"b', '"a\\"b"'), ("", '""'), ("x\ny", '"x\\ny"'), (3, "3")],
)
def test_values_never_break_a_line(value: object, text: str) -> None:
    assert render("said", {"value": value}) == f"said value={text}"


def test_levels_and_format() -> None:
    stream = io.StringIO()
    root = logging.getLogger("styr")
    before = root.handlers[:], root.level, root.propagate
    try:
        setup(logging.INFO, stream)
        Log("styr.test").debug("hidden")
        Log("styr.test").warning("seen", key="v")
    finally:
        root.handlers[:], root.level, root.propagate = before
    assert stream.getvalue().endswith("Z WARNING styr.test: seen key=v\n")
    assert "hidden" not in stream.getvalue()
