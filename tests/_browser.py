"""A headless Chromium, driven over its debugging pipe (the DevTools protocol, nothing else).

The pipe is two inherited descriptors, 3 for commands and 4 for answers: JSON, ended by a NUL.
"""

from __future__ import annotations

import base64
import fcntl
import itertools
import json
import os
import select
import signal
import subprocess
import time
from pathlib import Path
from typing import Any, Final, Self

from greensalt.errors import ChildFailed

CHROMIUM: Final = Path("/usr/bin/chromium")
ANSWER_S: Final = 30.0
POLL_S: Final = 0.1
FLAGS: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,1600",
    "--remote-debugging-pipe",
)


class Browser:
    """One browser with one page; a context manager."""

    def __init__(self, profile: Path) -> None:
        self._argv = [str(CHROMIUM), *FLAGS, f"--user-data-dir={profile}", "about:blank"]
        self._numbers = itertools.count(1)
        self._buffer = b""
        self._session = ""

    def __enter__(self) -> Self:
        commands, self._commands = _high_pipe()
        self._answers, answers = _high_pipe()

        def place() -> None:
            os.dup2(commands, 3)
            os.dup2(answers, 4)

        self._process = subprocess.Popen(
            self._argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            pass_fds=(3, 4),
            preexec_fn=place,  # noqa: PLW1509  # it only makes system calls
        )
        os.close(commands)
        os.close(answers)
        try:
            target = self._ask("Target.createTarget", url="about:blank")["targetId"]
            attached = self._ask("Target.attachToTarget", targetId=target, flatten=True)
            self._session = attached["sessionId"]
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._process.wait()
        os.close(self._commands)
        os.close(self._answers)

    def open(self, url: str) -> None:
        self._ask("Page.navigate", url=url)
        self.wait_for("document.readyState == 'complete'")

    def evaluate(self, script: str) -> Any:
        """The value of a JavaScript expression."""
        answer = self._ask(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in answer:
            raise AssertionError(f"{script}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def wait_for(self, script: str, timeout_s: float = ANSWER_S) -> Any:
        """The value of an expression once it is true."""
        until = time.monotonic() + timeout_s
        while not (value := self.evaluate(script)):
            if time.monotonic() > until:
                text = self.evaluate("document.body.innerText")
                raise AssertionError(f"{script} is not true in:\n{text}")
            time.sleep(POLL_S)
        return value

    def click(self, selector: str, words: str) -> None:
        """Click the element that shows `words`, once it is there."""
        find = (
            f"[...document.querySelectorAll({json.dumps(selector)})]"
            f".find(e => e.innerText.trim().toLowerCase() == {json.dumps(words.lower())})"
        )
        self.wait_for(f"Boolean({find})")
        self.evaluate(f"{find}.click()")

    def screenshot(self, path: Path) -> None:
        shot = self._ask("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def _ask(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self._numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + ANSWER_S
        while True:
            answer = self._next(until)
            if answer.get("id") == number:
                if "error" in answer:
                    raise AssertionError(f"{method}: {answer['error']}")
                result: dict[str, Any] = answer["result"]
                return result

    def _next(self, until: float) -> dict[str, Any]:
        """The next answer or event."""
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._answers], [], [], max(0, until - time.monotonic()))
            data = os.read(self._answers, 1 << 16) if ready else b""
            if not data:
                raise ChildFailed("the browser does not answer")
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        return message


def _high_pipe() -> tuple[int, int]:
    """A pipe whose descriptors are not among those that the browser wants."""
    low = os.pipe()
    high = tuple(fcntl.fcntl(each, fcntl.F_DUPFD_CLOEXEC, 10) for each in low)
    for each in low:
        os.close(each)
    return high[0], high[1]
