"""What can be said of the verbs without a running Styr: help, examples, errors, tables, git settings."""

import subprocess

import pytest
from click.testing import CliRunner

from styr.cli.link import app_name, git_settings
from styr.cli.main import VERBS, styr
from styr.cli.tables import age, table
from styr.plane.folder import Folder


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_an_example(verb):
    result = CliRunner().invoke(styr, [verb, "--help"])
    assert result.exit_code == 0
    assert "Example:" in result.output
    assert f"styr {verb}" in result.output.split("Example:")[1]


@pytest.mark.parametrize(
    "arguments", [["apps"], ["logs", "hello"], ["releases", "hello"], ["why", "hello-r1"], ["rollback", "hello"]]
)
def test_without_a_running_styr_every_verb_says_how_to_start_one(tmp_path, arguments):
    result = CliRunner().invoke(styr, [*arguments, "--data-dir", str(tmp_path / "none")])
    assert result.exit_code == 1
    assert "styr up" in result.output
    assert not (tmp_path / "none").exists()


def test_status_of_nothing_exits_with_one(tmp_path):
    result = CliRunner().invoke(styr, ["status", "--data-dir", str(tmp_path), "-o", "json"])
    assert result.exit_code == 1
    assert '"running": false' in result.output


def test_down_of_nothing_says_so(tmp_path):
    result = CliRunner().invoke(styr, ["down", "--data-dir", str(tmp_path)])
    assert result.exit_code == 0
    assert "Nothing was running" in result.output


def test_link_outside_a_repository_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    result = CliRunner().invoke(styr, ["link", "--data-dir", str(tmp_path / "data")])
    assert result.exit_code == 1
    assert "git init" in result.output


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("hello", "hello"),
        ("My_App.py", "my-app-py"),
        ("2048", ""),
        ("--x--", "x"),
        ("Übung", "bung"),
        ("a" * 60, "a" * 40),
    ],
)
def test_an_apps_name_is_made_from_the_folders(folder, name):
    assert app_name(folder) == name


def test_the_credential_helper_reads_the_token_and_nothing_else_does(tmp_path):
    """Real git asks our helper for this address, and the empty one before it drops the user's own helpers."""
    folder = Folder(tmp_path / "da ta")
    folder.path.mkdir()
    folder.token.write_text("s3cret")
    repository = tmp_path / "repo"
    subprocess.run(["git", "init", "-q", str(repository)], check=True)
    for key, value in git_settings("https://127.0.0.1:4711", folder):
        subprocess.run(["git", "-C", str(repository), "config", "--add", key, value], check=True)

    def ask(host: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["git", "-C", str(repository), "credential", "fill"],
            input=f"protocol=https\nhost={host}\n\n",
            env={"PATH": "/usr/bin:/bin", "GIT_TERMINAL_PROMPT": "0", "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
        )

    assert "password=s3cret" in ask("127.0.0.1:4711").stdout
    assert "s3cret" not in ask("127.0.0.1:4712").stdout


def test_tables_align_and_show_nothing_as_a_dash():
    assert table(("A", "LONG"), [("value", None), ("", "x")]).splitlines() == ["A       LONG", "value   -", "-       x"]


@pytest.mark.parametrize(
    ("seconds", "text"), [(5, "5s"), (90, "90s"), (130, "2m"), (3599, "59m"), (3700, "1h"), (90000, "1d"), (-5, "0s")]
)
def test_ages_are_short(seconds, text):
    assert age("2026-11-23T10:00:00Z", 1795428000.0 + seconds) == text


def test_an_unreadable_age_is_a_dash():
    assert age("", 0) == "-"
