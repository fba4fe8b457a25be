"""Greetings over HTTP: the app that `styr demo` pushes. Listens on $PORT."""

import os
import signal
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

VERSION = "1"
WORK = 0.010
"""Seconds that a greeting takes (think of a query to a database)."""


def greet(visitor: int) -> str:
    return f"Hello, visitor {visitor}!"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body go out in two writes; waiting in between costs 40 ms

    def do_GET(self) -> None:
        _, _, visitor = self.path.partition("/visitors/")
        try:
            time.sleep(WORK)
            self.answer(200, greet(int(visitor or 0)))
        except Exception as error:
            print(f"{self.path}: {error!r}", flush=True)
            self.answer(500, "Something went wrong.")

    def answer(self, status: int, text: str) -> None:
        body = text.encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-App-Version", VERSION)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *values: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


if __name__ == "__main__":
    server = Server(("0.0.0.0", int(os.environ.get("PORT", "8000"))), Handler)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    print(f"version {VERSION} listens", flush=True)
    server.serve_forever(poll_interval=0.1)
