"""Questions to a metrics engine over HTTP, from the command line. Called by the verbs of this folder; light: no numpy."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import click

from styr.cli import options
from styr.cli.options import Hint
from styr.plane.folder import Folder

F = TypeVar("F")
TIMEOUT = 130.0
"""Seconds: a little more than the engine gives a query."""
MAX_ANSWER = 1 << 30


@dataclass(frozen=True, slots=True)
class Server:
    """Where questions go. `folder` names the Styr whose engine it is, unless a URL was given."""

    base: str
    token: str
    hint: str

    def get(self, path: str, fields: Sequence[tuple[str, str]] = (), *, post: bool = False) -> Any:
        """`data` of the answer, and its warnings on stderr. Raises Hint with what the engine says."""
        return asyncio.run(self._ask(path, fields, post))

    async def _ask(self, path: str, fields: Sequence[tuple[str, str]], post: bool) -> Any:
        from styr.kit import http

        url = urlsplit(self.base)
        port = url.port or (443 if url.scheme == "https" else 80)
        tls = None
        if url.scheme == "https":
            import ssl

            tls = ssl.create_default_context()
        pool = http.Pool(url.hostname or "127.0.0.1", port, ssl=tls)
        headers = {"authorization": f"Bearer {self.token}"} if self.token else {}
        target, body = f"{url.path.rstrip('/')}/api/v1/{quote(path)}", urlencode(list(fields)).encode()
        if post:
            headers["content-type"] = "application/x-www-form-urlencoded"
        elif body:
            target += "?" + body.decode()
        try:
            answer = await pool.request(
                "POST" if post else "GET",
                target,
                headers=headers,
                body=body if post else b"",
                timeout=TIMEOUT,
                max_body=MAX_ANSWER,
            )
        except http.HttpError as error:
            raise Hint(f"The metrics engine at {self.base} does not answer ({error}).", self.hint) from None
        finally:
            await pool.close()
        return read(answer.status, answer.body)


def read(status: int, body: bytes) -> Any:
    """Raises Hint."""
    try:
        answer = json.loads(body) if body else {"status": "success", "data": None}
        if answer["status"] != "success":
            told = answer.get("error") or answer.get("message") or f"HTTP {status}"
            raise Hint(told)
    except (ValueError, KeyError, TypeError):
        raise Hint(f"The metrics engine answered {status}: {body[:200].decode('utf-8', 'replace')}") from None
    for kind in ("warnings", "infos"):
        for text in answer.get(kind) or ():
            click.echo(f"{kind[:-1]}: {text}", err=True)
    return answer["data"]


def server(command: F) -> F:
    """`--data-dir`, or `--url` and `--token-file`; the verb receives a `Server` as `server`."""
    verb: Any = command

    @wraps(verb)
    def wrapped(*arguments: Any, folder: Folder, url: str, token_file: Path | None, **rest: Any) -> Any:
        return verb(*arguments, server=find(folder, url, token_file), **rest)

    decorated: Any = options.data_dir(wrapped)
    decorated = click.option(
        "--token-file",
        type=click.Path(path_type=Path, dir_okay=False, exists=True),
        help="File with the bearer token for --url.",
    )(decorated)
    result: F = click.option(
        "--url",
        default="",
        metavar="URL",
        envvar="STYR_METRICS_URL",
        help="Ask this engine, or any Prometheus, instead of the Styr of the data folder.  [env: STYR_METRICS_URL]",
    )(decorated)
    return result


def find(folder: Folder, url: str, token_file: Path | None) -> Server:
    """Raises Hint when there is none."""
    if url:
        token = token_file.read_text().strip() if token_file else ""
        return Server(url.rstrip("/"), token, "Is the address right, and does something listen there?")
    port = folder.state().metrics_port
    if not port:
        raise Hint(f"No metrics engine runs on {folder.path}.", "Start it: styr up --detach")
    token = folder.token.read_text().strip() if folder.token.exists() else ""
    return Server(f"http://127.0.0.1:{port}", token, "Start it: styr up --detach; its log is in the folder log/")
