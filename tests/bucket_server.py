"""A public bucket on this machine, which can misbehave as real servers and networks do."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

DROP, HALF, STALL = "drop", "half", "stall"


class BucketServer(ThreadingHTTPServer):
    """Objects by key, and for each key the faults of the next answers.

    A fault is a status code, DROP (the connection breaks after half of what was announced), HALF
    (half of the object is announced and sent) or STALL (nothing more comes after a half).
    """

    daemon_threads = True

    def __init__(self, objects):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.objects = dict(objects)
        self.faults = {}
        self.has_ranges = True
        self.has_md5 = True
        self.page_size = 1000
        self.tokens = False
        self.listing = None
        self.asked = []
        self.released = threading.Event()

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}/bucket"

    def gets(self, key):
        """Range headers of the requests for a key."""
        return [asked for name, asked in self.asked if name == key]

    def handle_error(self, request, client_address):
        """Clients that hang up are part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *words):
        pass

    def do_GET(self):
        parts = urlsplit(self.path)
        assert parts.path.startswith("/bucket"), parts.path
        key = unquote(parts.path.removeprefix("/bucket").removeprefix("/"))
        self.server.asked.append((key, self.headers.get("Range")))
        faults = self.server.faults.get(key, [])
        fault = faults.pop(0) if faults else None
        if isinstance(fault, int):
            self._send(fault, b"<html>no</html>")
        elif not key:
            self._send(200, self.server.listing or self._page(parse_qs(parts.query)))
        elif key not in self.server.objects:
            self._send(404, b"<html>no</html>")
        else:
            self._send_object(self.server.objects[key], fault)

    def _send_object(self, body, fault):
        start = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        headers, status = {}, 200
        if start and self.server.has_ranges:
            first = int(start[1])
            if first >= len(body):
                return self._send(416, b"", {"Content-Range": f"bytes */{len(body)}"})
            headers = {"Content-Range": f"bytes {first}-{len(body) - 1}/{len(body)}"}
            status, body = 206, body[first:]
        half = body[: len(body) // 2]
        if fault == HALF:
            return self._send(status, half, headers)
        if fault in (DROP, STALL):
            self._send(status, half, headers, announced=len(body))
            self.wfile.flush()
            if fault == STALL:
                self.server.released.wait(10)
            self.close_connection = True
            return None
        return self._send(status, body, headers)

    def _send(self, status, body, headers=(), announced=None):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if announced is None else announced))
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _page(self, query):
        server = self.server
        after = query.get("marker", query.get("continuation-token", [""]))[0]
        keys = sorted(k for k in server.objects if k.startswith(query["prefix"][0]) and k > after)
        shown, rest = keys[: server.page_size], keys[server.page_size :]
        entries = "".join(map(self._entry, shown))
        name = "NextContinuationToken" if server.tokens else "NextMarker"
        following = f"<{name}>{escape(shown[-1])}</{name}>" if rest else ""
        return (
            "<?xml version='1.0' encoding='UTF-8'?>"
            "<ListBucketResult xmlns='http://doc.s3.amazonaws.com/2006-03-01'>"
            f"<IsTruncated>{str(bool(rest)).lower()}</IsTruncated>{following}{entries}"
            "</ListBucketResult>"
        ).encode()

    def _entry(self, key):
        body = self.server.objects[key]
        md5 = hashlib.md5(body).hexdigest()
        tag = f'"{md5}"' if self.server.has_md5 else '"-CKicn4fknukCEAE="'
        return (
            f"<Contents><Key>{escape(key)}</Key><Size>{len(body)}</Size>"
            f"<ETag>{escape(tag)}</ETag></Contents>"
        )


@contextmanager
def serve(objects) -> Iterator[BucketServer]:
    """Serve a bucket at ``address`` while the block runs."""
    with BucketServer(objects) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.released.set()
            server.shutdown()
            thread.join()
