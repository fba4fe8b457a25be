import http.client
import threading
import unittest

import main


class Greeting(unittest.TestCase):
    def test_by_name(self) -> None:
        self.assertEqual(main.greeting("name=Ada"), "Hello, Ada!")

    def test_without_a_name(self) -> None:
        self.assertEqual(main.greeting(""), "Hello, world!")

    def test_a_name_without_end(self) -> None:
        self.assertLess(len(main.greeting("name=" + "x" * 10_000)), 200)


class Serving(unittest.TestCase):
    def setUp(self) -> None:
        self.server = main.Server(0)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()
        self.connection = http.client.HTTPConnection("127.0.0.1", self.server.server_port, timeout=10)

    def tearDown(self) -> None:
        self.connection.close()
        self.server.stop()
        self.thread.join()
        self.server.server_close()

    def get(self, path: str) -> tuple[int, str]:
        self.connection.request("GET", path)
        response = self.connection.getresponse()
        return response.status, response.read().decode()

    def test_one_connection_for_many_requests(self) -> None:
        self.assertEqual(self.get("/?name=Ada"), (200, "Hello, Ada!\n"))
        socket = self.connection.sock
        self.assertEqual(self.get("/health"), (200, "ok\n"))
        self.assertIs(self.connection.sock, socket)

    def test_an_unknown_path(self) -> None:
        self.assertEqual(self.get("/nothing")[0], 404)

    def test_stopping_ends_idle_connections(self) -> None:
        self.get("/")
        self.server.stop()
        self.server.server_close()
        self.assertEqual(self.connection.sock.recv(1), b"")


if __name__ == "__main__":
    unittest.main()
