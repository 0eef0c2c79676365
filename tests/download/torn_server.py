"""A server on the loopback that misbehaves as it is told to."""

from __future__ import annotations

import gzip
import re
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Reply:
    """How one request is answered; by default, as a faithful server does.

    Attributes:
        body: of the file; None for the server's own.
        status: other than 200 and 206 comes with a short text in place of the file.
        headers: further ones, or others; an empty value leaves a header out.
        tear: cut the connection after so many bytes of the body.
        ranges: whether Range is understood.
        etag: None for none.
        chunked, framed: how the end of the body is told; neither Content-Length nor chunks if not framed.
        drip: seconds between one byte of the body and the next.
        zipped: send it as Content-Encoding gzip, asked for or not.
    """

    body: bytes | None = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    tear: int | None = None
    ranges: bool = True
    etag: str | None = '"one"'
    chunked: bool = False
    framed: bool = True
    zipped: bool = False
    drip: float | None = None


class Server:
    """Serves one body at every path, and remembers what it was asked.

    Attributes:
        script: replies to the requests to come, first first; then `usual`.
        requests: path and headers of each request.
    """

    def __init__(self, body: bytes) -> None:
        self.body, self.usual = body, Reply()
        self.script: list[Reply | Callable[[str], Reply]] = []
        self.requests: list[tuple[str, dict[str, str]]] = []
        self._lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                with server._lock:
                    server.requests.append((self.path, dict(self.headers)))
                    reply = server.script.pop(0) if server.script else server.usual
                self.close_connection = True
                server._answer(self, reply(self.path) if callable(reply) else reply)

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def ranges(self) -> list[str | None]:
        return [headers.get("Range") for _, headers in self.requests]

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def _answer(self, handler: BaseHTTPRequestHandler, reply: Reply) -> None:
        body = self.body if reply.body is None else reply.body
        headers = {"ETag": reply.etag or "", "Connection": "close"}
        status, total = reply.status, len(body)
        asked = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
        condition = handler.headers.get("If-Range")
        if status == 200 and reply.ranges and asked and condition in (None, reply.etag):
            start = int(asked[1])
            status = 206 if start < total else 416
            headers["Content-Range"] = f"bytes {start}-{total - 1}/{total}" if start < total else f"bytes */{total}"
            body = body[start:] if start < total else b""
        elif status != 200 and reply.body is None:
            body = b"no"
        if reply.zipped:
            body, headers["Content-Encoding"] = gzip.compress(body), "gzip"
        if reply.chunked:
            headers["Transfer-Encoding"] = "chunked"
        elif reply.framed:
            headers["Content-Length"] = str(len(body))
        headers |= reply.headers
        handler.send_response(status)
        for name, value in headers.items():
            if value:
                handler.send_header(name, value)
        handler.end_headers()
        sent = body if reply.tear is None else body[: reply.tear]
        try:
            for place in range(len(sent) if reply.drip else 0):
                handler.wfile.write(sent[place : place + 1])
                handler.wfile.flush()
                time.sleep(reply.drip or 0)
            if reply.drip:
                return
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(sent), sent) if reply.chunked and sent else sent)
            if reply.tear is not None:
                handler.wfile.flush()
                # A reset may overtake what was sent; an orderly end, too early, does not.
                handler.connection.shutdown(socket.SHUT_WR)
            elif reply.chunked:
                handler.wfile.write(b"0\r\n\r\n")
        except OSError:
            pass
