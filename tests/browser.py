"""A real Chromium without a window, driven over its DevTools pipe: two descriptors and JSON, so nothing to install.

The protocol: https://chromedevtools.github.io/devtools-protocol; messages end with a zero byte.
"""

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--enable-unsafe-swiftshader",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--no-proxy-server",
    "--remote-debugging-pipe",
)


class Browser(AbstractContextManager["Browser"]):
    """One page of a fresh Chromium, `size` pixels large."""

    def __init__(self, size: tuple[int, int] = (1400, 1000)) -> None:
        self._size, self._count, self._session = size, 0, ""
        self._closing = ExitStack()

    def __enter__(self) -> "Browser":
        profile = self._closing.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        to_read, self._to = os.pipe()
        self._from, to_write = os.pipe()

        def hand_over() -> None:  # Chromium reads descriptor 3 and writes 4
            reads, writes = os.dup(to_read), os.dup(to_write)
            os.dup2(reads, 3)
            os.dup2(writes, 4)

        self._process = subprocess.Popen(
            [str(CHROMIUM), *_FLAGS, f"--user-data-dir={profile}", "about:blank"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=hand_over,
            close_fds=False,
            start_new_session=True,
        )
        self._closing.callback(self._end)
        os.close(to_read)
        os.close(to_write)
        page = next(t for t in self.call("Target.getTargets")["targetInfos"] if t["type"] == "page")
        self._session = self.call("Target.attachToTarget", targetId=page["targetId"], flatten=True)["sessionId"]
        width, height = self._size
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._to)
        os.close(self._from)

    def call(self, method: str, **parameters: Any) -> Any:
        """The result of a method of the protocol. Raises: RuntimeError where it fails, TimeoutError."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + 300
        while True:
            answer = json.loads(self._read(deadline))
            if answer.get("id") == self._count:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]

    _rest = b""

    def _read(self, deadline: float) -> bytes:
        while b"\0" not in self._rest:
            if not select.select([self._from], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise TimeoutError("Chromium does not answer")
            self._rest += os.read(self._from, 1 << 20)
        message, _, self._rest = self._rest.partition(b"\0")
        return message

    def open(self, url: str) -> None:
        """Go to `url`; the page is there when this returns."""
        self.call("Page.navigate", url=url)
        self.wait("document.readyState == 'complete'")

    def evaluate(self, javascript: str) -> Any:
        """What an expression is in the page; `every(css)` and `words()` in it look into shadow roots as well."""
        found = self.call("Runtime.evaluate", expression=f"{_EVERYWHERE}; {javascript}", returnByValue=True)
        if "exceptionDetails" in found:
            raise RuntimeError(found["exceptionDetails"]["exception"]["description"])
        return found["result"].get("value")

    def wait(self, javascript: str, seconds: float = 600) -> Any:
        """The expression's value once it is true; a page half built may fail it. Raises: TimeoutError."""
        asked = time.monotonic()
        deadline = asked + seconds
        failure = ""
        while True:
            try:
                if found := self.evaluate(javascript):
                    return found
            except RuntimeError as error:
                failure = f" ({error})"
            now = time.monotonic()
            if now > deadline:
                raise TimeoutError(f"still not so after {seconds} s: {javascript}{failure}")
            time.sleep(max(0.25, 3 * (now - asked)))  # the page has work to do, and looking at it is some more
            asked = time.monotonic()

    def shoot(self, path: Path, clip: tuple[int, int, int, int] | None = None) -> None:
        """Save what is to be seen, or `clip` of it (x, y, width, height), as a PNG."""
        options: dict[str, Any] = {"format": "png"}
        if clip is not None:
            options["clip"] = {**dict(zip(("x", "y", "width", "height"), clip, strict=True)), "scale": 1}
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", **options)["data"]))


_EVERYWHERE = """
var every = (css, root = document) => [...root.querySelectorAll(css),
  ...[...root.querySelectorAll('*')].filter(e => e.shadowRoot).flatMap(e => every(css, e.shadowRoot))]
var words = (root = document.body ?? document) => [root.textContent,
  ...[...root.querySelectorAll('*')].filter(e => e.shadowRoot).map(e => words(e.shadowRoot))].join(' ')
"""
