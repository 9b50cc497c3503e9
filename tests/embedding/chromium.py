"""Headless Chromium, driven over a pipe with its DevTools protocol: clicks, keys, the DOM, errors, requests."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PROGRAM = next(
    filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None
)
# For a machine that does something else as well.
_PATIENCE_S = 120


class Browser:
    """One tab.

    Attributes:
        problems: What the page complained of: exceptions, messages of the console, refused requests.
        requests: Addresses it asked for.
    """

    def __init__(self, source: int, sink: int) -> None:
        self._source, self._sink = source, sink
        self._rest, self._last = b'', 0
        self._session: str | None = None
        self.problems: list[str] = []
        self.requests: list[str] = []
        target = self.call('Target.createTarget', url='about:blank')['targetId']
        found = self.call('Target.attachToTarget', targetId=target, flatten=True)
        self._session = found['sessionId']
        for domain in ('Page', 'Runtime', 'Log', 'Network'):
            self.call(f'{domain}.enable')

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and return its result."""
        self._last += 1
        message: dict[str, Any] = {'id': self._last, 'method': method, 'params': parameters}
        if self._session is not None:
            message['sessionId'] = self._session
        os.write(self._sink, json.dumps(message).encode() + b'\0')
        while True:
            answer = self._next()
            if answer.get('id') == self._last:
                assert 'error' not in answer, answer
                return answer['result']
            self._note(answer)

    def _next(self) -> dict[str, Any]:
        deadline = time.monotonic() + _PATIENCE_S
        while b'\0' not in self._rest:
            ready, _, _ = select.select([self._source], [], [], deadline - time.monotonic())
            read = os.read(self._source, 1 << 20) if ready else b''
            assert read, 'Chromium does not answer'
            self._rest += read
        first, self._rest = self._rest.split(b'\0', 1)
        found: dict[str, Any] = json.loads(first)
        return found

    def _note(self, event: dict[str, Any]) -> None:
        kind, found = event.get('method'), event.get('params', {})
        if kind in ('Runtime.exceptionThrown', 'Log.entryAdded', 'Runtime.consoleAPICalled'):
            self.problems.append(json.dumps(found))
        if kind == 'Network.requestWillBeSent':
            self.requests.append(found['request']['url'][:80])

    def value(self, expression: str) -> Any:
        """Return the value of a line of JavaScript."""
        found = self.call(
            'Runtime.evaluate', expression=expression, returnByValue=True, awaitPromise=True
        )
        assert 'exceptionDetails' not in found, found
        return found['result'].get('value')

    def open(self, path: Path, fragment: str = '') -> None:
        """Open a page and wait until it is ready, or failed."""
        self.call('Page.navigate', url='about:blank')
        self.call('Page.navigate', url=path.as_uri() + fragment)
        deadline = time.monotonic() + _PATIENCE_S
        loading = "!document.body || !['ready', 'failed'].includes(document.body.dataset.state)"
        while self.value(loading):
            assert time.monotonic() < deadline, 'the page is not ready'
            time.sleep(0.05)

    def mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        """Send an event of the mouse: mousePressed, mouseReleased, mouseMoved, mouseWheel."""
        self.call('Input.dispatchMouseEvent', type=kind, x=x, y=y, **more)

    def click(self, x: float, y: float) -> None:
        for kind in ('mousePressed', 'mouseReleased'):
            self.mouse(kind, x, y, button='left', clickCount=1)

    def key(self, key: str, modifiers: int = 0) -> None:
        """Press a key and let it go (modifiers: 8 is Shift)."""
        text = {'text': '\r'} if key == 'Enter' else {}
        code = {'Enter': 13, 'Tab': 9}.get(key, 0)
        more = {'key': key, 'modifiers': modifiers, 'windowsVirtualKeyCode': code}
        self.call('Input.dispatchKeyEvent', type='keyDown', **more, **text)
        self.call('Input.dispatchKeyEvent', type='keyUp', **more)

    def size(self, width: int, height: int) -> None:
        self.call(
            'Emulation.setDeviceMetricsOverride',
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.call('Page.captureScreenshot')['data']))


@contextmanager
def browser() -> Iterator[Browser]:
    """Start Chromium, and end it afterwards."""
    assert PROGRAM is not None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        to_read, its_sink = os.pipe()
        its_source, to_write = os.pipe()
        flags = ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage']
        flags += ['--remote-debugging-pipe', f'--user-data-dir={profile}', '--no-first-run']
        flags += ['--disable-background-networking', '--disable-component-update']
        # It reads commands from descriptor 3 and answers on 4; above those, for they may be taken here.
        script = f'exec "$0" "$@" 3<&{its_source} 4>&{its_sink}'
        process = subprocess.Popen(
            ['bash', '-c', script, PROGRAM, *flags],
            pass_fds=(its_source, its_sink),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(its_source)
        os.close(its_sink)
        try:
            yield Browser(to_read, to_write)
        finally:
            os.close(to_write)
            os.close(to_read)
            process.terminate()
            process.wait(timeout=30)
