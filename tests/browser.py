"""Chromium without a window, driven over the DevTools protocol through two pipes: no port, no package."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
WORDS = (
    *(
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-extensions",
        "--mute-audio",
    ),
    *("--autoplay-policy=user-gesture-required", "--remote-debugging-pipe"),
)


AS_3_AND_4 = """
import fcntl, os, sys
ends = [fcntl.fcntl(int(end), fcntl.F_DUPFD, 10) for end in sys.argv[1:3]]
os.dup2(ends[0], 3)
os.dup2(ends[1], 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
"""Chromium wants its commands on descriptor 3 and answers on 4."""


class Browser:
    """One page in one browser.

    Attributes
    ----------
    console : list of str
        Errors and warnings that the page wrote, and exceptions that nobody caught.
    """

    def __init__(self, commands: int, answers: int):
        self._commands, self._answers = commands, answers
        self._rest, self._number = b"", 0
        self.console: list[str] = []
        target = self.call("Target.createTarget", {"url": "about:blank"})["targetId"]
        attached = self.call("Target.attachToTarget", {"targetId": target, "flatten": True})
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    _session = ""

    def _read(self, patience_s: float) -> dict[str, Any]:
        until = time.monotonic() + patience_s
        while b"\0" not in self._rest:
            left = until - time.monotonic()
            if left <= 0 or not select.select([self._answers], [], [], left)[0]:
                raise TimeoutError(f"the browser said nothing for {patience_s:g} s; {self.console}")
            part = os.read(self._answers, 1 << 20)
            if not part:
                raise ConnectionError("the browser closed its pipe")
            self._rest += part
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)

    def call(self, method: str, parameters: dict[str, Any] | None = None, patience_s: float = 120) -> Any:
        """Call a DevTools method and return its result; what happens meanwhile is noted."""
        self._number += 1
        number = self._number
        command = {"id": number, "method": method, "params": parameters or {}}
        if self._session:
            command["sessionId"] = self._session
        words = json.dumps(command).encode() + b"\0"
        while words:
            words = words[os.write(self._commands, words) :]
        while True:
            message = self._read(patience_s)
            if message.get("id") == number:
                assert "error" not in message, f"{method}: {message['error']}"
                return message["result"]
            self._note(message)

    def _note(self, message: dict[str, Any]) -> None:
        said = message.get("params", {})
        if message.get("method") == "Runtime.exceptionThrown":
            details = said["exceptionDetails"]
            self.console.append(str(details.get("exception", details).get("description", details["text"])))
        elif message.get("method") == "Runtime.consoleAPICalled" and said["type"] in ("error", "warning"):
            self.console.append(" ".join(str(part.get("value", part)) for part in said["args"]))
        elif message.get("method") == "Log.entryAdded" and said["entry"]["level"] == "error":
            self.console.append(f"{said['entry']['text']} {said['entry'].get('url', '')[:80]}")

    def open(self, address: str) -> None:
        """Open a page and wait until it is there."""
        self.call("Page.navigate", {"url": address})
        self.until(
            "document.readyState === 'complete' && location.href !== 'about:blank'"
            " && !document.querySelector('[aria-busy]')"
        )

    def run(self, script: str, patience_s: float = 120, *, click: bool = False) -> Any:
        """Evaluate an expression and wait for its promise; `click`: as if a user had clicked."""
        asked = {
            "expression": script,
            "awaitPromise": True,
            "returnByValue": True,
            "userGesture": click,
        }
        made = self.call("Runtime.evaluate", asked, patience_s)
        assert "exceptionDetails" not in made, made["exceptionDetails"].get("exception", made)["description"]
        return made["result"].get("value")

    def until(self, condition: str, patience_s: float = 20) -> Any:
        """Wait until an expression is true, and return it."""
        end = time.monotonic() + patience_s
        while not (value := self.run(condition)):
            assert time.monotonic() < end, f"never true: {condition}; {self.console}"
            time.sleep(0.03)
        return value

    def size(self, width: int, height: int, *, phone: bool = False, dark: bool = False) -> None:
        """Make the window so large; on a phone, with touch."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone},
        )
        self.call("Emulation.setTouchEmulationEnabled", {"enabled": phone})
        theme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", {"features": theme})

    def middle(self, selector: str) -> tuple[float, float]:
        """Scroll to an element, and return where its middle is."""
        place = self.run(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            "e.scrollIntoView({block: 'center'}); const b = e.getBoundingClientRect();"
            "return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        return place[0], place[1]

    def mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        """Move, press, release or turn the wheel of the mouse."""
        pressed = {"button": "left", "buttons": 1, "clickCount": 1} if kind != "mouseWheel" else {}
        self.call("Input.dispatchMouseEvent", {"type": kind, "x": x, "y": y, **pressed, **more})

    def click(self, selector: str) -> None:
        """Click in the middle of an element."""
        x, y = self.middle(selector)
        for kind in ("mousePressed", "mouseReleased"):
            self.mouse(kind, x, y)

    def drag(self, x: float, y: float, to_x: float, to_y: float) -> None:
        """Press the mouse, move it in a few steps, release it."""
        self.mouse("mousePressed", x, y)
        for part in (0.25, 0.5, 0.75, 1.0):
            self.mouse("mouseMoved", x + part * (to_x - x), y + part * (to_y - y))
        self.mouse("mouseReleased", to_x, to_y)

    def key(self, key: str, code: str = "") -> None:
        """Press and release a key."""
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", {"type": kind, "key": key, "code": code or key})

    def picture(self, path: Path, *, whole: bool = False) -> None:
        """Write a screenshot as PNG."""
        shot = self.call("Page.captureScreenshot", {"format": "png", "captureBeyondViewport": whole})
        path.write_bytes(base64.b64decode(shot["data"]))


@contextmanager
def browser(*more: str) -> Iterator[Browser]:
    """Start Chromium with a fresh profile, and end it."""
    assert CHROMIUM is not None
    command_read, command_write = os.pipe()
    answer_read, answer_write = os.pipe()
    with tempfile.TemporaryDirectory(prefix="vaectrol-browser-", ignore_cleanup_errors=True) as profile:
        ends = [str(command_read), str(answer_write)]
        words = [
            sys.executable,
            "-c",
            AS_3_AND_4,
            *ends,
            CHROMIUM,
            *WORDS,
            *more,
            f"--user-data-dir={profile}",
        ]
        process = subprocess.Popen(
            words,
            pass_fds=(command_read, answer_write),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(command_read)
        os.close(answer_write)
        try:
            found = Browser(command_write, answer_read)
            yield found
            found._session = ""
            found.call("Browser.close")
        finally:
            os.close(command_write)
            os.close(answer_read)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
