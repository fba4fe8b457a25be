"""The process that is killed: the API server on a store file and a socket, nothing else. Prints its port when it is ready.

python -m tests.faults.server STORE PORT
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from styr.api.server import ApiServer
from styr.api.store.commit import Store
from styr.kinds.transport import User
from styr.kit.clock import SystemClock
from styr.serving import http
from tests.api.kit import ADMIN


def everybody(headers: Mapping[str, str], certificate: Mapping[str, Any] | None = None) -> User:
    return ADMIN


async def main(store: Path, port: int) -> None:
    clock = SystemClock()
    api = ApiServer(Store.open(store, clock), clock=clock, random=random.SystemRandom())
    await api.start()
    server = await http.serve(api, port=port, tls=None, authenticate=everybody)
    print(server.port, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
