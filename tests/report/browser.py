"""Headless Chromium over its debugging socket, with the standard library alone."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import time
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


def chromium() -> str | None:
    """The installed browser's path, if any."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One page of one browser; `events` collects what the page reported on the way."""

    def __init__(self, program: str, profile: Path) -> None:
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        flags += ["--no-first-run", "--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank"]
        self._process = subprocess.Popen(
            [program, *flags], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
        )
        self.events: list[dict[str, Any]] = []
        self._id = 0
        port = self._port()
        path = self._page(port)
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._shake_hands(port, path)
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def _port(self) -> int:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if found := re.search(r"DevTools listening on ws://[^:]+:(\d+)/", line):
                return int(found[1])
        raise RuntimeError("the browser did not start")

    @staticmethod
    def _page(port: int) -> str:
        """The socket path of the blank page, asked for by plain HTTP."""
        for _ in range(100):
            with socket.create_connection(("127.0.0.1", port), timeout=60) as link:
                link.sendall(b"GET /json/list HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
                answer = b""
                while part := link.recv(65536):
                    answer += part
                    head, _, body = answer.partition(b"\r\n\r\n")
                    length = re.search(rb"Content-Length: ?(\d+)", head, re.I)
                    if length and len(body) >= int(length[1]):
                        break
            pages = [p for p in json.loads(answer.partition(b"\r\n\r\n")[2]) if p["type"] == "page"]
            if pages:
                return "/" + pages[0]["webSocketDebuggerUrl"].split("/", 3)[3]
            time.sleep(0.1)
        raise RuntimeError("the browser opened no page")

    def _shake_hands(self, port: int, path: str) -> None:
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Upgrade: websocket"]
        lines += ["Connection: Upgrade", f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13"]
        self._socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            answer += self._socket.recv(1)
        assert b" 101 " in answer, answer

    def _exactly(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            part = self._socket.recv(count - len(data))
            if not part:
                raise RuntimeError("the browser closed the connection")
            data += part
        return bytes(data)

    def _receive(self) -> dict[str, Any]:
        """One message, joined from its frames (RFC 6455; a server's frames are not masked)."""
        message = b""
        while True:
            first, length = self._exactly(2)
            if length == 126:
                (length,) = struct.unpack("!H", self._exactly(2))
            elif length == 127:
                (length,) = struct.unpack("!Q", self._exactly(8))
            message += self._exactly(length)
            if first & 0x80:
                return dict(json.loads(message))

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a DevTools method and return its result."""
        self._id += 1
        data = json.dumps({"id": self._id, "method": method, "params": params}).encode()
        mask = os.urandom(4)
        if len(data) < 126:
            size = bytes([0x80 | len(data)])
        elif len(data) <= 65535:
            size = b"\xfe" + struct.pack("!H", len(data))
        else:
            size = b"\xff" + struct.pack("!Q", len(data))
        masked = bytes(b ^ mask[i % 4] for i, b in enumerate(data))
        self._socket.sendall(b"\x81" + size + mask + masked)
        while True:
            message = self._receive()
            if message.get("id") == self._id:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                return dict(message["result"])
            self.events.append(message)

    def open(self, path: Path) -> float:
        """Open a file and wait until all of it is there; returns the seconds that took."""
        start = time.perf_counter()
        self.events.clear()
        self.call("Page.navigate", url=path.resolve().as_uri())
        while not any(e.get("method") == "Page.loadEventFired" for e in self.events):
            self.events.append(self._receive())
        return time.perf_counter() - start

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"]["exception"].get("description", script))
        return answer["result"].get("value")

    def press(self, key: str) -> None:
        for kind in ("keyDown", "keyUp"):
            code = {"Escape": 27, "ArrowRight": 39, "ArrowLeft": 37, "ArrowDown": 40, "Tab": 9, "Enter": 13}[
                key
            ]
            extra = {"text": "\r"} if key == "Enter" and kind == "keyDown" else {}
            self.call("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, **extra)

    def complaints(self) -> list[str]:
        """Errors and warnings of the console and the log, and exceptions."""
        self.run("1")  # whatever was on its way has arrived after this
        return [
            json.dumps(e["params"])
            for e in self.events
            if e.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded")
            or (e.get("method") == "Runtime.consoleAPICalled" and e["params"]["type"] in ("error", "warning"))
        ]

    def requests(self) -> list[str]:
        """Everything that the page asked for, but for what is written into it."""
        self.run("1")
        asked = [
            e["params"]["request"]["url"]
            for e in self.events
            if e.get("method") == "Network.requestWillBeSent"
        ]
        return [url for url in asked if not url.startswith("data:")]

    def close(self) -> None:
        self._socket.close()
        self._process.terminate()
        self._process.wait(timeout=30)
        if self._process.stderr is not None:
            self._process.stderr.close()
