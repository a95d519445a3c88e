"""`image-scaler play` in a process, as a user starts it, and what a page asks of it."""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

PROGRAM = Path(sys.executable).with_name("image-scaler")
SECONDS = 60.0
"""How long to wait for anything on a slow machine."""

RECIPE = """\
# the sizes of the shop
[renditions.original] # a copy

[renditions.card]
width = 120 # of the list
height = 120
format = "webp"

[renditions.large]
width = 300
format = "webp"
"""


class Play:
    """A running `image-scaler play`."""

    def __init__(self, process: "subprocess.Popen[str]", folder: Path) -> None:
        assert process.stdout
        self.process = process
        self.folder = folder
        """In which it makes its temporary files."""
        self.address = process.stdout.readline().strip()
        assert self.address, "it printed no address"
        self.host = urlsplit(self.address).netloc
        self.origin = f"http://{self.host}"
        self.token = parse_qs(urlsplit(self.address).query)["token"][0]
        self.cookie = f"image-scaler-play-{self.port}={self.token}"

    @property
    def port(self) -> int:
        return int(self.host.rpartition(":")[2])

    def ask(
        self, method: str, path: str, body: bytes | Mapping[str, Any] | None = None, **headers: str | None
    ) -> http.client.HTTPResponse:
        """Send a request with the headers of the page, except for those that are given (None: left out)."""
        own = {"Host": self.host, "Origin": self.origin if method != "GET" else None, "Cookie": self.cookie}
        sent = own | {name.title(): value for name, value in headers.items()}
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)) as connection:
            connection.putrequest(method, path, skip_host=True)
            data = json.dumps(body).encode() if isinstance(body, Mapping) else body
            for name, value in sent.items():
                if value is not None:
                    connection.putheader(name, value)
            if data is not None:
                connection.putheader("Content-Length", str(len(data)))
            connection.endheaders(data)
            response = connection.getresponse()
            response.text = response.read()  # type: ignore[attr-defined]
            return response

    def ok(self, method: str, path: str, body: bytes | Mapping[str, Any] | None = None) -> Any:
        """Send a request that must succeed; return its JSON."""
        response = self.ask(method, path, body)
        assert response.status == 200, response.text  # type: ignore[attr-defined]
        return json.loads(response.text)  # type: ignore[attr-defined]

    def refusal(self, method: str, path: str, body: bytes | Mapping[str, Any] | None = None) -> str:
        """Send a request that must be refused; return the sentence."""
        response = self.ask(method, path, body)
        assert response.status == 400, response.status
        return str(json.loads(response.text)["error"])  # type: ignore[attr-defined]

    def upload(self, key: str, body: bytes) -> str:
        """Add a picture; return its id."""
        return str(self.ok("PUT", f"/pictures?key={quote(key, safe='')}", body)["id"])

    def events(self) -> Iterator[dict[str, Any]]:
        """Yield what the page is told."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)) as connection:
            connection.request("GET", "/events", headers={"Host": self.host, "Cookie": self.cookie})
            response = connection.getresponse()
            deadline = time.monotonic() + SECONDS  # the server says something every few seconds
            while (line := response.readline()) and time.monotonic() < deadline:
                if line.startswith(b"data: "):
                    yield json.loads(line.removeprefix(b"data: "))

    def wait(self, condition: Callable[["Shown"], bool]) -> "Shown":
        """Follow the events until the condition holds; return what a page shows then."""
        shown = Shown()
        deadline = time.monotonic() + SECONDS
        for event in self.events():
            shown.apply(event)
            if condition(shown):
                return shown
            assert time.monotonic() < deadline, (shown.recipe, shown.pictures)
        raise AssertionError("the stream of events ended")

    def finished(self, count: int) -> "Shown":
        """Wait until this many pictures have all their renditions."""
        return self.wait(lambda shown: len(shown.pictures) == count and shown.is_finished)

    def reset(self, recipe: str = RECIPE) -> None:
        """Remove all pictures, and save a recipe."""
        for picture in self.wait(
            lambda shown: bool(shown.recipe) and len(shown.pictures) == len(shown.ids)
        ).pictures.values():
            self.ok("DELETE", f"/pictures/{picture['id']}")
        self.ok("PUT", "/recipe", {"text": recipe})
        self.ok("PUT", "/recipe/saved", {"force": True})

    def workers(self) -> list[int]:
        """Return the ids of the processes that render."""
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == self.process.pid and fields[0] != "Z":
                found.append(int(stat.parent.name))
        return found

    def end(self, number: signal.Signals = signal.SIGINT) -> int:
        """Send a signal; return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(SECONDS)


class Shown:
    """What a page knows after some events."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.recipe: dict[str, Any] = {}
        self.pictures: dict[str, dict[str, Any]] = {}

    def apply(self, event: dict[str, Any]) -> None:
        if event["event"] == "pictures":
            self.ids = event["ids"]
        elif event["event"] == "recipe":
            self.recipe = event
        elif event["event"] == "picture":
            self.pictures[event["key"]] = event
        elif event["event"] == "removed":
            self.pictures = {key: one for key, one in self.pictures.items() if one["id"] != event["id"]}

    @property
    def cells(self) -> list[dict[str, Any]]:
        """The cells of both recipes."""
        sheets = [one[name] for one in self.pictures.values() for name in ("cells", "saved_cells")]
        return [cell for sheet in sheets for cell in sheet.values()]

    @property
    def is_rendered(self) -> bool:
        """Whether no cell waits for its rendition."""
        return bool(self.recipe and self.cells) and all(cell["status"] != "waiting" for cell in self.cells)

    @property
    def is_finished(self) -> bool:
        """Whether no cell waits for its rendition or its score."""
        return self.is_rendered and all(cell.get("is_scored", True) for cell in self.cells)


@contextmanager
def playing(folder: Path, *arguments: object, recipe: str = RECIPE) -> Iterator[Play]:
    """Start it with a recipe in a folder, and end it."""
    temporary = folder / "temporary"
    temporary.mkdir()
    (folder / "renditions.toml").write_text(recipe)
    process = subprocess.Popen(
        [str(PROGRAM), "play", "--renditions", "renditions.toml", *map(str, arguments)],
        cwd=folder,
        env=os.environ | {"TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield Play(process, temporary)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                try:
                    process.wait(SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()
                    raise
