"""Apps that nobody here wrote: httpbin under gunicorn, and a FastAPI `main.py` without any configuration."""

import json
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"

pytestmark = [pytest.mark.needs_index, pytest.mark.timeout(300)]


def files(example: str) -> dict[str, str]:
    folder = EXAMPLES / example
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


async def test_httpbin_with_only_requirements_and_a_procfile(app):
    assert set(files("httpbin")) <= {"requirements.txt", "Procfile", "README.md"}
    httpbin = await app("httpbin", files("httpbin"))
    pushed = await httpbin.push()
    assert pushed.code == 0, pushed.output
    answer = await httpbin.get("/get?a=1")
    assert answer.status == 200
    assert json.loads(answer.body)["args"] == {"a": "1"}


async def test_fastapi_with_only_a_main(app):
    assert set(files("fastapi-main")) <= {"main.py", "README.md"}
    fast = await app("fast", files("fastapi-main"))
    pushed = await fast.push()
    assert pushed.code == 0, pushed.output
    assert (await fast.get("/docs")).status == 200
