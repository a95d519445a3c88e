"""The page on 127.0.0.1: who may ask, and what is answered."""

import asyncio
import hmac
import json
import re
import secrets
import signal
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar

import uvicorn
from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from image_scaler.exceptions import ConfigError
from image_scaler.renditions.formats import OUTPUT_FORMATS, Format
from image_scaler.renditions.geometry import Point
from toolbox import schema
from toolbox.play import assets
from toolbox.play.draft import MAX_TEXT_BYTES
from toolbox.play.engine import MAX_SECONDS, Engine, cores
from toolbox.play.feed import END
from toolbox.play.page import served_page
from toolbox.play.pictures import RefusedError
from toolbox.play.session import Session
from toolbox.source_files import SourceFile

HOST = "127.0.0.1"
HOSTS = (HOST, "localhost")
PING_SECONDS = 15
"""The time after which a stream of events sends something, so that the server notices that a browser is gone."""
MAX_JSON_BYTES = 2 * MAX_TEXT_BYTES

_IMAGE_TYPES = {f".{format.extension}": format.traits.media_type for format in OUTPUT_FORMATS}


class Guard:
    """Refuses every request but those of the page itself.

    Another page may send requests here, under any name that its DNS points at 127.0.0.1, and another user of the
    machine may connect. So the Host must be this machine, which TrustedHostMiddleware checks. The Origin must be that
    of the server, and the token must be in the address or, after the first page, in a cookie.
    """

    def __init__(self, app: ASGIApp, port: int, token: str) -> None:
        self._app = app
        self._origins = {f"http://{host}:{port}" for host in HOSTS}
        self._token = token
        self._cookie = cookie_name(port)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 403 with the reason."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        if reason := self._refusal(request):
            await Response(reason, 403, media_type="text/plain")(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _refusal(self, request: Request) -> str:
        origin = request.headers.get("origin")
        if origin is not None and origin not in self._origins:
            return "403: another page sent this request\n"
        if request.method not in ("GET", "HEAD") and origin is None:
            return "403: a request that changes something needs an Origin\n"
        given = request.query_params.get("token") if request.url.path == "/" else None
        given = given or request.cookies.get(self._cookie, "")
        if not hmac.compare_digest(given.encode(), self._token.encode()):
            return "403: the token is missing or wrong: open the address that image-scaler play printed\n"
        return ""


def cookie_name(port: int) -> str:
    """Return the name of the cookie with the token: cookies are shared by all ports of a host."""
    return f"image-scaler-play-{port}"


class SecurityHeaders:
    """Adds the headers that keep a browser from running or embedding a response anywhere else.

    A response that has a Content-Security-Policy or a Cache-Control keeps it.
    """

    _HEADERS: ClassVar = {
        "Content-Security-Policy": "default-src 'none'; sandbox; frame-ancestors 'none'",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cache-Control": "no-store",
    }

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and add the headers to its response."""

        async def send_secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_secured)


def _page_policy(nonce: str) -> str:
    return (
        f"default-src 'none'; script-src 'self' 'nonce-{nonce}'; style-src 'self' 'nonce-{nonce}'; "
        "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


Handler = Callable[[Request], Awaitable[Response]]


def _json(handler: Handler) -> Handler:
    """Answer a refusal with its sentence, and status 400."""

    async def handle(request: Request) -> Response:
        try:
            return await handler(request)
        except RefusedError as error:
            return JSONResponse({"error": str(error)}, 400)

    return handle


class Page:
    """The handlers of the requests."""

    def __init__(self, session: Session, port: int, token: str) -> None:
        self._session = session
        self._port = port
        self._token = token

    def routes(self) -> Sequence[BaseRoute]:
        """Return the routes."""

        def route(path: str, handler: Handler, method: str = "GET") -> Route:
            return Route(path, _json(handler), methods=[method])

        return [
            Route("/", self._index),
            Mount("/static", StaticFiles(directory=assets.STATIC)),
            route("/packages/{name:path}", self._package),
            route("/events", self._events),
            route("/schema.json", self._schema),
            route("/files/{name}", self._file),
            route("/sources/{id}", self._source),
            route("/references/{id}/{recipe}/{column}", self._reference),
            route("/pictures", self._upload, "PUT"),
            route("/pictures/{id}", self._remove, "DELETE"),
            route("/pictures/{id}/focal-point", self._focal_point, "PUT"),
            route("/focus", self._focus, "PUT"),
            route("/recipe", self._edit, "PUT"),
            route("/recipe", self._revert, "DELETE"),
            route("/recipe/value", self._value, "PUT"),
            route("/recipe/saved", self._save, "PUT"),
        ]

    async def _index(self, request: Request) -> Response:
        if "token" in request.query_params:  # moved to a cookie: the address may be shown or shared
            response: Response = RedirectResponse("/", 303)
            response.set_cookie(cookie_name(self._port), self._token, httponly=True, samesite="strict")
            return response
        nonce = secrets.token_urlsafe(16)
        return HTMLResponse(served_page(nonce), headers={"Content-Security-Policy": _page_policy(nonce)})

    async def _package(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in assets.PACKAGES:
            return Response(status_code=404)
        path = assets.package_file(name)
        return FileResponse(path, media_type="text/javascript", headers={"Cache-Control": "no-cache"})

    async def _schema(self, request: Request) -> Response:
        return Response(schema.RENDITIONS.text(), media_type="application/json")

    async def _events(self, request: Request) -> Response:
        async def stream() -> AsyncIterator[dict[str, str]]:
            with self._session.feed.subscribe() as events:
                while (event := await events.get()) is not END:
                    yield {"data": json.dumps(event)}

        return EventSourceResponse(stream(), ping=PING_SECONDS)

    async def _file(self, request: Request) -> Response:
        name = request.path_params["name"]
        path = self._session.pictures.folder / name
        if not re.fullmatch(r"[0-9a-f]{32}\.[a-z]+", name) or path.suffix not in _IMAGE_TYPES or not path.is_file():
            return Response(status_code=404)
        headers = {"Cache-Control": "private, max-age=86400, immutable"}
        return FileResponse(path, media_type=_IMAGE_TYPES[path.suffix], headers=headers)

    async def _source(self, request: Request) -> Response:
        picture = self._session.pictures.get(request.path_params["id"])
        format = Format(picture.format) if picture.format else None
        if format not in OUTPUT_FORMATS:  # and never SVG, which can contain scripts
            return Response(status_code=404)
        return FileResponse(picture.path, media_type=format.traits.media_type)

    async def _reference(self, request: Request) -> Response:
        id_, recipe, column = (request.path_params[name] for name in ("id", "recipe", "column"))
        name = await self._session.reference(id_, column, is_saved=recipe == "saved")
        return JSONResponse({"file": name})

    async def _upload(self, request: Request) -> Response:
        key = request.query_params.get("key", "")
        self._session.check_addition(key, int(request.headers.get("content-length") or 0))
        descriptor, name = tempfile.mkstemp(dir=self._session.pictures.folder, prefix="upload-")
        path, size = Path(name), 0
        try:
            with open(descriptor, "wb") as file:  # noqa: PTH123  a descriptor has no path
                async for chunk in request.stream():
                    size += len(chunk)
                    self._session.check_addition(key, size)
                    file.write(chunk)
            picture = self._session.add(key, path, is_temporary=True)
        except ClientDisconnect:
            path.unlink(missing_ok=True)
            return Response(status_code=400)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return JSONResponse({"id": picture.id})

    async def _remove(self, request: Request) -> Response:
        self._session.remove(request.path_params["id"])
        return JSONResponse({})

    async def _focal_point(self, request: Request) -> Response:
        match await _body(request):
            case {"x": int() | float() as x, "y": int() | float() as y} if 0 <= x <= 1 and 0 <= y <= 1:
                point: Point | None = Point(float(x), float(y))
            case {"x": None, "y": None}:
                point = None
            case _:
                raise RefusedError("expected numbers from 0 to 1 for the focal point")
        self._session.set_focal_point(request.path_params["id"], point)
        return JSONResponse({})

    async def _focus(self, request: Request) -> Response:
        body = await _body(request)
        self._session.schedule.focus = str(body.get("id", ""))
        return JSONResponse({})

    async def _edit(self, request: Request) -> Response:
        match await _body(request):
            case {"text": str() as text}:
                self._session.edit(text)
            case _:
                raise RefusedError("expected a text for the recipe")
        return JSONResponse({})

    async def _revert(self, request: Request) -> Response:
        self._session.revert()
        return JSONResponse({})

    async def _value(self, request: Request) -> Response:
        match await _body(request):
            case {"table": str() as table, "field": str() as field, "value": int() | str() | bool() as value}:
                self._session.set_value(table, field, value)
            case _:
                raise RefusedError("expected a table, a field and a value")
        return JSONResponse({})

    async def _save(self, request: Request) -> Response:
        body = await _body(request)
        self._session.save(force=body.get("force") is True)
        return JSONResponse({})


async def _body(request: Request) -> dict[str, Any]:
    """Return the JSON object in a request; raises RefusedError if it is none, or too large."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_JSON_BYTES:
            raise RefusedError(f"expected at most {MAX_JSON_BYTES:,} bytes")
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise RefusedError("expected a JSON object")
    return found


def bind(port: int) -> socket.socket:
    """Return a socket that listens on a port of 127.0.0.1; 0: any free one. Raises ConfigError if it is in use."""
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((HOST, port))
    except OSError as error:
        listening.close()
        raise ConfigError(
            f"cannot listen on port {port} of {HOST}: {error.strerror}; choose another --port, or 0 for a free one"
        ) from error
    listening.listen()
    return listening


def application(session: Session, port: int, token: str, started: Callable[[], None] = lambda: None) -> Starlette:
    """Return the application; `started` is called when requests are answered."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        task = asyncio.create_task(session.engine.run(session.schedule.next_job, session.schedule.end))
        started()
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    middleware = [
        Middleware(SecurityHeaders),
        Middleware(TrustedHostMiddleware, allowed_hosts=HOSTS),
        Middleware(Guard, port=port, token=token),
    ]
    return Starlette(routes=Page(session, port, token).routes(), middleware=middleware, lifespan=lifespan)


def serve(
    files: Sequence[SourceFile],
    renditions: Path,
    port: int,
    say: Callable[[str], None],
    max_seconds: float = MAX_SECONDS,
) -> None:
    """Serve the page until Ctrl-C or SIGTERM; nothing is left then. `say` receives the address.

    Raises ConfigError if the port is in use, or renditions.toml cannot be read.
    """
    assets.package_file("img-comparison-slider")
    with tempfile.TemporaryDirectory(prefix="image-scaler-play-") as folder, bind(port) as listening:
        number = listening.getsockname()[1]
        token = secrets.token_urlsafe(24)
        session = Session(renditions, Path(folder), Engine(cores(), max_seconds))

        def started() -> None:
            for file in files:
                session.add(file.ref.key, file.path, is_temporary=False)
            say(f"http://{HOST}:{number}/?token={token}")

        app = application(session, number, token, started)
        config = uvicorn.Config(app, log_level="critical", access_log=False, timeout_graceful_shutdown=2)
        server = uvicorn.Server(config)
        with suppress(AttributeError, ValueError):
            signal.signal(signal.SIGHUP, lambda number, frame: server.handle_exit(number, frame))
        with suppress(KeyboardInterrupt):
            server.run(sockets=[listening])
