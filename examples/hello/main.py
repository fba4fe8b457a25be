"""Says hello over HTTP, with nothing but the standard library. Listens on $PORT; SIGTERM ends it when all is answered."""

import contextlib
import os
import signal
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

VERSION = "1"


def greeting(query: str) -> str:
    """`name=Ada` -> `Hello, Ada!`"""
    name = parse_qs(query).get("name", ["world"])[0]
    return f"Hello, {name[:100]}!"


class Hello(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 75

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path == "/":
            self.answer(200, greeting(url.query))
        elif url.path == "/health":
            self.answer(200, "ok")
        else:
            self.answer(404, "There is nothing here.")

    do_HEAD = do_GET

    def answer(self, status: int, text: str) -> None:
        body = f"{text}\n".encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-App-Version", VERSION)
        if self.server.stopping:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def handle_one_request(self) -> None:
        self.server.wait_for_request(self)
        super().handle_one_request()

    def log_message(self, format: str, *values: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = False
    request_queue_size = 128
    stopping = False

    def __init__(self, port: int) -> None:
        self._idle: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(("127.0.0.1", port), Hello)

    def wait_for_request(self, handler: Hello) -> None:
        """Returns when bytes have come, or the connection has ended. Until then it counts as idle."""
        connection = handler.connection
        with self._lock:
            if self.stopping:
                handler.close_connection = True
            self._idle.add(connection)
        try:
            handler.rfile.peek(1)
        except OSError:
            pass
        finally:
            with self._lock:
                self._idle.discard(connection)

    def stop(self) -> None:
        """Takes no more connections, ends the idle ones, and lets the others finish their request."""
        self.stopping = True
        self.shutdown()
        with self._lock:
            for connection in self._idle:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RD)


def main() -> None:
    server = Server(int(os.environ.get("PORT", "8000")))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: threading.Thread(target=server.stop).start())
    print(f"hello, version {VERSION}, on http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever(poll_interval=0.1)
    server.server_close()


if __name__ == "__main__":
    main()
