"""A web server on this machine for tests of downloading: it answers well, badly, or not at all."""

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Answers(http.server.BaseHTTPRequestHandler):
    """`/name` serves `server.files["name"]`; the first part of a longer path says what goes wrong."""

    server: "Server"

    def do_GET(self) -> None:
        """Answer as the path asks."""
        _, *how, name = self.path.split("/")
        self.server.asked.append(self.path)
        if how == ["silent"]:
            self.server.released.wait(10)
            return
        if name not in self.server.files:
            self.send_error(404)
            return
        body = self.server.files[name]
        self.send_response(200)
        if how != ["unsized"]:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if how in (["short"], ["stalled"]) else body)
        if how == ["stalled"]:
            self.wfile.flush()
            self.server.released.wait(10)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class Server(http.server.ThreadingHTTPServer):
    """Files by name, and what was asked for."""

    daemon_threads = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.released = threading.Event()

    @property
    def url(self) -> str:
        """The beginning of every URL here."""
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def serving() -> Iterator[Server]:
    """A running server, stopped on leaving, its threads joined."""
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.released.set()
            server.shutdown()
            thread.join()
