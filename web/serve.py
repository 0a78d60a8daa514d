"""Serve the page: python web/serve.py [PORT], with the headers without which a browser computes in one thread only."""
import contextlib
import functools
import http.server
import sys
from pathlib import Path

PORT = 8000


class Handler(http.server.SimpleHTTPRequestHandler):
    extensions_map = http.server.SimpleHTTPRequestHandler.extensions_map | {
        ".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm",
    }  # fmt: skip

    def end_headers(self):
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()

    def log_message(self, *_):
        """Nothing: the browser shows what fails."""


if __name__ == "__main__":
    handler = functools.partial(Handler, directory=Path(__file__).parent)
    port = int(sys.argv[1]) if sys.argv[1:] else PORT
    with contextlib.suppress(KeyboardInterrupt), http.server.ThreadingHTTPServer(("", port), handler) as server:
        print(f"http://localhost:{server.server_port}", flush=True)
        server.serve_forever()
