"""Serves the phone's page, its WebSocket, and the page that follows: HTTPS, one token, few clients."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import logging
import secrets
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.page import template
from common.refusal import Refusal, ToolMissing
from firmware.bridge.hub import Hub
from firmware.bridge.phone.certificate import LOOPBACK, context_for, lan_address
from firmware.bridge.phone.messages import LONGEST_BYTES, Unread, is_held, read_message, rounded
from firmware.play.live.outbox import Outbox, keeps_each

if TYPE_CHECKING:
    from aiohttp import web

HERE = Path(__file__).resolve().parent
PAGE_CSS = HERE.parents[2] / "common" / "page.css"
MOST_CLIENTS = 4
"""WebSockets at once, phones and pages together."""
FOLLOW_S = 1.0 / 60.0
"""Between two messages to a page that follows."""
AT_ONCE = 512
ALIVE_S = 15.0
"""A client that does not answer for so long is gone."""
TOKEN_BYTES = 16
HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
PHONE_POLICY = "default-src 'self'; connect-src 'self' wss:; img-src data:; style-src 'self'"


@dataclass(frozen=True)
class Offered:
    """What is served.

    Attributes
    ----------
    title : str
        Of the instrument.
    shows : dict
        Name of each thing on the phone's page → what it moves, in words.
    positions : callable
        Position 0 to 1 of a fader now, by the name of the fader; None where it has none.
    module_page : str
        HTML of the instrument's own page, which follows every move; empty for none.
    """

    title: str
    shows: dict[str, str] = field(default_factory=dict)
    positions: Callable[[str], float | None] = lambda name: None
    module_page: str = ""


@dataclass(frozen=True)
class Place:
    """Where it is served.

    Attributes
    ----------
    port : int
        TCP; 0 for a free one.
    lan : bool
        Whether others than this computer reach it.
    certificate : Path, optional
        One's own, in place of one made on the spot.
    """

    port: int = 8443
    lan: bool = False
    certificate: Path | None = None


class PhoneServer:
    """A server in a thread of its own; a context manager.

    Parameters
    ----------
    hub : Hub
        Told ``phone/NAME``.
    offered : Offered
    follow : Outbox or None
        What pages that follow are told.
    place : Place

    Attributes
    ----------
    token : str
        Made for this server; every address needs it, and any other gets status 403.
    faults : Counter
        What was wrong with messages, in words, and how often.
    refused : int
        Requests without the token.
    """

    def __init__(self, hub: Hub, offered: Offered, follow: Outbox | None, place: Place):
        try:
            import aiohttp  # noqa: F401
        except ImportError:
            raise ToolMissing("--phone needs a library for web servers: pip install aiohttp.") from None
        self.hub, self.offered, self.follow, self.place = hub, offered, follow, place
        self.token = secrets.token_urlsafe(TOKEN_BYTES)
        self.address = lan_address() if place.lan else LOOPBACK[0]
        self._context = context_for(dict.fromkeys([self.address, *LOOPBACK]), place.certificate)
        self.port = place.port
        self.faults: Counter[str] = Counter()
        self.refused = 0
        self._clients: set[web.WebSocketResponse] = set()
        self._pages: set[web.WebSocketResponse] = set()
        self._said: dict[str, float] = {}
        self._loop = asyncio.new_event_loop()
        self._up = threading.Event()
        self._wrong: OSError | None = None
        self._end: asyncio.Event | None = None

    def link(self, path: str = "/") -> str:
        """Address of a page, with the token."""
        return f"https://{self.address}:{self.port}{path}?t={self.token}"

    def in_words(self) -> list[str]:
        """A line for each kind of message that was none, and one for those without the token."""
        said = [f"{count} messages of a phone: each {words}" for words, count in sorted(self.faults.items())]
        return [*said, *([f"{self.refused} requests came without the token"] if self.refused else [])]

    def __enter__(self) -> PhoneServer:
        """Begin to serve.

        Raises
        ------
        Refusal
            The port is taken.
        """
        self._thread = threading.Thread(target=self._run, name="phone", daemon=True)
        self._thread.start()
        self._up.wait()
        if self._wrong is not None:
            self._thread.join()
            raise Refusal(
                f"cannot serve the phone's page on port {self.place.port}: {self._wrong.strerror}; try "
                "another --phone-port."
            )
        return self

    def __exit__(self, *_: object) -> None:
        """Close all connections and stop."""
        if self._end is not None:
            self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._up.set()
            self._loop.close()

    async def _serve(self) -> None:
        from aiohttp import web

        app = web.Application(middlewares=[self._guard()])
        app.router.add_get("/", self._page)
        app.router.add_get("/ws", self._phone)
        app.router.add_get("/follow", self._follower)
        app.router.add_get("/module", self._module)
        for name in ("phone.js", "phone.css", "follow.js"):
            app.router.add_get(f"/{name}", self._file)
        log = logging.Logger("phone")
        log.addHandler(_Counted(self.faults))
        self._loop.set_exception_handler(lambda *_: self.faults.update(["ends in the middle"]))
        runner = web.AppRunner(app, access_log=None, logger=log, shutdown_timeout=1.0)
        await runner.setup()
        host = "0.0.0.0" if self.place.lan else LOOPBACK[0]
        site = web.TCPSite(runner, host, self.place.port, ssl_context=self._context)
        try:
            await site.start()
        except OSError as error:
            self._wrong = error
            await runner.cleanup()
            return
        self.port = runner.addresses[0][1]
        self._end = asyncio.Event()
        pump = asyncio.ensure_future(self._pump())
        self._up.set()
        await self._end.wait()
        pump.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await pump
        for client in list(self._clients):
            await client.close(code=1001, message=b"the bridge has ended")
        await runner.cleanup()

    def _guard(self) -> Any:
        from aiohttp import web

        @web.middleware
        async def guard(
            request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
        ) -> web.StreamResponse:
            given = request.query.get("t", "")
            if not hmac.compare_digest(given.encode(errors="backslashreplace"), self.token.encode()):
                self.refused += 1
                raise web.HTTPForbidden(text="This address needs the token that the bridge printed.\n")
            return await handler(request)

        return guard

    async def _page(self, request: web.Request) -> web.StreamResponse:
        from aiohttp import web

        html = template(HERE / "phone.html").render(
            title=self.offered.title, shows=self.offered.shows, token=self.token
        )
        headers = {**HEADERS, "Content-Security-Policy": PHONE_POLICY}
        return web.Response(text=html, content_type="text/html", headers=headers)

    async def _file(self, request: web.Request) -> web.StreamResponse:
        from aiohttp import web

        path = HERE / request.path.removeprefix("/")
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".css":
            text = PAGE_CSS.read_text(encoding="utf-8") + text
        kind = "text/css" if path.suffix == ".css" else "text/javascript"
        return web.Response(text=text, content_type=kind, headers=HEADERS)

    async def _module(self, request: web.Request) -> web.StreamResponse:
        from aiohttp import web

        if not self.offered.module_page:
            raise web.HTTPNotFound(text="The bridge was started without --page.\n")
        script = f'<script type="module" src="follow.js?t={self.token}"></script>\n</body>'
        html = self.offered.module_page.replace("</body>", script)
        return web.Response(text=html, content_type="text/html", headers=HEADERS)

    async def _open(self, request: web.Request) -> web.WebSocketResponse:
        from aiohttp import web

        if len(self._clients) >= MOST_CLIENTS:
            raise web.HTTPServiceUnavailable(text=f"{MOST_CLIENTS} are connected already; close one.\n")
        socket = web.WebSocketResponse(max_msg_size=LONGEST_BYTES, heartbeat=ALIVE_S, compress=False)
        self._clients.add(socket)
        try:
            await socket.prepare(request)
        except BaseException:
            self._clients.discard(socket)
            raise
        return socket

    async def _phone(self, request: web.Request) -> web.StreamResponse:
        from aiohttp import WSMsgType

        socket = await self._open(request)
        held: set[str] = set()
        try:
            await socket.send_str(json.dumps(self._hello()))
            async for message in socket:
                if message.type != WSMsgType.TEXT:
                    self.faults["is no text"] += 1
                    continue
                try:
                    said = read_message(message.data)
                except Unread as why:
                    self.faults[str(why)] += 1
                    continue
                for name, value in said:
                    if is_held(name):
                        (held.add if value > 0.0 else held.discard)(name)
                    self.hub.receive(f"phone/{name}", value)
        except ConnectionError:
            pass  # a phone that left the room
        finally:
            self._clients.discard(socket)
            for name in held:
                self.hub.receive(f"phone/{name}", 0.0)
        return socket

    def _hello(self) -> dict[str, Any]:
        """What a phone is told first: where its faders stand."""
        at = {name: self.offered.positions(name) for name in self.offered.shows if name.startswith("fader")}
        return {"at": {name: rounded(value) for name, value in at.items() if value is not None}}

    async def _follower(self, request: web.Request) -> web.StreamResponse:
        socket = await self._open(request)
        self._pages.add(socket)
        try:
            await socket.send_str(json.dumps(list(self._said.items())))
            async for _ in socket:
                self.faults["came from a page that only listens"] += 1
        except ConnectionError:
            pass
        finally:
            self._pages.discard(socket)
            self._clients.discard(socket)
        return socket

    async def _pump(self) -> None:
        """Tell the pages that follow what was moved."""
        while self.follow is not None:
            await asyncio.sleep(FOLLOW_S)
            moves = self.follow.take(AT_ONCE)
            if not moves:
                continue
            self._said.update(move for move in moves if stands(move[0]))
            text = json.dumps(moves)
            told = [asyncio.wait_for(page.send_str(text), ALIVE_S) for page in self._pages]
            await asyncio.gather(
                *told, return_exceptions=True
            )  # one that is gone is closed by its own reader


def stands(column: str) -> bool:
    """Whether a column stays where it was put, so that who comes later is told."""
    return column.startswith("gate/") or not keeps_each(column)


class _Counted(logging.Handler):
    """Counts what the web server would print: whoever knocks wrongly shall not fill the terminal."""

    def __init__(self, faults: Counter[str]):
        super().__init__()
        self.faults = faults

    def emit(self, record: logging.LogRecord) -> None:
        self.faults["is no request that can be read"] += 1


def qr_code(link: str) -> str:
    """Draw an address for the terminal, to be read by a phone's camera; a sentence where that cannot be."""
    try:
        import segno
    except ImportError:
        return "(pip install segno, and the address is drawn here for the phone's camera)"
    import io

    drawn = io.StringIO()
    segno.make(link, error="l").terminal(drawn, compact=True, border=2)
    return drawn.getvalue().rstrip("\n")
