"""Serve the page beside this file or in another folder: python web/serve.py [FOLDER] [--port PORT]

Sends the two headers without which browsers allow only one thread, and has browsers load every file anew."""
import argparse
import contextlib
import functools
import http.server
from pathlib import Path


class Handler(http.server.SimpleHTTPRequestHandler):
    extensions_map = http.server.SimpleHTTPRequestHandler.extensions_map | {
        ".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm",
    }  # fmt: skip

    def handle(self):
        with contextlib.suppress(ConnectionError):  # the browser went elsewhere
            super().handle()

    def send_head(self):
        del self.headers["If-Modified-Since"]  # the browser's may be of another folder, served here before
        return super().send_head()

    def end_headers(self):
        self.send_header("Cache-Control", "no-cache")
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()

    def log_message(self, *_):
        """Log nothing: the browser shows failures."""


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=Path(__file__).parent)
    parser.add_argument("--port", type=int, default=8000)
    folder, port = vars(parser.parse_args()).values()
    if not (folder / "index.html").is_file():
        parser.error(f"{folder} holds no page: make one with python -m publish.export")
    if (folder / "package.json").is_file() and not (folder / "node_modules" / "onnxruntime-web").is_dir():
        parser.error("the page needs ONNX Runtime: run npm ci --prefix web")
    handler = functools.partial(Handler, directory=folder)
    try:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
    except (OSError, OverflowError) as error:
        parser.error(f"port {port}: {error}: choose another with --port")
    with contextlib.suppress(KeyboardInterrupt), server:
        print(f"http://127.0.0.1:{server.server_port}", flush=True)
        server.serve_forever()
