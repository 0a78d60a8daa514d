"""Serve the page: python web/serve.py [PORT], with the headers without which a browser computes in one thread only."""
import argparse
import contextlib
import functools
import http.server
from pathlib import Path


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
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int, nargs="?", default=8000)
    port = parser.parse_args().port
    handler = functools.partial(Handler, directory=Path(__file__).parent)
    try:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
    except (OSError, OverflowError) as error:
        parser.error(f"port {port}: {error}: name another")
    with contextlib.suppress(KeyboardInterrupt), server:
        print(f"http://localhost:{server.server_port}", flush=True)
        server.serve_forever()
