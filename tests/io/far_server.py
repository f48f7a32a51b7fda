"""HTTP server of a folder, for tests: parts of files, and failures when asked for."""

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote


class FarServer(ThreadingHTTPServer):
    """Serves the files of a folder; ``failures`` maps ends of paths to statuses still to give."""

    daemon_threads = True

    def __init__(self, folder):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.knows_ranges = True
        self.allows_head = True
        self.failures = {}
        self.requests = []
        self.sent = 0

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}"

    def next_failure(self, path):
        for end, statuses in self.failures.items():
            if path.endswith(end) and statuses:
                return statuses.pop(0)
        return None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_HEAD(self):
        self._answer(with_body=False)

    def do_GET(self):
        self._answer(with_body=True)

    def _answer(self, with_body):
        server, path = self.server, unquote(self.path).lstrip("/")
        server.requests.append((self.command, path, self.headers.get("Range")))
        failure = server.next_failure(path)
        if not with_body and not server.allows_head:
            return self._send(403, b"", with_body)
        if isinstance(failure, int):
            return self._send(failure, b"", with_body)
        file = server.folder / path
        if file.is_dir():
            return self._send(200, b"<html>a list</html>", with_body, {"Content-Type": "text/html"})
        if not file.is_file():
            return self._send(404, b"", with_body)
        data, status, headers = file.read_bytes(), 200, {"ETag": f'"{file.stat().st_mtime_ns}"'}
        if server.knows_ranges:
            headers["Accept-Ranges"] = "bytes"
            data, status = self._part(data)
        return self._send(status, data, with_body, headers, cut=failure == "cut")

    def _part(self, data):
        wanted = self.headers.get("Range")
        if wanted is None:
            return data, 200
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        if not first:
            return data[-int(last) :], 206
        if int(first) >= len(data):
            return b"", 416
        return data[int(first) : int(last) + 1 if last else None], 206

    def _send(self, status, data, with_body, headers=None, cut=False):
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if with_body:
            body = data[: len(data) // 2] if cut else data
            self.server.sent += len(body)
            self.wfile.write(body)
        if cut:
            self.close_connection = True


@contextmanager
def far_server(folder):
    """Run a server in a thread."""
    server = FarServer(folder)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
