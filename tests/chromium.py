"""A headless Chromium for tests that need a browser, driven over a pipe by the DevTools protocol.

Needs nothing but the browser: with `--remote-debugging-pipe` it reads commands from descriptor 3 and writes
to descriptor 4, each message ended by a zero byte.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class Browser:
    """One tab. Every method raises AssertionError where the browser says that something is wrong."""

    def __init__(self, reading: int, writing: int) -> None:
        self._in, self._out = reading, writing
        self._buffer = b""
        self._number = 0
        self.events: list[dict[str, Any]] = []
        target = self._call("Target.createTarget", {"url": "about:blank"})["targetId"]
        self._session = ""
        self._session = self._call("Target.attachToTarget", {"targetId": target, "flatten": True})[
            "sessionId"
        ]
        for domain in ("Page", "Runtime", "DOM", "Network", "Log"):
            self._call(f"{domain}.enable")

    def _message(self, until: float) -> dict[str, Any]:
        import select

        while b"\0" not in self._buffer:
            left = until - time.monotonic()
            ready, _, _ = select.select([self._in], [], [], max(0.0, left))
            assert ready, "the browser does not answer"
            got = os.read(self._in, 1 << 20)
            assert got, "the browser has ended"
            self._buffer += got
        text, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(text)

    def _call(self, method: str, params: dict[str, Any] | None = None, timeout: float = 60) -> dict[str, Any]:
        self._number += 1
        told = {"id": self._number, "method": method, "params": params or {}}
        if getattr(self, "_session", ""):
            told["sessionId"] = self._session
        os.write(self._out, json.dumps(told).encode() + b"\0")
        until = time.monotonic() + timeout
        while True:
            message = self._message(until)
            if message.get("id") == self._number:
                assert "error" not in message, f"{method}: {message['error']}"
                return message["result"]
            self.events.append(message)

    def _wait(self, method: str, timeout: float) -> None:
        until = time.monotonic() + timeout
        while not any(e.get("method") == method for e in self.events):
            self.events.append(self._message(until))

    def _loaded(self, act: Any, timeout: float) -> None:
        self.events = [e for e in self.events if e.get("method") != "Page.loadEventFired"]
        act()
        self._wait("Page.loadEventFired", timeout)

    def open(self, url: str, timeout: float = 60) -> None:
        """Go to an address, and wait until it is loaded."""
        self._loaded(lambda: self._call("Page.navigate", {"url": url}), timeout)

    def run(self, script: str, timeout: float = 60) -> Any:
        """The value of an expression; promises are waited for."""
        params = {"expression": script, "awaitPromise": True, "returnByValue": True}
        done = self._call("Runtime.evaluate", params, timeout)
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def click(self, selector: str, timeout: float = 120) -> None:
        """Click what leads to another page, and wait for that."""
        self._loaded(lambda: self.run(f"document.querySelector({json.dumps(selector)}).click()"), timeout)

    def choose(self, selector: str, file: Path) -> None:
        """Put a file into a file input, as a user does."""
        root = self._call("DOM.getDocument")["root"]["nodeId"]
        node = self._call("DOM.querySelector", {"nodeId": root, "selector": selector})["nodeId"]
        self._call("DOM.setFileInputFiles", {"nodeId": node, "files": [str(file)]})

    def text(self) -> str:
        return self.run("document.body.innerText")

    def press(self, key: str) -> None:
        for kind in ("rawKeyDown", "keyUp"):
            code = {"Tab": 9}[key]
            params = {"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code}
            self._call("Input.dispatchKeyEvent", params)

    def look(self, width: int, *, dark: bool = False) -> None:
        """The width of the window in CSS pixels, and the colour scheme that the user prefers; who prefers
        that nothing moves by itself, so that what is seen does not depend on when."""
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        self._call("Emulation.setDeviceMetricsOverride", metrics)
        preferred = {"prefers-color-scheme": "dark" if dark else "light", "prefers-reduced-motion": "reduce"}
        features = [{"name": name, "value": value} for name, value in preferred.items()]
        self._call("Emulation.setEmulatedMedia", {"features": features})

    def picture(self, path: Path) -> None:
        """A PNG of the whole page."""
        done = self._call("Page.captureScreenshot", {"captureBeyondViewport": True, "format": "png"})
        path.write_bytes(base64.b64decode(done["data"]))

    def requested(self) -> list[str]:
        """Addresses that pages asked for so far, without data URLs."""
        sent = [
            e["params"]["request"]["url"]
            for e in self.events
            if e.get("method") == "Network.requestWillBeSent"
        ]
        return [url for url in sent if not url.startswith("data:")]

    def complaints(self) -> list[str]:
        """What the browser's console says is wrong: failed requests, scripts, the page's own policy."""
        logged = [e["params"]["entry"] for e in self.events if e.get("method") == "Log.entryAdded"]
        thrown = [e["params"] for e in self.events if e.get("method") == "Runtime.exceptionThrown"]
        return [e["text"] for e in logged if e["level"] == "error"] + [str(t) for t in thrown]


@contextmanager
def chromium(profile: Path) -> Iterator[Browser]:
    """A browser with a new, empty profile; the test is skipped where none is installed."""
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        pytest.skip("no Chromium is installed")
    to_browser, from_browser = os.pipe(), os.pipe()
    command = [program, *FLAGS, f"--user-data-dir={profile}", "--remote-debugging-pipe", "about:blank"]
    ends = (to_browser[0], from_browser[1])
    shell = f'exec "$@" 3<&{ends[0]} 4>&{ends[1]} 2>/dev/null'
    # Descriptors of two digits are understood by bash alone.
    process = subprocess.Popen(["bash", "-c", shell, "browser", *command], pass_fds=ends)
    for end in ends:
        os.close(end)
    try:
        yield Browser(from_browser[0], to_browser[1])
    finally:
        os.close(to_browser[1])
        os.close(from_browser[0])
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
