"""What is run, installed and tested, told from files alone."""

from __future__ import annotations

import pytest

from styr.delivery import python
from styr.delivery.detect import Overrides, Plan, detect
from styr.delivery.files import DetectError, Files

FASTAPI = "from fastapi import FastAPI\napp = FastAPI()\n"
FLASK = "import flask\nsite: flask.Flask = flask.Flask(__name__)\n"


def of(files: dict[str, str], overrides: Overrides | None = None) -> Plan:
    return detect(Files(list(files), lambda path: files[path]), overrides)


def test_fastapi_without_any_configuration():
    found = of({"main.py": FASTAPI})
    assert found.command == "uvicorn main:app --host 127.0.0.1 --port $PORT"
    assert found.command_rule == "detection: FastAPI in main.py"
    assert found.dependencies.requirements == ("fastapi", "uvicorn")
    assert found.test == ""


def test_flask_by_attribute_and_annotation():
    found = of({"app.py": FLASK, "requirements.txt": "Flask>=3\n"})
    assert found.command == "gunicorn app:site --bind 127.0.0.1:$PORT"
    assert found.dependencies.requirements == ("Flask>=3", "gunicorn")


def test_a_plain_script():
    found = of({"main.py": "print(1)\n"})
    assert found.command == "python main.py"
    assert found.dependencies.requirements == ()


def test_django():
    found = of({"manage.py": "", "site/wsgi.py": "application = 1\n", "requirements.txt": "django\n"})
    assert found.command == "gunicorn site.wsgi:application"
    assert "gunicorn" in found.dependencies.requirements


def test_httpbin_with_only_requirements_and_a_procfile():
    found = of({"requirements.txt": "httpbin\ngunicorn\n", "Procfile": "web: gunicorn httpbin:app\n"})
    assert found.command == "gunicorn httpbin:app"
    assert found.command_rule == "Procfile web"
    assert found.dependencies.requirements == ("httpbin", "gunicorn")


def test_precedence():
    files = {"main.py": FASTAPI, "Procfile": "web: two\n", "pyproject.toml": '[tool.styr]\ncommand = "three"\n'}
    assert of(files, Overrides(command="four")).command == "four"
    assert of(files).command == "three"
    del files["pyproject.toml"]
    assert of(files).command == "two"
    del files["Procfile"]
    assert of(files).command.startswith("uvicorn")


def test_other_processes_are_told():
    found = of({"Procfile": "web: a\nworker: b\nrelease: c\n", "requirements.txt": ""})
    assert any("'worker' is not started" in note for note in found.notes)
    assert any("'release' is not run yet" in note for note in found.notes)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"README.md": ""}, "cannot tell what to run"),
        ({"Procfile": "worker: x\n"}, "no web process"),
        ({"Procfile": "what is this\n"}, "Procfile line 1"),
        ({"pyproject.toml": "[tool\n"}, "not valid TOML"),
        ({"pyproject.toml": "tool = 1\n", "main.py": ""}, "must be a table"),
        ({"pyproject.toml": "[tool.styr]\ncomand = 'x'\n"}, "unknown key 'comand'"),
        ({"pyproject.toml": "[tool.styr]\ncommand = 3\n"}, "must be one line of text"),
        ({"pyproject.toml": "[tool.styr]\nsmoke = 'health'\n"}, "smoke is a path"),
        ({"Procfile": "web: " + "x" * 10_000}, "10,000 characters"),
        ({"pyproject.toml": "[tool.styr]\nsmoke = '/a b'\n"}, "smoke is a path"),
        ({"pyproject.toml": "[project]\ndependencies = 'x'\n", "main.py": ""}, "must be a list"),
        ({"pyproject.toml": "[dependency-groups]\ndev = [{include-group = 'x'}]\n", "main.py": ""}, "run `uv lock`"),
        ({"poetry.lock": "", "main.py": ""}, "poetry export"),
        ({"requirements.txt": "-e .\n", "main.py": ""}, "without -e"),
        ({"requirements.txt": "-r more.txt\n", "main.py": ""}, "not in the repository"),
        ({".python-version": "three\n", "main.py": ""}, "'three' is not a version specifier"),
        ({"main.py": "# /// script\n# dependencies = [\n# ///\n"}, "not valid TOML"),
    ],
)
def test_what_cannot_be_told_is_said(files: dict[str, str], words: str):
    with pytest.raises(DetectError) as error:
        of(files)
    assert words in str(error.value)


def test_script_metadata():
    script = '# /// script\n# requires-python = ">=3.9"\n# dependencies = [\n#   "httpx<1",\n# ]\n# ///\nimport httpx\n'
    found = of({"main.py": script})
    assert found.dependencies.requirements == ("httpx<1",)
    assert (found.python, found.python_rule) == (">=3.9", "the script metadata")


def test_a_lock_wins_and_its_groups_are_for_the_tests():
    files = {
        "main.py": FASTAPI,
        "uv.lock": '[[package]]\nname = "pytest"\n',
        "pyproject.toml": '[project]\nname = "x"\ndependencies = ["fastapi"]\n[dependency-groups]\ndev = ["pytest"]\n',
        "tests/test_main.py": "def test(): pass\n",
    }
    found = of(files)
    assert found.dependencies.lock
    assert found.dependencies.groups == ()
    assert found.test == "python -m pytest -q"
    assert found.test_dependencies is not None
    assert found.test_dependencies.groups == ("dev",)


def test_included_requirements_and_constraints():
    files = {
        "main.py": "",
        "requirements.txt": "-r base/all.txt\n-c limits.txt\nrequests  # http\n",
        "base/all.txt": "flask \\\n  >=3\n",
        "limits.txt": "flask<4\n",
    }
    found = of(files).dependencies
    assert [line.split() for line in found.requirements] == [["flask", ">=3"], ["-c", "limits.txt"], ["requests"]]
    assert found.copies == ("limits.txt",)


def test_requirements_that_name_each_other_end():
    files = {"main.py": "", "requirements.txt": "-r more.txt\na\n", "more.txt": "-r requirements.txt\nb\n"}
    assert of(files).dependencies.requirements == ("b", "a")


def test_which_tests():
    pytest_style = {"main.py": "", "test_main.py": "def test_it(): pass\n"}
    found = of(pytest_style)
    assert (found.test, found.test_dependencies and found.test_dependencies.requirements) == (
        "python -m pytest -q",
        ("pytest",),
    )
    unit = {"main.py": "", "tests/test_main.py": "import unittest\n"}
    assert of(unit).test == "python -m unittest discover -s tests"
    assert of(unit).test_dependencies is None
    assert of({**unit, "requirements-dev.txt": "pytest\n"}).test == "python -m pytest -q"
    assert of({**unit, "pyproject.toml": '[tool.styr]\ntest = "make check"\n'}).test == "make check"
    assert of(unit, Overrides(skip_tests=True)).test == ""


@pytest.mark.parametrize("source", ["def (", "x = " + "(" * 5000, "\0", "# -*- coding: nonsense -*-\n"])
def test_files_that_do_not_parse_are_no_obstacle(source: str):
    assert of({"main.py": source}).command == "python main.py"


@pytest.mark.parametrize(
    ("specifier", "good", "bad"),
    [
        (">=3.10,<3.13", "3.11.7", "3.13.0"),
        ("3.12", "3.12.4", "3.11.9"),
        ("~=3.11", "3.13.0", "4.0"),
        ("~=3.11.2", "3.11.9", "3.12.0"),
        ("==3.11.*", "3.11.1", "3.12.1"),
        ("!=3.11.*", "3.12.1", "3.11.1"),
        (">3.11", "3.11.1", "3.11.0"),
        ("<=3.11.5", "3.11.5", "3.11.6"),
        ("cpython-3.12", "3.12.1", "3.11.1"),
    ],
)
def test_version_specifiers(specifier: str, good: str, bad: str):
    assert python.satisfies(python.version(good), specifier)
    assert not python.satisfies(python.version(bad), specifier)


def test_requirement_names():
    names = ["Flask[async]>=3", "zope.interface", "a_b ; python_version < '3'", "# no", "-r x", "x @ https://e/x.whl"]
    assert [python.requirement_name(name) for name in names] == ["flask", "zope-interface", "a-b", "", "", "x"]
