"""A real browser for tests: Chromium without a window, driven by the DevTools protocol over a pipe.

Messages are JSON documents that end in a zero byte; the browser reads them from its file descriptor 3 and answers on
4 (`--remote-debugging-pipe`), so that no port is opened and nothing needs to be installed for it.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import time
from pathlib import Path
from typing import Any

FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--no-default-browser-check", "--disable-extensions", "--mute-audio", "--hide-scrollbars"),
    *("--autoplay-policy=no-user-gesture-required", "--force-color-profile=srgb", "--remote-debugging-pipe"),
)
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PATIENCE = 60.0
"""Seconds until something that should come is given up."""


def find_browser() -> str | None:
    """`$CHROMIUM`, else whatever Chromium is installed."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One browser with one page.

    Attributes:
        faults: errors on the console and exceptions of scripts, as text.
        requests: addresses of all that was asked for.
    """

    def __init__(self, program: str, folder: Path, *, width: int = 1280, height: int = 900) -> None:
        self.faults: list[str] = []
        self.requests: list[str] = []
        self._buffer = b""
        self._number = 0
        self._session: str | None = None
        self._answers: dict[int, dict[str, Any]] = {}
        self._events: list[dict[str, Any]] = []
        to_read, self._to = os.pipe()
        self._from, to_write = os.pipe()
        # Away from 3 and 4, which they are to become in the browser.
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 20) for end in (to_read, to_write)]
        os.close(to_read), os.close(to_write)
        arguments = [program, *FLAGS, f"--user-data-dir={folder}", f"--window-size={width},{height}", "about:blank"]
        log = os.fsencode(folder.with_suffix(".log"))
        self._process = os.posix_spawn(
            program,
            arguments,
            {**os.environ, "HOME": str(folder.parent)},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
                (os.POSIX_SPAWN_DUP2, ends[0], 3),
                (os.POSIX_SPAWN_DUP2, ends[1], 4),
            ],
            setpgroup=0,
        )
        for end in ends:
            os.close(end)
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.resize(width, height)

    def close(self) -> None:
        """End it and all its processes."""
        os.close(self._to)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process, signal.SIGKILL)
        os.waitpid(self._process, 0)
        os.close(self._from)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command and its answer."""
        self._number += 1
        number = self._number
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._to, data) :]
        limit = time.monotonic() + PATIENCE
        while number not in self._answers:
            self._receive(limit, method)
        answer = self._answers.pop(number)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return dict(answer["result"])

    def open(self, address: str) -> None:
        """Go to an address and wait until it is loaded."""
        self._events.clear()
        answer = self.call("Page.navigate", url=address)
        assert not answer.get("errorText"), answer
        if "loaderId" in answer:  # a mere change of the fragment loads nothing
            self.wait_for_event("Page.loadEventFired")

    def wait_for_event(self, method: str) -> None:
        """Until it has come since the last `open`."""
        limit = time.monotonic() + PATIENCE
        while not any(event["method"] == method for event in self._events):
            self._receive(limit, method)

    def run(self, script: str) -> Any:
        """The value of an expression of JavaScript; a promise is waited for."""
        answer = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{script}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def until(self, script: str) -> Any:
        """Wait until an expression is true, and give its value; also while one page gives way to the next."""
        limit = time.monotonic() + PATIENCE
        fault = ""
        while time.monotonic() < limit:
            try:
                if value := self.run(script):
                    return value
            except RuntimeError as error:  # the page is gone, or not yet there
                fault = str(error)
            time.sleep(0.02)
        raise AssertionError(f"never true: {script} {fault}")

    def press(self, key: str, *, shift: bool = False) -> None:
        """Press and release a key: a letter, or a name such as `ArrowRight`."""
        key = {"Space": " "}.get(key, key)
        common: dict[str, Any] = {"key": key, "modifiers": 8 if shift else 0}
        text = {"text": "\r" if key == "Enter" else key} if len(key) == 1 or key == "Enter" else {}
        codes = {" ": 32, "ArrowLeft": 37, "ArrowRight": 39, "Home": 36, "End": 35, "Escape": 27, "Enter": 13, "Tab": 9}
        code = codes.get(key, ord(key.upper()) if len(key) == 1 else 0)
        self.call("Input.dispatchKeyEvent", type="keyDown", windowsVirtualKeyCode=code, **common, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", windowsVirtualKeyCode=code, **common)

    def click(self, selector: str, across: float = 0.5) -> None:
        """Click into the middle of an element, or so far across it."""
        x, y = self.run(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            " e.scrollIntoView({block: 'center', behavior: 'instant'}); const b = e.getBoundingClientRect();"
            f" return [b.x + b.width * {across}, b.y + b.height / 2]; }})()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def resize(self, width: int, height: int) -> None:
        """The size of the page in CSS pixels."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def prefer(self, **features: str) -> None:
        """Set what the system says: `prefers_color_scheme="dark"`, `prefers_reduced_motion="reduce"`."""
        listed = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        self.call("Emulation.setEmulatedMedia", features=listed)

    def scripts(self, allowed: bool) -> None:
        """Whether pages that are opened from now on may run scripts."""
        self.call("Emulation.setScriptExecutionDisabled", value=not allowed)

    def picture(self, clip: dict[str, float] | None = None, *, whole: bool = False) -> bytes:
        """A PNG of the page as it is seen, of a part of it, or of all of it."""
        options: dict[str, Any] = {"format": "png", "captureBeyondViewport": whole}
        if clip is not None:
            options["clip"] = {**clip, "scale": 1}
        elif whole:
            size = self.call("Page.getLayoutMetrics")["cssContentSize"]
            options["clip"] = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        return base64.b64decode(self.call("Page.captureScreenshot", **options)["data"])

    def _receive(self, limit: float, what: str) -> None:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._from], [], [], max(0.0, limit - time.monotonic()))
            assert ready, f"the browser does not answer: {what}"
            data = os.read(self._from, 1 << 20)
            assert data, f"the browser has ended: {what}"
            self._buffer += data
        text, _, self._buffer = self._buffer.partition(b"\0")
        message = json.loads(text)
        if "id" in message:
            self._answers[message["id"]] = message
            return
        self._events.append(message)
        parameters = message.get("params", {})
        if message["method"] == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
        elif message["method"] == "Runtime.exceptionThrown":
            self.faults.append(json.dumps(parameters["exceptionDetails"]))
        elif message["method"] == "Log.entryAdded" and parameters["entry"]["level"] in ("error", "warning"):
            self.faults.append(f"{parameters['entry']['text']} {parameters['entry'].get('url', '')}")
        elif message["method"] == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "assert", "warning"):
            self.faults.append(json.dumps(parameters["args"]))
