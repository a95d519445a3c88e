"""The smallest backend of a page that uploads: it serves the page, and signs uploads for its user.

Environment: SOURCE_BUCKET, IMAGES (the address of the destination bucket), and credentials for AWS.
"""

import json
import os
import sys
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from sign import sign_upload

HERE = Path(__file__).resolve().parent
MODULE = HERE.parent.parent / "web" / "scaled-image.js"
IMAGES = os.environ["IMAGES"]
USER = "me"  # yours is the user of the session
BUCKET = sign_upload(USER, "image/jpeg")["url"]


class Backend(SimpleHTTPRequestHandler):
    """Answers the page, and no page of another origin."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args, directory=str(HERE))

    def do_GET(self) -> None:
        """Send the page, a module, or the address of the images."""
        if self.path == "/images.json":
            self._send(200, IMAGES)
        elif self.path == "/scaled-image.js":
            self._send_body(200, "text/javascript", MODULE.read_bytes())
        elif self.path in ("/", "/page.css", "/page.js"):
            super().do_GET()
        else:
            self.send_error(404)

    def do_POST(self) -> None:
        """Sign an upload: `{"type": "image/jpeg"}` becomes a form."""
        if self.headers["Origin"] != ORIGIN or self.path != "/uploads":
            self._send(403, "only this page may upload")  # else any page that the user visits could
            return
        try:
            wanted = json.loads(self.rfile.read(max(0, min(1000, int(self.headers["Content-Length"] or 0)))))
            self._send(200, sign_upload(USER, wanted["type"]))
        except (ValueError, KeyError, TypeError):
            self._send(400, "only images can be uploaded")

    def end_headers(self) -> None:
        """Allow the page what it needs: its own files, the bucket to upload to, and the images."""
        self.send_header(
            "Content-Security-Policy",
            f"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' {BUCKET} {IMAGES}; "
            f"img-src data: {IMAGES}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        )
        self.send_header("Cache-Control", "no-store")
        super().end_headers()

    def _send(self, status: int, value: object) -> None:
        self._send_body(status, "application/json", json.dumps(value).encode())

    def _send_body(self, status: int, type_: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", type_)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Backend)
    ORIGIN = f"http://127.0.0.1:{server.server_port}"
    print(f"{ORIGIN}/", flush=True)
    server.serve_forever()
