"""The data folder: one control plane at a time, no newer format, and errors that say what to do."""

import json
import os

import pytest

from styr.kit.process import start_time
from styr.plane.folder import Folder, FolderError, FolderInUse, FolderTooNew, NotRunning


def test_a_second_styr_is_refused_and_told_what_to_do(tmp_path):
    first = Folder(tmp_path / "data").open()
    first.write_state(pid=4711)
    with pytest.raises(FolderInUse, match=r"pid 4711.*styr status.*styr down.*--data-dir"):
        Folder(tmp_path / "data").open()
    first.close()
    Folder(tmp_path / "data").open().close()


def test_a_folder_of_a_newer_version_is_left_alone(tmp_path):
    (tmp_path / "VERSION").write_text(json.dumps({"format": 99, "styr": "9.0"}))
    with pytest.raises(FolderTooNew, match=r"newer Styr \(9\.0, format 99\).*pip install -U styr"):
        Folder(tmp_path).open()
    assert json.loads((tmp_path / "VERSION").read_text())["format"] == 99
    assert sorted(path.name for path in tmp_path.iterdir()) == ["VERSION"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": "x"}', "\x00\x01"])
def test_a_damaged_version_file_is_named(tmp_path, text):
    (tmp_path / "VERSION").write_text(text)
    with pytest.raises(FolderError, match="VERSION is damaged"):
        Folder(tmp_path).open()


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"api_port": "x"}', "null"])
def test_a_damaged_state_file_counts_as_none(tmp_path, text):
    (tmp_path / "state.json").write_text(text)
    assert Folder(tmp_path).state().api_port == 0
    assert Folder(tmp_path).running_pid() is None


def test_a_recycled_pid_is_not_taken_for_ours(tmp_path):
    folder = Folder(tmp_path).open()
    folder.write_state(pid=os.getpid(), start=start_time(os.getpid()))
    assert folder.running_pid() == os.getpid()
    folder.write_state(start=start_time(os.getpid()) - 1)
    assert folder.running_pid() is None
    folder.close()


def test_private_files_are_private(tmp_path):
    folder = Folder(tmp_path / "new").open()
    folder.write_state(pid=1)
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "new" / "state.json").stat().st_mode & 0o777 == 0o600
    folder.close()


def test_nothing_started_yet_says_so(tmp_path):
    with pytest.raises(NotRunning, match="styr up"):
        Folder(tmp_path).require_kubeconfig()
